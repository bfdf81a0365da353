package rtsptest

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
	"github.com/skalds-go/skalds/examples/rtsp-worker/h265"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// coding is how a camera sends one way of coding video.
type coding struct {
	rtpmap string
	// fmtp describes the parameter sets, given in the order of the clip.
	fmtp      func(sets [][]byte) string
	payloader func() rtp.Payloader
	kind      func(nal []byte) video.Kind
	sets      func() video.ParamSets
}

var codingH264 = coding{
	rtpmap: "H264/90000",
	fmtp: func(sets [][]byte) string {
		var texts []string
		for _, set := range sets {
			texts = append(texts, base64.StdEncoding.EncodeToString(set))
		}
		return fmt.Sprintf("packetization-mode=1;profile-level-id=%02X%02X%02X;sprop-parameter-sets=%s", sets[0][1], sets[0][2], sets[0][3], strings.Join(texts, ","))
	},
	payloader: func() rtp.Payloader { return &codecs.H264Payloader{} },
	kind:      h264.Kind,
	sets:      func() video.ParamSets { return h264.NewParamSets() },
}

var codingH265 = coding{
	rtpmap: "H265/90000",
	fmtp: func(sets [][]byte) string {
		b64 := base64.StdEncoding.EncodeToString
		return fmt.Sprintf("sprop-vps=%s; sprop-sps=%s; sprop-pps=%s", b64(sets[0]), b64(sets[1]), b64(sets[2]))
	},
	payloader: func() rtp.Payloader { return &codecs.H265Payloader{} },
	kind:      h265.Kind,
	sets:      func() video.ParamSets { return h265.NewParamSets() },
}
