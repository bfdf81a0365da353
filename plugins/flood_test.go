package plugins

import (
	"context"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// ways are those in which a worker can write, and the streams that the lines belong to.
var ways = []struct {
	name   string
	stream Stream
}{{"os.Stdout", StreamOut}, {"os.Stderr", StreamErr}, {"fd 1", StreamOut}, {"fd 2", StreamErr}, {"hclog", StreamLog}}

func TestALineOfAMegabyteArrivesWhole(t *testing.T) {
	l, p := setup(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			const size = MaxLine - 1
			a := launch(t, l, p, script{Do: "pour", Text: way.name, N: size, Bytes: size}, LaunchSpec{})
			if x := a.end(t); x.Kind != skalds.ExitCompleted {
				t.Fatalf("got %+v", x)
			}
			want := strings.Repeat("x", size-len("last")) + "last"
			found := false
			for _, line := range a.said() {
				if text := strings.TrimPrefix(line.Text, "poured field="); text == want {
					found = line.Stream == way.stream && !line.Continued
				}
			}
			if !found {
				for _, line := range a.said() {
					t.Errorf("%s, continued %v, %d bytes: %.60s", line.Stream, line.Continued, len(line.Text), line.Text)
				}
			}
		})
	}
}

func TestAPanicIsAnErrorInTheLog(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "panic-goroutine", Text: "no frames"}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitPanic {
		t.Fatalf("got %+v", x)
	}
	seen := 0
	for _, line := range a.said() {
		if strings.HasPrefix(line.Text, "panic: no frames") || strings.HasPrefix(line.Text, "goroutine ") {
			seen++
			if line.Stream != StreamErr || line.Level.String() != "error" {
				t.Errorf("%+v", line)
			}
		}
	}
	if seen < 2 {
		t.Errorf("the panic is not in the log: %+v", a.said())
	}
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// A worker that floods goes on, is heard, costs its host little, and what was dropped is counted to the byte.
func TestAFloodWedgesNothing(t *testing.T) {
	notWithRaceDetector(t)
	l, p := setup(t)
	const total, size = 100 << 20, 100
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			a := launchPouring(t, l, p, way.name, size, total)
			before, began, used := heap(), time.Now(), cpuTime(t)
			most, asked := before, 0
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for poured := false; !poured; {
				select {
				case <-a.over:
					poured = true
				case <-tick.C:
					if time.Since(began) > 2*time.Minute {
						t.Fatal("the worker does not go on")
					}
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					_, err := a.Worker().Describe(ctx, protocol.DescribeRequest{Brief: true})
					cancel()
					if err != nil {
						select {
						case <-a.over:
						default:
							t.Fatalf("RPC does not answer: %v", err)
						}
					}
					asked++
					most = max(most, heap())
				}
			}
			took, cpu := time.Since(began), cpuTime(t)-used
			if x := a.end(t); x.Kind != skalds.ExitCompleted {
				t.Fatalf("got %+v", x)
			}
			if tail := a.StderrTail(); !strings.Contains(tail[len(tail)-size:], "xxlast") {
				t.Errorf("the last line is not in the tail, which ends with %q", tail[len(tail)-size:])
			}
			through, dropped, told := 0, 0, 0
			for _, line := range a.said() {
				if line.Stream == StreamHost {
					told++
					dropped += droppedLines(t, line)
				} else {
					through++
				}
			}
			t.Logf("%.1f MB/s, %.1f %% of a core, heap +%d KiB, %d calls answered, %d lines through, %d dropped, told %d times",
				total/took.Seconds()/1e6, 100*cpu.Seconds()/took.Seconds(), (most-before)>>10, asked, through, dropped, told)
			if want := total / size; through+dropped < want || through+dropped > want+1 {
				t.Errorf("%d lines came through and %d were dropped of %d", through, dropped, want)
			}
			if float64(told) > took.Seconds()+2 {
				t.Errorf("told %d times in %s", told, took)
			}
			if most > before+64<<20 {
				t.Errorf("the host's memory grew by %d MiB", (most-before)>>20)
			}
		})
	}
}

func TestStopInAFlood(t *testing.T) {
	l, p := setup(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			a := launchPouring(t, l, p, way.name, 1000, 1<<50)
			eventually(t, "the flood is held back", 30*time.Second, a.out.isFlooded)
			began := time.Now()
			stopped := make(chan error, 1)
			go func() { stopped <- a.Stop(t.Context(), string(skalds.ExitCancelled), 10*time.Second) }()
			x := a.end(t)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if x.Kind != skalds.ExitCancelled {
				t.Errorf("got %+v", x)
			}
		})
	}
}

// launchPouring starts a worker that writes total bytes in lines of size.
func launchPouring(t testing.TB, l *Launcher, p *Plugin, way string, size int, total int64) *attempt {
	t.Helper()
	return launch(t, l, p, script{Do: "pour", Text: way, N: size, Bytes: total}, LaunchSpec{})
}
