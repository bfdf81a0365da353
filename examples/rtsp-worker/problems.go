package main

import (
	"strings"
	"sync"
)

// What can be wrong without ending the task.
const (
	problemCamera = iota
	problemDisk
	problemCount
)

// problems makes one text of what is wrong at the moment and tells it when it changes.
type problems struct {
	tell func(text string) // "" when all is well

	// mu guards what follows.
	mu    sync.Mutex
	texts [problemCount]string
	told  string
}

func newProblems(tell func(string)) *problems { return &problems{tell: tell} }

// set exchanges one problem; "" ends it.
func (p *problems) set(kind int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.texts[kind] = text
	var all []string
	for _, t := range p.texts {
		if t != "" {
			all = append(all, t)
		}
	}
	if now := strings.Join(all, "; "); now != p.told {
		p.told = now
		p.tell(now)
	}
}
