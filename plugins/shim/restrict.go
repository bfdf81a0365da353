package shim

// Restrict is what a process takes from itself before it becomes the worker: what its parent cannot take from it. The program
// of the shim is run in its place for that, see restrictAndExec, which takes as long as a small program's start.
type Restrict struct {
	// Secret stands in the text of a failure, so that no worker can pretend one.
	Secret string `json:"secret"`
	// NoNewPrivileges for good; Paths have it, too.
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// Paths are all files that it reaches; nil: what its user may.
	Paths *Paths `json:"paths,omitempty"`
	// Rlimits are those of the Spec: the kernel may not let a shim limit a process of another user.
	Rlimits []Rlimit `json:"rlimits,omitempty"`
}

// Paths are files and folders with all that is below them.
type Paths struct {
	ReadOnly  []string `json:"readOnly,omitempty"` // and to execute
	ReadWrite []string `json:"readWrite,omitempty"`
	System    []string `json:"system,omitempty"`  // as ReadOnly, those that exist
	Devices   []string `json:"devices,omitempty"` // as ReadWrite, those that exist
}

// ExitRestrict is the exit code of a process that could not restrict itself. It has written why, and RestrictFault.
const ExitRestrict = 70

// RestrictFault is how the line begins in which such a process says what is wrong.
func RestrictFault(secret string) string {
	return "skalds cannot start this process [" + secret + "]: "
}
