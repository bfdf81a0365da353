package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsp"
)

// RecorderAttachments are the parameters of a task of the class RTSPRecorder. All of them may be changed while it runs.
type RecorderAttachments struct {
	RTSPURL         string  `json:"rtspUrl" jsonschema:"required,minLength=1,description=Address of the stream: rtsp://user:password@host:554/path. Write the password as ${secret:NAME} to keep it out of the task."`
	Transport       string  `json:"transport,omitempty" jsonschema:"enum=tcp,enum=udp,default=tcp,description=The way the video takes: tcp or udp."`
	Sound           string  `json:"sound,omitempty" jsonschema:"enum=auto,enum=off,default=auto,description=Audio: auto records AAC beside the video where the camera has it; off does not ask for it."`
	SegmentSeconds  float64 `json:"segmentSeconds,omitempty" jsonschema:"minimum=1,maximum=86400,default=60,description=Length of a file in seconds; it ends at the next key frame."`
	PartMillis      int     `json:"partMillis,omitempty" jsonschema:"minimum=1,maximum=10000,default=200,description=Video that is collected before it is written: what a killed worker loses at most besides one picture."`
	SyncSeconds     float64 `json:"syncSeconds,omitempty" jsonschema:"minimum=0,maximum=3600,default=0,description=Shortest time between two fsyncs; 0 leaves them to the system."`
	WatchdogSeconds float64 `json:"watchdogSeconds,omitempty" jsonschema:"minimum=0.5,maximum=3600,default=3,description=Longest time without a complete picture before the camera is connected again."`
	RetentionDays   float64 `json:"retentionDays,omitempty" jsonschema:"minimum=0,default=7,description=Files older than this are deleted; 0 is no bound."`
	RetentionBytes  int64   `json:"retentionBytes,omitempty" jsonschema:"minimum=0,default=10737418240,description=The oldest files are deleted when all of them are larger than this; 0 is no bound."`
	MinFreePercent  float64 `json:"minFreePercent,omitempty" jsonschema:"minimum=0,maximum=99,default=5,description=The oldest files are deleted when less of the disk is free; 0 is no bound."`
}

func defaultRecorderAttachments() RecorderAttachments {
	return RecorderAttachments{
		Transport: "tcp", Sound: "auto", SegmentSeconds: 60, PartMillis: 200, WatchdogSeconds: 3,
		RetentionDays: 7, RetentionBytes: 10 << 30, MinFreePercent: 5,
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// source is what makes a connection to a camera.
func (a RecorderAttachments) source() rtsp.Config {
	return rtsp.Config{URL: a.RTSPURL, Transport: rtsp.Transport(a.Transport), Sound: rtsp.Sound(a.Sound), Watchdog: seconds(a.WatchdogSeconds)}
}

func (a RecorderAttachments) recording(dir string, epoch int64) recording.Config {
	cfg := recording.DefaultConfig()
	cfg.Dir, cfg.Epoch = dir, epoch
	cfg.Segment, cfg.Part, cfg.Sync = seconds(a.SegmentSeconds), time.Duration(a.PartMillis)*time.Millisecond, seconds(a.SyncSeconds)
	cfg.Retention = recording.Retention{
		MaxAge: seconds(a.RetentionDays * 24 * 3600), MaxBytes: a.RetentionBytes, MinFree: a.MinFreePercent / 100,
	}
	return cfg
}

// budget of the progress contract: the watchdog has had its chance to connect anew.
func (a RecorderAttachments) budget() time.Duration {
	return seconds(a.WatchdogSeconds) + 2*time.Second
}

func (a RecorderAttachments) validate(dir string) error {
	var errs []error
	if err := a.source().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("attachments.rtspUrl, transport or sound: %w", err))
	}
	errs = append(errs, a.recording(dir, 0).Validate())
	return errors.Join(errs...)
}
