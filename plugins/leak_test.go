package plugins

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// held is what a host process holds.
type held struct {
	heap                                      int64
	goroutines, descriptors, folder, children int
	shim                                      shimHeld
}

// shimHeld is what its shim holds.
type shimHeld struct {
	anonymous                      int64 // memory
	threads, descriptors, children int
}

func (h held) String() string {
	return fmt.Sprintf("heap %d KiB, %d goroutines, %d descriptors, %d entries of the run folder, %d children; the shim %d KiB, %d threads, %d descriptors, %d children",
		h.heap>>10, h.goroutines, h.descriptors, h.folder, h.children, h.shim.anonymous>>10, h.shim.threads, h.shim.descriptors, h.shim.children)
}

func holds(t testing.TB, l *Launcher) held {
	t.Helper()
	runtime.GC()
	runtime.GC() // what the first has let finalizers see
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	entries, err := os.ReadDir(l.base)
	if err != nil {
		t.Fatal(err)
	}
	return held{int64(m.HeapAlloc), runtime.NumGoroutine(), descriptors(t), len(entries), len(childrenOfThisProcess(t)), shimHolds(t, l)}
}

// TestKilledWorkersLeaveNothing starts worker after worker, each of which ends badly: their host holds no more at the end
// than at the beginning. SKALDS_NIGHTLY=1 has ten times as many.
func TestKilledWorkersLeaveNothing(t *testing.T) {
	l, p := setup(t)
	slow := func(e ending) bool { return e.limits != skalds.Limits{} || e.late > 0 } // and large
	deaths := slices.DeleteFunc(slices.Concat(dies(), neverStarts(), isEnded()), slow)
	n, r := nightly(100, 1000), rand.New(rand.NewPCG(seeded(t), 0))
	die := func(count int) {
		for range count {
			e := deaths[r.IntN(len(deaths))]
			t.Run("death", func(t *testing.T) {
				if x := e.happen(t, l, p, r); !e.fits(x) {
					t.Errorf("%s: %s", e.name, shown(x))
				}
			})
		}
	}
	die(20) // what is made once is made now
	before := holds(t, l)
	begin := time.Now()
	die(n)
	t.Logf("%d deaths took %s", n, time.Since(begin).Round(time.Millisecond))
	const slack = 1 << 20     // of the heap: it holds the tests' own reports, and caches
	const shimSlack = 3 << 20 // of the shim's memory, which holds garbage too, and the marks of two minutes
	const shimThreads = 2     // which its runtime may add at any time
	var after held
	enough := func() bool {
		after = holds(t, l)
		return after.goroutines <= before.goroutines && after.descriptors <= before.descriptors && after.folder <= before.folder &&
			after.children <= before.children && after.heap <= before.heap+slack &&
			after.shim.anonymous <= before.shim.anonymous+shimSlack && after.shim.threads <= before.shim.threads+shimThreads &&
			after.shim.descriptors <= before.shim.descriptors && after.shim.children <= before.shim.children
	}
	for deadline := time.Now().Add(20 * time.Second); !enough() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // between collections
	}
	t.Logf("before: %s", before)
	t.Logf("after:  %s", after)
	if !enough() {
		t.Error("the host holds more than before")
	}
}
