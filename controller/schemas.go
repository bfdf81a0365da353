package controller

import (
	"encoding/json"
	"slices"
	"sync"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

// maxSchemas bounds the cache of compiled schemas.
const maxSchemas = 512

// schemas keeps compiled schemas, one per text.
type schemas struct {
	mu     sync.Mutex // guards byText
	byText map[string]*validator.Schema
}

func newSchemas() *schemas { return &schemas{byText: map[string]*validator.Schema{}} }

func (c *schemas) compiled(doc json.RawMessage) (*validator.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.byText[string(doc)]; ok {
		return s, nil
	}
	s, err := validator.Compile(doc)
	if err != nil {
		return nil, err
	}
	if len(c.byText) >= maxSchemas {
		clear(c.byText)
	}
	c.byText[string(doc)] = s
	return s, nil
}

// classNames lists the classes that workers offer, sorted.
func classNames(workers []skalds.WorkerInfo) []string {
	var names []string
	for i := range workers {
		for _, c := range workers[i].Classes {
			names = append(names, c.ClassName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
