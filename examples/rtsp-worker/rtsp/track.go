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

// findTrack reads an SDP and returns its first track that is understood; base is the address that relative ones are relative to.
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
			name := mediaAttribute(media, "rtpmap", format)
			coding, params := findCoding(name), parameters(mediaAttribute(media, "fmtp", format))
			if n, err := strconv.Atoi(params["sprop-max-don-diff"]); err == nil && n > 0 {
				name += " out of order"
				coding = nil
			}
			offered = append(offered, name)
			if coding == nil {
				continue
			}
			t := &track{payloadType: uint8(pt), aggregate: base, coding: coding, sets: coding.sets()}
			if c, ok := session.Attribute("control"); ok {
				t.aggregate = joinControl(base, c)
			}
			control, _ := media.Attribute("control")
			t.control = joinControl(base, control)
			for _, key := range coding.sprops {
				for text := range strings.SplitSeq(params[key], ",") {
					nal, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
					if err == nil && coding.kind(nal) == video.KindParams {
						_ = t.sets.Add(nal) // an unusable one is replaced by those in the stream
					}
				}
			}
			return t, nil
		}
	}
	return nil, fmt.Errorf("read description: video offered: %s: %w", strings.Join(offered, ", "), ErrNoVideo)
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
