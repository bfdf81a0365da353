package rtsp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// ErrNoVideo says that a camera offers no video that can be recorded.
var ErrNoVideo = errors.New("no H.264 or H.265 video offered")

// track is the video track of a description.
type track struct {
	// control is the address for SETUP, aggregate the one for PLAY, keep-alive and TEARDOWN.
	control, aggregate string
	payloadType        uint8
	coding             *coding
	sets               video.ParamSets
}

// description is what a camera offers.
type description struct {
	session sdp.SessionDescription
	base    string // that relative addresses are relative to
}

func readDescription(body []byte, base string) (*description, error) {
	d := &description{base: base}
	if err := d.session.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	return d, nil
}

// find offers the formats of one kind of media to take, until it takes one, and returns the names of those that it did not.
func (d *description) find(kind string, take func(m *sdp.MediaDescription, payloadType uint8, name string, fmtp map[string]string) (taken bool, call string)) (refused []string) {
	for _, media := range d.session.MediaDescriptions {
		_, back := media.Attribute("sendonly") // ONVIF: the way to the camera's loudspeaker
		if media.MediaName.Media != kind || back && kind == "audio" {
			continue
		}
		for _, format := range media.MediaName.Formats {
			pt, err := strconv.ParseUint(format, 10, 7)
			if err != nil {
				continue
			}
			name := mediaAttribute(media, "rtpmap", format)
			taken, call := take(media, uint8(pt), name, parameters(mediaAttribute(media, "fmtp", format)))
			if taken {
				return nil
			}
			refused = append(refused, call)
		}
	}
	return refused
}

// control is the address of a track.
func (d *description) control(media *sdp.MediaDescription) string {
	control, _ := media.Attribute("control")
	return joinControl(d.base, control)
}

// video returns the first track of video that is understood.
func (d *description) video() (t *track, err error) {
	offered := d.find("video", func(media *sdp.MediaDescription, pt uint8, name string, fmtp map[string]string) (bool, string) {
		coding := findCoding(name)
		if n, err := strconv.Atoi(fmtp["sprop-max-don-diff"]); err == nil && n > 0 {
			return false, name + " out of order"
		}
		if coding == nil {
			return false, name
		}
		t = &track{payloadType: pt, control: d.control(media), aggregate: d.base, coding: coding, sets: coding.sets()}
		if c, ok := d.session.Attribute("control"); ok {
			t.aggregate = joinControl(d.base, c)
		}
		for _, key := range coding.sprops {
			for text := range strings.SplitSeq(fmtp[key], ",") {
				nal, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
				if err == nil && coding.kind(nal) == video.KindParams {
					_ = t.sets.Add(nal) // an unusable one is replaced by those in the stream
				}
			}
		}
		return true, name
	})
	if t == nil {
		return nil, fmt.Errorf("read description: video offered: %s: %w", strings.Join(offered, ", "), ErrNoVideo)
	}
	return t, nil
}

// parameters reads the "key=value;key=value" of a format; keys are in lower case.
func parameters(fmtp string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		out[strings.ToLower(key)] = value
	}
	return out
}

// mediaAttribute returns the rest of the attribute "key:format rest".
func mediaAttribute(media *sdp.MediaDescription, key, format string) string {
	for _, a := range media.Attributes {
		if a.Key != key {
			continue
		}
		if f, rest, ok := strings.Cut(a.Value, " "); ok && f == format {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// joinControl resolves a control attribute. Cameras differ from RFC 3986 here: a relative value is appended to the base.
func joinControl(base, control string) string {
	if control == "" || control == "*" {
		return base
	}
	if u, err := url.Parse(control); err == nil && u.IsAbs() {
		u.User = nil
		return u.String()
	}
	if strings.HasSuffix(base, "/") {
		return base + strings.TrimPrefix(control, "/")
	}
	return base + "/" + strings.TrimPrefix(control, "/")
}
