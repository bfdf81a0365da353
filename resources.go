package skalds

// Four words that are never mixed: Resources are requested, Limits are enforced, Usage is measured, Capacity is what a
// node has. CPU is in cores (1.5 = one and a half), memory in bytes.

// Resources are what a task asks for; the dispatcher reserves them until measurements take over.
type Resources struct {
	CPUCores    float64 `json:"cpuCores,omitempty" yaml:"cpuCores,omitempty"`
	MemoryBytes int64   `json:"memoryBytes,omitempty" yaml:"memoryBytes,omitempty"`
}

// Add returns r + o.
func (r Resources) Add(o Resources) Resources {
	return Resources{r.CPUCores + o.CPUCores, r.MemoryBytes + o.MemoryBytes}
}

// Limits are what is enforced on the whole process tree of a task. Zero means no limit.
type Limits struct {
	CPUCores    float64 `json:"cpuCores,omitempty" yaml:"cpuCores,omitempty"`
	MemoryBytes int64   `json:"memoryBytes,omitempty" yaml:"memoryBytes,omitempty"`
	// PIDs bounds processes and threads together, as the kernel's pids controller counts. A worker of Go alone has about ten.
	PIDs int `json:"pids,omitempty" yaml:"pids,omitempty" doc:"processes and threads of the tree; a worker alone has about ten threads"`
	// IOWeight is the share of the disk when several tasks want it, as io.weight of a control group: 1 to 10000, where 100 is
	// what everybody has; 0: nothing is set. It bounds nobody who is alone. A node that cannot hold it says so in its
	// Enforcement, and runs the task all the same.
	IOWeight int `json:"ioWeight,omitempty" yaml:"ioWeight,omitempty" doc:"share of the disk when several tasks want it, 1 to 10000; 100 is what everybody has; 0: nothing is set"`
}

// MaxIOWeight is the largest Limits.IOWeight.
const MaxIOWeight = 10000

// MinMemoryLimit is the least limit of memory: no process of any language comes to its first instruction with less, and what
// the kernel then kills for want of memory may be the host's own.
const MinMemoryLimit = 8 << 20

// IsZero reports whether nothing is limited.
func (l Limits) IsZero() bool { return l == Limits{} }

// Usage is what was measured: CPU averaged over the last sampling round, memory as cgroup memory or PSS, never RSS.
type Usage struct {
	CPUCores    float64 `json:"cpuCores"`
	MemoryBytes int64   `json:"memoryBytes"`
}

// Max returns the larger of each figure.
func (u Usage) Max(o Usage) Usage {
	return Usage{max(u.CPUCores, o.CPUCores), max(u.MemoryBytes, o.MemoryBytes)}
}

// Capacity is what a node has to give to tasks.
type Capacity struct {
	CPUCores    float64 `json:"cpuCores"`
	MemoryBytes int64   `json:"memoryBytes"`
}

// UsageSample is one point of a task's usage history: a moment, or the average of a span.
type UsageSample struct {
	At       int64   `json:"at" doc:"ms since epoch; of a span its beginning"`
	Usage    Usage   `json:"usage" doc:"at the moment, or the average of the span"`
	Progress float64 `json:"progress,omitempty" doc:"percent"`
	Peak     Usage   `json:"peak,omitzero" doc:"the highest within the span"`
	Span     int64   `json:"spanMs,omitempty" doc:"ms; left out: a moment"`
}

// Mechanism says what holds a limit on a node.
type Mechanism string

// The mechanisms that can hold a limit.
const (
	MechanismCgroup2   Mechanism = "cgroup2"
	MechanismCgroup1   Mechanism = "cgroup1"
	MechanismRlimit    Mechanism = "rlimit"
	MechanismWatchdog  Mechanism = "watchdog"
	MechanismDutyCycle Mechanism = "dutycycle"
	MechanismNone      Mechanism = "none"
)

// Enforced says by what a limit is held on a node and what it is worth.
type Enforced struct {
	Mechanism Mechanism `json:"mechanism" doc:"what holds it: cgroup2, cgroup1, rlimit, watchdog, dutycycle or none"`
	Overshoot string    `json:"overshoot,omitempty" doc:"how far beyond the limit a task can get, in words with a unit"`
	// Kills and MaxOver are what was really seen on the node since its host was started: trees that were ended over the limit,
	// and the furthest that any tree was beyond it, in bytes, cores, or processes and threads.
	Kills   int     `json:"kills,omitempty" doc:"trees that were ended over the limit since the host was started"`
	MaxOver float64 `json:"maxOver,omitempty" doc:"the furthest that a tree was seen beyond the limit since the host was started: bytes, cores, or processes and threads"`
}

// Enforcement lists it for each limit. IO is left out where no node could hold it.
type Enforcement struct {
	Memory Enforced `json:"memory"`
	CPU    Enforced `json:"cpu"`
	PIDs   Enforced `json:"pids"`
	IO     Enforced `json:"io,omitzero" doc:"of limits.ioWeight; left out: no node like this could hold it"`
}
