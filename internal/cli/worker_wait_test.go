package cli_test

import "testing"

func TestWorkerWait(t *testing.T) {
	w := start(t)
	w.run(t, "worker", "wait", "Demo").check(t, 0, "", "")
	w.run(t, "worker", "wait", "Demo", "Nobody", "--timeout", "250ms").check(t, 7, "", "…no node offers [Nobody]")
	w.run(t, "worker", "wait").check(t, 2, "", "…name the classes")
}
