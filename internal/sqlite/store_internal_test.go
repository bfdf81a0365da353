package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func put(ctx context.Context, s *Store, id string) error {
	_, _, err := s.Create(ctx, &skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "C"}, LifecycleStatus: skalds.Created})
	return err
}

// pragma runs on the writing connection between two writes.
func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	err := s.write(t.Context(), "set a pragma", true, func(x *txn) error {
		_, err := x.s.conn.ExecContext(x.ctx, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "skalds.db"))
	if err := put(t.Context(), s, "before"); err != nil {
		t.Fatal(err)
	}
	pragma(t, s, `PRAGMA max_page_count = 1`) // never below what is used
	var full error
	for i := 0; full == nil && i < 10_000; i++ {
		full = put(t.Context(), s, strings.Repeat("x", 100)+string(rune('a'+i%26))+strings.Repeat("y", i%200))
		if errors.Is(full, skalds.ErrConflict) {
			full = nil
		}
	}
	if !errors.Is(full, skalds.ErrUnavailable) || !strings.Contains(full.Error(), "is full: free some space") {
		t.Fatalf("a full disk gives %v", full)
	}
	if _, err := s.Task(t.Context(), "before"); err != nil {
		t.Errorf("reading from a full disk: %v", err)
	}
	pragma(t, s, `PRAGMA max_page_count = 1000000`)
	if err := put(t.Context(), s, "after"); err != nil {
		t.Errorf("with space again: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping with space again: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "skalds.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pragma(t, s, `PRAGMA query_only = 1`)
	err = put(t.Context(), s, "one")
	if !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), "cannot be written: check the permissions") {
		t.Errorf("a file that cannot be written gives %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("ping says nothing while nothing can be written")
	}
	if err := s.Close(); err == nil {
		t.Error("close says nothing, although it could not note that all is well")
	}
}

func TestGeneration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skalds.db")
	generation := func(want int64) *Store {
		t.Helper()
		s, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if g, err := s.Generation(t.Context()); err != nil || g != want {
			t.Errorf("generation %d, %v; want %d", g, err, want)
		}
		return s
	}
	s := generation(1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = generation(1) // closed properly
	err := s.write(t.Context(), "pretend", true, func(x *txn) error {
		_, err := x.exec(`UPDATE meta SET value = 'another boot' WHERE key = 'open_under_boot'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.writer.mu.Lock() // as if the machine went down: no note that all is well
	s.writer.closed = true
	close(s.writer.queue)
	s.writer.mu.Unlock()
	<-s.writer.done
	if err := errors.Join(s.writer.db.Close(), s.readers.Close()); err != nil {
		t.Fatal(err)
	}
	if bootID() == "" {
		t.Skip("this system does not name its boots")
	}
	s = generation(2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := generation(2).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPoisonedGroup lets one write of a group fail in SQLite; its neighbours must be stored.
func TestPoisonedGroup(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "skalds.db"))
	hold, held := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.write(t.Context(), "hold the writer", false, func(*txn) error {
			close(held)
			<-hold
			return nil
		})
	}()
	<-held
	results := make(chan error, 3)
	go func() { results <- put(t.Context(), s, "a") }()
	go func() {
		results <- s.write(t.Context(), "break", false, func(x *txn) error {
			if _, err := x.exec(`INSERT INTO offsets(stream, value) VALUES('half', 'done')`); err != nil {
				return err
			}
			_, err := x.exec(`INSERT INTO offsets(stream, value) VALUES('bad', NULL)`)
			return err
		})
	}()
	go func() { results <- put(t.Context(), s, "b") }()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for len(s.writer.queue) < 3 { // until they wait together
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the writes have not been queued")
		}
	}
	close(hold)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	failed := 0
	for range 3 {
		if err := <-results; err != nil {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d of the writes failed, want 1", failed)
	}
	for _, id := range []string{"a", "b"} {
		if _, err := s.Task(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if v, err := s.Offset(t.Context(), "half"); err != nil || v != "" {
		t.Errorf("half of the failed write is stored: %q, %v", v, err)
	}
}
