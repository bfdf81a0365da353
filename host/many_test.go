package host

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestManyTasksAtOnce(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 20
	}
	b, m, _ := nodeHost(t)
	start := time.Now()
	for i := range n {
		b.send(command(scriptSpec(fmt.Sprintf("t%d", i), "Script", script{Do: "finish"}), 1, 1))
	}
	for i := range n {
		id := fmt.Sprintf("t%d", i)
		eventually(t, id+" finished", 5*soon, func() bool { return b.last(id).State == skalds.Finished })
		if got := len(m.attempts(id)); got != 1 {
			t.Errorf("%s was run %d times", id, got)
		}
	}
	took := time.Since(start)
	t.Logf("%d tasks in %s: %.0f per second", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	eventually(t, "all outcomes", soon, func() bool {
		for i := range n {
			if len(b.outcomes(fmt.Sprintf("t%d", i), skalds.OutcomeExit)) != 1 {
				return false
			}
		}
		return true
	})
}

func TestWhatARunningTaskCostsItsHost(t *testing.T) {
	b, _, _ := nodeHost(t)
	eventually(t, "hello", soon, func() bool { return b.helloCount() == 1 })
	before := runtime.NumGoroutine()
	const n = 10
	for i := range n {
		b.send(command(scriptSpec(fmt.Sprintf("t%d", i), "Script", script{Do: "wait"}), 1, 1))
	}
	for i := range n {
		waitRunning(t, b, fmt.Sprintf("t%d", i), 1)
	}
	each := float64(runtime.NumGoroutine()-before) / n
	t.Logf("%.1f goroutines per task", each)
	if each > 28 {
		t.Errorf("%.1f goroutines per task, at most 28 are promised", each)
	}
}
