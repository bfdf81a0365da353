package conf

import (
	"fmt"
	"slices"
	"strings"
)

// The settings that are one of a few words. Any case is read; the spelling kept is that of the lists below.
type (
	// HostMode says where a host's tasks come from.
	HostMode string
	// Environment is what kind of installation this is.
	Environment string
	// LogLevel is the least severe level that is logged, in the original's words.
	LogLevel string
	// LogFormat is the form of the program's own log.
	LogFormat string
	// ControllerMode says what a controller does, in the original's words.
	ControllerMode string
	// Strategy says which of several nodes with room gets a task.
	Strategy string
	// Mechanism is how one authenticates to Kafka.
	Mechanism string
)

// What a controller does. One that does not dispatch serves what the others have stored, and never leads.
const (
	ModeDispatcher ControllerMode = "DISPATCHER" // everything; one of several leads
	ModeMonitor    ControllerMode = "MONITOR"    // API and page
	ModeController ControllerMode = "CONTROLLER" // API only
)

var (
	hostModes       = []string{"node", "edge", "single_process"}
	environments    = []string{"DEV", "PRODUCTION"}
	logLevels       = []string{"TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"}
	logFormats      = []string{"text", "json"}
	controllerModes = []string{string(ModeDispatcher), string(ModeMonitor), string(ModeController)}
	strategies      = []string{"FIT", "SPREAD", "LEAST_TASKS", "ROUND_ROBIN", "RANDOM"}
	mechanisms      = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
)

// UnmarshalText reads one of the modes.
func (m *HostMode) UnmarshalText(text []byte) error { return word(m, text, hostModes) }

// UnmarshalText reads one of the environments.
func (e *Environment) UnmarshalText(text []byte) error { return word(e, text, environments) }

// UnmarshalText reads one of the levels.
func (l *LogLevel) UnmarshalText(text []byte) error { return word(l, text, logLevels) }

// UnmarshalText reads one of the formats.
func (f *LogFormat) UnmarshalText(text []byte) error { return word(f, text, logFormats) }

// UnmarshalText reads one of the modes.
func (m *ControllerMode) UnmarshalText(text []byte) error { return word(m, text, controllerModes) }

// UnmarshalText reads one of the strategies.
func (s *Strategy) UnmarshalText(text []byte) error { return word(s, text, strategies) }

// UnmarshalText reads one of the mechanisms.
func (m *Mechanism) UnmarshalText(text []byte) error { return word(m, text, mechanisms) }

func (HostMode) words() []string       { return hostModes }
func (Environment) words() []string    { return environments }
func (LogLevel) words() []string       { return logLevels }
func (LogFormat) words() []string      { return logFormats }
func (ControllerMode) words() []string { return controllerModes }
func (Strategy) words() []string       { return strategies }
func (Mechanism) words() []string      { return mechanisms }

func word[T ~string](into *T, text []byte, known []string) error {
	s := strings.TrimSpace(string(text))
	i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, s) })
	if i >= 0 {
		*into = T(known[i])
		return nil
	}
	if near := nearest(s, known); near != "" {
		return fmt.Errorf("%q is none of %s: did you mean %s?", s, strings.Join(known, ", "), near)
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(known, ", "))
}

// Name is the level in the words of hclog: trace, debug, info, warn or error.
func (l LogLevel) Name() string {
	switch l {
	case "SUCCESS":
		return "info"
	case "WARNING":
		return "warn"
	case "CRITICAL":
		return "error"
	}
	return strings.ToLower(string(l))
}

// Name is the strategy in the words of the dispatcher, fit or spread. What the original's three strategies have in common
// is that they do not fill one node before the next.
func (s Strategy) Name() string {
	if s == "FIT" {
		return "fit"
	}
	return "spread"
}
