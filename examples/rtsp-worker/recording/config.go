package recording

import (
	"errors"
	"fmt"
	"time"
)

// Config of a Recorder and its Janitor.
type Config struct {
	// Dir is the folder of the files. It exists.
	Dir string
	// Epoch is the number of the assignment; it is part of every file's name.
	Epoch int64
	// Segment is the length after which a file ends, at the next key frame. Default 60 s.
	Segment time.Duration
	// Part is how much video is collected before it is written: the most that a killed process loses, besides one picture. Default 200 ms.
	Part time.Duration
	// Sync is the shortest time between two fsyncs; 0, the default, leaves that to the system: nothing written is lost when the
	// process is killed, but what the system has not stored yet is lost when the power fails.
	Sync time.Duration
	// DiskRetry is the pause after a write failed. Default 5 s.
	DiskRetry time.Duration
	// Retention bounds what is kept.
	Retention Retention
	// Disk is where files are written; nil is the operating system's.
	Disk Disk
}

// Retention bounds what is kept in the folder. The oldest files go first; the open one and the newest finished one are never deleted.
type Retention struct {
	// MaxAge of a file since its last write; 0 is no bound.
	MaxAge time.Duration
	// MaxBytes of all files together; 0 is no bound.
	MaxBytes int64
	// MinFree is the share of the disk, 0 to 1, that shall stay free; 0 is no bound.
	MinFree float64
}

// DefaultConfig returns the defaults, without folder and epoch.
func DefaultConfig() Config {
	return Config{
		Segment: time.Minute, Part: 200 * time.Millisecond, DiskRetry: 5 * time.Second,
		Retention: Retention{MaxAge: 7 * 24 * time.Hour, MaxBytes: 10 << 30, MinFree: 0.05},
	}
}

// withDefaults fills in what is zero; the bounds of Retention and Sync mean it.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Segment == 0 {
		c.Segment = d.Segment
	}
	if c.Part == 0 {
		c.Part = d.Part
	}
	if c.DiskRetry == 0 {
		c.DiskRetry = d.DiskRetry
	}
	if c.Disk == nil {
		c.Disk = osDisk{}
	}
	return c
}

// Validate says everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("folder of the recordings is missing"))
	}
	if c.Segment < 0 || c.Part < 0 || c.Sync < 0 || c.DiskRetry < 0 || c.Retention.MaxAge < 0 {
		errs = append(errs, errors.New("a duration is negative"))
	}
	if c.Part > 10*time.Second {
		errs = append(errs, fmt.Errorf("part of %v is longer than 10 s", c.Part))
	}
	if c.Retention.MaxBytes < 0 || c.Retention.MinFree < 0 || c.Retention.MinFree > 0.99 {
		errs = append(errs, errors.New("retention: bytes are negative, or the free share is outside 0 to 0.99"))
	}
	return errors.Join(errs...)
}
