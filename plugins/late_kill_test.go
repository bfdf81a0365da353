package plugins

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
)

// Who asks for a kill when the process has ended has not ended it.
func TestAKillAfterTheEndChangesNoReport(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "exit", Code: 9}, LaunchSpec{})
	was := a.end(t)
	if was.Kind != skalds.ExitExit || was.Code != 9 {
		t.Errorf("got %+v", was)
	}
	a.Kill(skalds.ExitRunTimeout, "too late")
	a.KillWithStack(skalds.ExitStall, "too late")
	if err := a.Stop(t.Context(), string(skalds.ExitDrain), 0); err != nil {
		t.Error(err)
	}
	if x := a.Explain(nil, a.runErr); !cmp.Equal(x, was) || a.Status().Kill != nil {
		t.Errorf("got %+v, %v; it was %+v", x, a.Status().Kill, was)
	}
}
