package redis

import (
	"sync"
	"time"
)

// watched knows since when words have been the same, by this program's own clock: those of others may be wrong.
type watched struct {
	mu    sync.Mutex
	words map[string]word
}

type word struct {
	text  string
	since time.Time
}

// silent lists those that have not changed for long, and takes note of the others. What is not there any more is forgotten.
func (w *watched) silent(texts map[string]string, long time.Duration, now time.Time) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	words, dead := make(map[string]word, len(texts)), map[string]bool{}
	for id, text := range texts {
		old, ok := w.words[id]
		if !ok || old.text != text {
			old = word{text, now}
		}
		words[id] = old
		if now.Sub(old.since) > long {
			dead[id] = true
		}
	}
	w.words = words
	return dead
}
