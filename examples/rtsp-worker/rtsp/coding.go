package rtsp

import (
	"strings"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
	"github.com/skalds-go/skalds/examples/rtsp-worker/h265"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// coding is a way of coding video as cameras offer and send it.
type coding struct {
	rtpmap string // as descriptions name it
	// sprops are the parameters of fmtp that hold parameter sets.
	sprops   []string
	kind     func(nal []byte) video.Kind
	sets     func() video.ParamSets
	unpacker func() unpacker
}

// codings are those that this client understands.
var codings = []coding{
	{
		rtpmap: "H264/90000", sprops: []string{"sprop-parameter-sets"}, kind: h264.Kind,
		sets:     func() video.ParamSets { return h264.NewParamSets() },
		unpacker: func() unpacker { return &unpackerH264{} },
	},
	{
		rtpmap: "H265/90000", sprops: []string{"sprop-vps", "sprop-sps", "sprop-pps"}, kind: h265.Kind,
		sets:     func() video.ParamSets { return h265.NewParamSets() },
		unpacker: func() unpacker { return &unpackerH265{} },
	},
}

// findCoding returns the coding of an rtpmap, nil for one that is not understood.
func findCoding(rtpmap string) *coding {
	for i := range codings {
		if strings.EqualFold(codings[i].rtpmap, rtpmap) {
			return &codings[i]
		}
	}
	return nil
}

// unpacker makes NAL units of the payloads of RTP packets, which come in order and without gaps until reset.
type unpacker interface {
	// push takes a payload and returns the NAL units that are complete with it; ok is false when it is damaged or does not follow
	// what came before. The payload is not kept.
	push(payload []byte) (nals [][]byte, ok bool)
	// halfway says that a NAL unit has begun in one packet and not ended yet.
	halfway() bool
	// reset forgets what has begun.
	reset()
}
