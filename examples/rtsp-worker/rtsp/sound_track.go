package rtsp

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
)

// soundTrack is the sound of a description: AAC as RFC 3640 sends it in mode AAC-hbr.
type soundTrack struct {
	control     string
	payloadType uint8
	config      *aac.Config
	// sizeBits and indexBits are the lengths of the two fields of an access unit's header.
	sizeBits, indexBits int
}

// sound returns the first track of sound that is understood, nil when there is none; refused then says what was offered.
func (d *description) sound() (t *soundTrack, refused []string) {
	refused = d.find("audio", func(media *sdp.MediaDescription, pt uint8, name string, fmtp map[string]string) (bool, string) {
		if name == "" {
			name = fmt.Sprintf("payload type %d", pt)
		}
		var err error
		if t, err = readSoundTrack(name, fmtp); err != nil {
			return false, fmt.Sprintf("%s (%v)", name, err)
		}
		if t == nil {
			return false, name
		}
		t.control, t.payloadType = d.control(media), pt
		return true, name
	})
	return t, refused
}

// readSoundTrack returns nil for sound of another kind, an error for AAC that cannot be read.
func readSoundTrack(name string, fmtp map[string]string) (*soundTrack, error) {
	parts := strings.Split(name, "/")
	if !strings.EqualFold(parts[0], "MPEG4-GENERIC") || len(parts) < 2 {
		return nil, nil
	}
	if mode := fmtp["mode"]; !strings.EqualFold(mode, "AAC-hbr") {
		return nil, fmt.Errorf("mode %.20q", mode)
	}
	rate, err := strconv.Atoi(parts[1])
	if err != nil {
		return nil, fmt.Errorf("read clock rate: %w", err)
	}
	raw, err := hex.DecodeString(strings.Trim(fmtp["config"], `"`))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	t := &soundTrack{sizeBits: 13, indexBits: 3} // what the mode prescribes
	for key, bits := range map[string]*int{"sizelength": &t.sizeBits, "indexlength": &t.indexBits} {
		if n, err := strconv.Atoi(fmtp[key]); err == nil {
			*bits = n
		}
	}
	if t.sizeBits < 1 || t.sizeBits > 16 || t.indexBits < 0 || t.indexBits > 16 {
		return nil, fmt.Errorf("sizes of %d bits, numbers of %d", t.sizeBits, t.indexBits)
	}
	for _, key := range []string{"indexdeltalength", "ctsdeltalength", "dtsdeltalength", "randomaccessindication", "streamstateindication", "auxiliarydatasizelength"} {
		want := 0
		if key == "indexdeltalength" {
			want = t.indexBits
		}
		if n, err := strconv.Atoi(fmtp[key]); err == nil && n != want {
			return nil, fmt.Errorf("%s of %d", key, n)
		}
	}
	if t.config, err = aac.ParseConfig(raw, rate); err != nil {
		return nil, err
	}
	return t, nil
}
