package plugins

import (
	"errors"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// The report of a panic that comes before the handshake says what it was and where, not the last line of its stack.
func TestAPanicBeforeTheHandshakeIsTold(t *testing.T) {
	l, p := setup(t)
	_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=panic"}})
	var le *LaunchError
	if !errors.As(err, &le) {
		t.Fatal(err)
	}
	if x := le.Exit(); x.Kind != skalds.ExitHandshake || x.Code != 2 || !contains(x.Message, "exit code 2", "panic: before the handshake") || !contains(x.Stack, "goroutine 1", "main_test.go") {
		t.Errorf("got %+v", x)
	}
}
