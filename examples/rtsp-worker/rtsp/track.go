package rtsp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
)

// ErrNoVideo says that a camera offers no H.264 video.
var ErrNoVideo = errors.New("no H.264 video offered")

// track is the video track of a description.
type track struct {
	// control is the address for SETUP, aggregate the one for PLAY, keep-alive and TEARDOWN.
	control, aggregate string
	payloadType        uint8
	sets               h264.ParamSets
}

// findTrack reads an SDP and returns its first H.264 track; base is the address that relative ones are relative to.
func findTrack(description []byte, base string) (*track, error) {
	var session sdp.SessionDescription
	if err := session.Unmarshal(description); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	var offered []string
	for _, media := range session.MediaDescriptions {
		if media.MediaName.Media != "video" {
			continue
		}
		for _, format := range media.MediaName.Formats {
			pt, err := strconv.ParseUint(format, 10, 7)
			if err != nil {
				continue
			}
			codec := mediaAttribute(media, "rtpmap", format)
			offered = append(offered, codec)
			if !strings.EqualFold(codec, "H264/90000") {
				continue
			}
			t := &track{payloadType: uint8(pt), aggregate: base}
			if c, ok := session.Attribute("control"); ok {
				t.aggregate = joinControl(base, c)
			}
			control, _ := media.Attribute("control")
			t.control = joinControl(base, control)
			for part := range strings.SplitSeq(mediaAttribute(media, "fmtp", format), ";") {
				key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
				if !strings.EqualFold(key, "sprop-parameter-sets") {
					continue
				}
				for text := range strings.SplitSeq(value, ",") {
					if nal, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
						_ = t.sets.Add(nal) // an unusable one is replaced by those in the stream
					}
				}
			}
			return t, nil
		}
	}
	return nil, fmt.Errorf("read description: video offered: %s: %w", strings.Join(offered, ", "), ErrNoVideo)
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
