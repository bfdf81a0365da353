package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Recorder keeps events in a file to which several processes may append. It is safe for concurrent use.
type Recorder struct {
	mu  sync.Mutex // guards err
	err error
	f   *os.File
}

// Record opens the file for appending; it is made where there is none.
func Record(path string) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, fmt.Errorf("record a history: %w", err)
	}
	return &Recorder{f: f}, nil
}

// Add appends an event; where it has no time, it is seen now. Each is one write, so that events of several processes lie beside each
// other. The first error is returned again by Close.
func (r *Recorder) Add(e Event) error {
	if e.At == 0 {
		e.At = time.Now().UnixNano()
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = r.f.Write(append(b, '\n'))
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("record a history: %w", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return err
}

// Close closes the file.
func (r *Recorder) Close() error {
	err := r.f.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, err)
}
