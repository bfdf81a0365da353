package mongo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// Where no server is, one plain sentence says so, and not all that the driver knows of its servers.
func TestAServerThatIsAwayInAFewWords(t *testing.T) {
	s, err := Open(Config{URI: "mongodb://127.0.0.1:1/?directConnection=true", Timeout: 300 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.Address() != "127.0.0.1:1" {
		t.Error(s.Address())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = s.Ping(ctx)
	var e *skalds.Error
	if !errors.As(err, &e) || e.Code != skalds.CodeUnavailable {
		t.Fatal(err)
	}
	if text := err.Error(); !strings.Contains(text, "does not answer: see whether it runs") || strings.Contains(text, "topology") || strings.Contains(text, "{") || len(text) > 250 {
		t.Errorf("%d characters: %s", len(text), text)
	}
	if len(err.Error()) <= len(e.Message) {
		t.Error("the reason is missing: " + err.Error())
	}
}
