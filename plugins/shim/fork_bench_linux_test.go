package shim

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFork starts the same program by the shim and by this process in turn, and tells the medians until the program is
// executed and until it has been reaped. 0.3 ms more are promised for the first.
func BenchmarkFork(b *testing.B) {
	const path = "/bin/true"
	s, err := Start(Config{Env: os.Environ()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	null := devNull(b)
	var times [4][]time.Duration // until it runs and until it is over; by the shim, then directly
	for b.Loop() {
		begin := time.Now()
		c, err := s.Start(Spec{Path: path, Args: []string{path}}, null, null, 10*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		times[0] = append(times[0], time.Since(begin))
		<-c.Exited()
		times[1] = append(times[1], time.Since(begin))

		begin = time.Now()
		p, err := os.StartProcess(path, []string{path}, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{null, null, null}, Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}})
		if err != nil {
			b.Fatal(err)
		}
		times[2] = append(times[2], time.Since(begin))
		if _, err := p.Wait(); err != nil {
			b.Fatal(err)
		}
		times[3] = append(times[3], time.Since(begin))
	}
	median := func(t []time.Duration) float64 {
		slices.Sort(t)
		return float64(t[len(t)/2].Microseconds()) / 1000
	}
	by, over := median(times[0]), median(times[1])
	direct, directOver := median(times[2]), median(times[3])
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(by, "ms/shim")
	b.ReportMetric(direct, "ms/direct")
	b.ReportMetric(by-direct, "ms/more")
	b.ReportMetric(over-directOver, "ms/more-until-reaped")
}
