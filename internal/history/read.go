package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// ReadFile reads the events of a file, in its order.
func ReadFile(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a history: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	events, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("read the history %s: %w", path, err)
	}
	return events, nil
}

// Read reads events. A last line without an end is what a killed process has left, and is skipped.
func Read(from io.Reader) ([]Event, error) {
	var events []Event
	lines := bufio.NewReader(from)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		var e Event
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		events = append(events, e)
	}
}
