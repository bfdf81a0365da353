package rtsptest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of faults.
const (
	// FaultReset resets (RST) the connections of all clients, once.
	FaultReset = "reset"
	// FaultClose closes (FIN) the connections of all clients, once.
	FaultClose = "close"
	// FaultStall freezes the camera: it sends nothing, answers nothing, closes nothing.
	FaultStall = "stall"
	// FaultNoVideo goes on answering RTSP but sends no video.
	FaultNoVideo = "novideo"
	// FaultRefuse resets all connections and refuses new ones.
	FaultRefuse = "refuse"
	// FaultAuth answers every request with 401, as after a changed password. Clients that play keep playing.
	FaultAuth = "auth"
	// FaultParams switches to a clip of another size: new parameter sets from the next key frame on, and back at the end.
	FaultParams = "params"
	// FaultLoss drops a share (Rate) of the RTP packets.
	FaultLoss = "loss"
	// FaultCorrupt changes one random byte in a share (Rate) of the RTP packets.
	FaultCorrupt = "corrupt"
	// FaultReorder sends a share (Rate) of the RTP packets after their successor.
	FaultReorder = "reorder"
	// FaultDuplicate sends a share (Rate) of the RTP packets twice.
	FaultDuplicate = "duplicate"
	// FaultNoMarker clears the marker of every RTP packet: nothing says that a picture is complete.
	FaultNoMarker = "nomarker"
	// FaultNotFound answers DESCRIBE with 404, as when somebody changed the path.
	FaultNotFound = "notfound"
	// FaultSlow answers every request after Delay and sends the video over TCP in small pieces.
	FaultSlow = "slow"
	// FaultGarbage writes rubbish between two interleaved frames, once.
	FaultGarbage = "garbage"
	// FaultClockJump lets the RTP clocks jump by five hours, once.
	FaultClockJump = "clockjump"
	// FaultNoSound sends no sound while it lasts, as a camera whose sound begins later, or stops.
	FaultNoSound = "nosound"
	// FaultBadSound sends rubbish in the place of sound.
	FaultBadSound = "badsound"
	// FaultSoundRefuse answers 461 to a client that asks for sound, and sends it all the same; FaultSoundHang answers nothing.
	FaultSoundRefuse = "soundrefuse"
	FaultSoundHang   = "soundhang"
)

// Faults lists all kinds.
func Faults() []string {
	return []string{
		FaultReset, FaultClose, FaultStall, FaultNoVideo, FaultRefuse, FaultAuth, FaultParams, FaultLoss, FaultCorrupt,
		FaultReorder, FaultDuplicate, FaultNoMarker, FaultNotFound, FaultSlow, FaultGarbage, FaultClockJump,
		FaultNoSound, FaultBadSound, FaultSoundRefuse, FaultSoundHang,
	}
}

// Fault is something that goes wrong.
type Fault struct {
	// Kind is one of the Fault constants.
	Kind string
	// After is the time from Run (or Inject) to the fault.
	After time.Duration
	// Duration is how long it lasts, for those that last; 0 means for ever.
	Duration time.Duration
	// Every repeats it; 0 does not.
	Every time.Duration
	// Rate is the share of packets that FaultLoss, FaultCorrupt, FaultReorder and FaultDuplicate hit, 0 to 1; default 0.02.
	Rate float64
	// Delay of FaultSlow; default 0.3 s.
	Delay time.Duration
}

// Validate says what is wrong with f.
func (f Fault) Validate() error {
	if !slices.Contains(Faults(), f.Kind) {
		return fmt.Errorf("fault kind %q is unknown: use one of %s", f.Kind, strings.Join(Faults(), ", "))
	}
	if f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("fault rate %v is outside 0 to 1", f.Rate)
	}
	if f.After < 0 || f.Duration < 0 || f.Every < 0 || f.Delay < 0 {
		return fmt.Errorf("fault %s: a duration is negative", f.Kind)
	}
	return nil
}

func (f Fault) rate() float64 {
	if f.Rate == 0 {
		return 0.02
	}
	return f.Rate
}

func (f Fault) delay() time.Duration {
	if f.Delay == 0 {
		return 300 * time.Millisecond
	}
	return f.Delay
}
