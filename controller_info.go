package skalds

// ControllerInfo is what a controller announces about itself, so that hosts find it for what is too large for the bus.
type ControllerInfo struct {
	ID      string `json:"id"`
	URL     string `json:"url"` // of its REST interface, as hosts reach it
	Version string `json:"version,omitempty"`
	Mode    string `json:"mode,omitempty"`   // its SYSTEM_CONTROLLER_MODE
	Leader  bool   `json:"leader,omitempty"` // it decides
	At      int64  `json:"at"`               // ms since epoch, by its own clock
}
