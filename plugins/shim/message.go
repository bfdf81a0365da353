package shim

import (
	"encoding/json"
	"syscall"
	"time"
)

// The words of the protocol between host and shim: JSON in packets, descriptors beside them. Both ends are the same
// program, but a shim that was exchanged in place may be a newer one than its host: fields are added, never changed.
const (
	kindStart    = "start"    // → kindStarted, later kindExited and kindCleared
	kindSignal   = "signal"   // one process or its group
	kindKill     = "kill"     // the whole tree
	kindAlive    = "alive"    // → kindAlive
	kindMark     = "mark"     // an instance is of another epoch or keeps to another rule now
	kindFarewell = "farewell" // what to know for telling that the host has gone
	kindExchange = "exchange" // run another file in this process → kindExchanged
	kindStarted  = "started"
	kindExited   = "exited"
	kindCleared  = "cleared"
	kindChanged  = "exchanged"
	kindSilent   = "silent" // the last word: all was killed because the host stood still
)

// maxPacket bounds a message: the sockets take 200 KiB.
const maxPacket = 128 << 10

// request is what a host says.
type request struct {
	Kind   string          `json:"kind"`
	ID     uint64          `json:"id,omitempty"`
	Spec   *Spec           `json:"spec,omitempty"`
	Signal syscall.Signal  `json:"signal,omitempty"`
	Group  bool            `json:"group,omitempty"`
	Lease  int64           `json:"lease,omitempty"` // ns of CLOCK_BOOTTIME, 0: none
	Mark   *Mark           `json:"mark,omitempty"`
	Path   string          `json:"path,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// reply is what a shim says.
type reply struct {
	Kind  string        `json:"kind"`
	ID    uint64        `json:"id,omitempty"`
	PID   int           `json:"pid,omitempty"`
	Start uint64        `json:"start,omitempty"` // start time in ticks, as procstats.ID has it
	Errno syscall.Errno `json:"errno,omitempty"`
	Error string        `json:"error,omitempty"`
	Stage string        `json:"stage,omitempty"`
	Exit  *Exit         `json:"exit,omitempty"`
}

// Mark is what a shim knows of an instance for the case that it has to act alone.
type Mark struct {
	TaskID string `json:"taskId,omitempty"`
	Epoch  int64  `json:"epoch,omitempty"`
	Keep   bool   `json:"keep,omitempty"` // lives on when the lease is over
}

// Rlimit is a limit of the process itself, see setrlimit(2). One beyond what the shim may give is cut to that.
type Rlimit struct {
	Resource int    `json:"resource"`
	Value    uint64 `json:"value"`
}

// IDMap maps an id in a user namespace to one outside.
type IDMap struct {
	Inside, Outside, Size int
}

// Spec is one process to be started. Standard input is /dev/null; standard output and error are given beside it; the
// process finds a pipe as descriptor 3 that closes when the shim ends.
type Spec struct {
	Path     string   `json:"path"`
	Args     []string `json:"args"` // with the name
	Env      []string `json:"env"`  // added to the shim's own, which its host has chosen
	Dir      string   `json:"dir,omitempty"`
	Nice     int      `json:"nice,omitempty"` // added to the shim's own
	OOMScore int      `json:"oomScore,omitempty"`
	Rlimits  []Rlimit `json:"rlimits,omitempty"`

	CgroupDir string   `json:"cgroupDir,omitempty"` // a v2 group: joined by the fork itself
	Join      []string `json:"join,omitempty"`      // tasks files of v1 groups
	Leave     []string `json:"leave,omitempty"`     // those of the groups that the shim is in
	Cgroups   []string `json:"cgroups,omitempty"`   // folders that are removed after the end

	UID        *int    `json:"uid,omitempty"` // nil: that of the shim; else it has no groups but GID
	GID        int     `json:"gid,omitempty"` // with UID
	Cloneflags uintptr `json:"cloneflags,omitempty"`
	UIDMap     []IDMap `json:"uidMap,omitempty"`
	GIDMap     []IDMap `json:"gidMap,omitempty"`

	Restrict *Restrict `json:"restrict,omitempty"` // nil: it is started as it is

	Mark Mark `json:"mark"`
}

// Exit is how a process ended.
type Exit struct {
	Status syscall.WaitStatus `json:"status"`
	CPU    time.Duration      `json:"cpu"`    // user and system, with children that it waited for
	MaxRSS int64              `json:"maxRSS"` // bytes; 0 where it cannot be told from the shim's own
	Why    string             `json:"why,omitempty"`
	Lost   bool               `json:"lost,omitempty"` // the status is not known: nobody could wait for it
}

// The steps at which a start can fail.
const (
	StageJoin     = "join"     // the control groups
	StageFork     = "fork"     // the process, or the file
	StageRestrict = "restrict" // the process that is to restrict itself
	StageLimits   = "limits"   // of the process itself
)

// Reasons of a shim for killing.
const (
	WhyLease = "lease" // the lease was over and the host did not act
	WhyShim  = "shim"  // the shim itself has died
	// WhySilence says that the host stood still for so long that everything was killed, and the cluster was told so.
	WhySilence = "silence"
)
