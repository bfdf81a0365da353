//go:build !linux

package procstats

import "errors"

// files are Linux's.
type files struct{}

func openFiles(ID) (f files, ok bool) { return files{}, false }

func (files) close() {}

func (files) read(int) (Process, error) { return Process{}, errors.ErrUnsupported }

func (files) residentBytes(int) (own, others int64, err error) { return 0, 0, errors.ErrUnsupported }
