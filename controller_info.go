package skalds

// ControllerInfo is what a controller announces about itself, so that hosts find it for what is too large for the bus.
type ControllerInfo struct {
	ID      string `json:"id"`
	URL     string `json:"url"` // of its REST interface, as hosts reach it
	Version string `json:"version,omitempty"`
	Mode    string `json:"mode,omitempty"`   // its SYSTEM_CONTROLLER_MODE
	Leader  bool   `json:"leader,omitempty"` // it decides
	// LeaseMillis is how long a node lives for it after a heartbeat, which must be the same for all; 0: not said.
	LeaseMillis int64 `json:"leaseMs,omitempty"`
	At          int64 `json:"at"` // ms since epoch, by its own clock
}
