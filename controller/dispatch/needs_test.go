package dispatch

import (
	"math"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// learned is a profile of equal runs.
func learned(runs, samples int, cpu float64, memory int64) *Profile {
	p := &Profile{runs: runs}
	for range samples {
		p.observe(cpu, memory, noon)
	}
	return p
}

func TestNeeds(t *testing.T) {
	class := &skalds.ClassInfo{ClassName: "Demo", Resources: skalds.Resources{CPUCores: 0.5, MemoryBytes: 100 * mib}}
	for _, tt := range []struct {
		name  string
		r     Request
		class *skalds.ClassInfo
		p     *Profile
		cpu   float64
		mem   int64 // exact, or a fifth more where learned
		firm  bool
		from  string
	}{
		{name: "nothing", cpu: SmallCPUCores, mem: SmallMemoryBytes, from: "nothing known"},
		{name: "class", class: class, cpu: 0.5, mem: 100 * mib, from: "class default"},
		{name: "runs before class", class: class, p: learned(12, 50, 1, 200*mib), cpu: 1, mem: 200 * mib, from: "learned from 12 runs"},
		{name: "one run", p: learned(1, 50, 1, 200*mib), cpu: 1, mem: 200 * mib, from: "learned from 1 run"},
		{name: "too few samples", class: class, p: learned(1, enoughSamples-1, 1, 200*mib), cpu: 0.5, mem: 100 * mib, from: "class default"},
		{
			name: "request before all", class: class, p: learned(3, 50, 1, 200*mib),
			r: Request{Resources: skalds.Resources{CPUCores: 2, MemoryBytes: gib}}, cpu: 2, mem: gib, firm: true, from: "requested",
		},
		{
			name: "each by itself", class: class, r: Request{Resources: skalds.Resources{MemoryBytes: gib}},
			cpu: 0.5, mem: gib, from: "cpu class default, memory requested",
		},
		{
			name: "a limit bounds what is guessed", class: class, r: Request{Limits: skalds.Limits{CPUCores: 0.1, MemoryBytes: 10 * mib}},
			cpu: 0.1, mem: 10 * mib, from: "class default",
		},
		{
			name:  "the limit of the class too",
			class: &skalds.ClassInfo{Resources: skalds.Resources{CPUCores: 4, MemoryBytes: gib}, Limits: skalds.Limits{CPUCores: 1, MemoryBytes: 64 * mib}},
			cpu:   1, mem: 64 * mib, from: "class default",
		},
		{
			name: "a raised limit is counted whole", class: class, p: learned(2, 50, 1, 90*mib),
			r: Request{Limits: skalds.Limits{MemoryBytes: 128 * mib}, Raised: 192 * mib}, cpu: 1, mem: 192 * mib, from: "cpu learned from 2 runs, memory raised limit",
		},
		{
			name: "also beyond what was requested", r: Request{Resources: skalds.Resources{MemoryBytes: 64 * mib}, Raised: 192 * mib},
			cpu: SmallCPUCores, mem: 192 * mib, from: "cpu nothing known, memory raised limit",
		},
		{
			name: "but not below it", r: Request{Resources: skalds.Resources{MemoryBytes: gib}, Raised: 192 * mib},
			cpu: SmallCPUCores, mem: gib, from: "cpu nothing known, memory requested",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := needs(&tt.r, tt.class, tt.p, noon)
			if math.Abs(n.CPUCores-tt.cpu) > tt.cpu/5 || n.MemoryBytes < tt.mem || n.MemoryBytes > tt.mem+tt.mem/5 || n.FirmCPU != tt.firm || n.From() != tt.from {
				t.Errorf("%+v, want %.2f cores, %d MiB, firm %v, from %q", n, tt.cpu, tt.mem/mib, tt.firm, tt.from)
			}
		})
	}
}

func TestAProfileForgets(t *testing.T) {
	p := &Profile{}
	within := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s is %.1f, want %.1f to %.1f", what, got, low, high)
		}
	}
	memory := func(at time.Time) float64 { return float64(p.needMemory(at)) / mib }
	now := noon
	observe := func(d time.Duration, cpu float64, memory int64) {
		for range int(d / time.Second) {
			now = now.Add(time.Second)
			p.observe(cpu, memory, now)
		}
	}
	observe(2*time.Second, 4, 1000*mib) // a start that takes much
	observe(98*time.Second, 1, 100*mib)
	within("memory soon after the peak", memory(now), 700, 1000)
	within("CPU, whose peaks are shared", p.needCPU(), 1, 1.2)
	observe(30*time.Minute, 1, 100*mib)
	within("memory six half-lives later", memory(now), 100, 120)
	observe(time.Second, 1, 500*mib)
	within("memory after a new peak", memory(now), 500, 500)
	observe(2*time.Hour, 0.5, 50*mib)
	within("memory of a version that takes less now", memory(now), 50, 60)
	within("CPU of it", p.needCPU(), 0.5, 0.6)
	now = now.Add(1000 * time.Hour) // weights that went on growing would be infinite
	observe(time.Second, 2, 300*mib)
	within("CPU after a long rest", p.needCPU(), 2, 2.4)
	within("memory after it", memory(now), 300, 360)
}

func TestQuantile(t *testing.T) {
	var m measure
	for i := range 100 {
		m.add(float64(i+1), 0.001, noon)
	}
	for _, q := range []float64{0.5, 0.95, 1} {
		if got, want := m.quantile(q), q*100; got < want || got > want*histGrowth {
			t.Errorf("quantile %.2f is %.1f, want %.1f or up to a fifth more", q, got, want)
		}
	}
	var zero measure
	zero.add(0, 1<<16, noon)
	if got := zero.quantile(0.95); got != 1<<16 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestWhatIsLearned(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("n"))
	l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "t", ClassName: "Demo"}, Executor: "n"}, noon)
	observe := func(times int, in skalds.InstanceStatus) {
		for range times {
			l.Observe(beat("n", func(hb *skalds.Heartbeat) { hb.Instances = []skalds.InstanceStatus{in} }), noon)
		}
	}
	profile := func() *Profile { return l.profiles[profileKey{"Demo", "demo@1.0.0"}] }
	paused := instance("t", 0, 10*mib)
	paused.State = skalds.Paused
	waiting := instance("t", 0, 0)
	waiting.PID = 0
	for name, in := range map[string]skalds.InstanceStatus{"a frozen task": paused, "one without a process": waiting, "a stranger": instance("u", 1, gib)} {
		if observe(20, in); profile() != nil {
			t.Errorf("%s was learned from", name)
		}
	}
	observe(20, instance("t", 1, 200*mib))
	second := instance("t", 1, 200*mib)
	second.Attempt = 2
	observe(20, second)
	if p := profile(); p == nil || p.Runs() != 2 {
		t.Fatalf("profile %+v", p)
	}
	r := request("next")
	v, ok := l.Place(&r, noon)
	if !ok || v.Needs.From() != "learned from 2 runs" || v.Needs.MemoryBytes < 200*mib {
		t.Errorf("the next task is counted for %+v", v.Needs)
	}
	other := request("other", func(t *skalds.Task) { t.ClassName = "Else" })
	if n := l.NeedsOf(&other, noon); n.From() != "nothing known" {
		t.Errorf("another class: %+v", n)
	}
}

func TestVersions(t *testing.T) {
	workers := []skalds.WorkerInfo{
		worker("demo@1.0.0", demo()), worker("demo@1.10.0", demo()), worker("demo@1.9.0", demo()), worker("demo@2.0.0-rc.1", demo()),
		worker("demo@none", demo()), worker("x@9.0.0", skalds.ClassInfo{ClassName: "Other"}),
	}
	for text, want := range map[string]string{
		"": "demo@1.10.0", "^1": "demo@1.10.0", "1.9.0": "demo@1.9.0", "<1.9": "demo@1.0.0", "~1.9": "demo@1.9.0", "3": "", "2.0.0-rc.1": "demo@2.0.0-rc.1",
	} {
		v, err := ParseVersions(text)
		if err != nil {
			t.Fatal(err)
		}
		w, class, known := v.Pick("Demo", workers)
		got := ""
		if w != nil {
			got = w.Ref()
		}
		if got != want || (class != nil) != (want != "") || len(known) != 4 {
			t.Errorf("%q picks %q of %q, want %q", text, got, known, want)
		}
		o := v.pick(offers(workers)["Demo"])
		if (o != nil) != (want != "") || o != nil && o.ref != want {
			t.Errorf("%q: placing picks %+v, want %q", text, o, want)
		}
	}
	if _, err := ParseVersions("about one"); err == nil {
		t.Error("nonsense is taken for a version")
	}
}

func TestShapes(t *testing.T) {
	base := request("a")
	if same := request("b"); same.Shape() != base.Shape() {
		t.Error("two like tasks differ in shape")
	}
	for name, change := range map[string]func(*skalds.Task){
		"class":       func(t *skalds.Task) { t.ClassName = "Else" },
		"version":     func(t *skalds.Task) { t.Version = "^1" },
		"resources":   asks(1, 0),
		"limits":      func(t *skalds.Task) { t.Limits.PIDs = 1 },
		"constraints": func(t *skalds.Task) { t.Constraints = []string{"zone=a"} },
		"isolation":   func(t *skalds.Task) { t.Isolation.NoNewPrivileges = true },
		"avoided":     func(t *skalds.Task) { t.AvoidNode = "n" },
		"refusal":     func(t *skalds.Task) { t.Refusals = []skalds.Refusal{{Node: "n"}} },
	} {
		if r := request("a", change); r.Shape() == base.Shape() {
			t.Errorf("another %s has the same shape", name)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"strategy":       func(c *Config) { c.Strategy = "best" },
		"cpu_overcommit": func(c *Config) { c.CPUOvercommit = 0.5 },
		"max_scored":     func(c *Config) { c.MaxScored = 0 },
	} {
		c := DefaultConfig()
		if change(&c); c.Validate() == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}
