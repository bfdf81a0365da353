package conf

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/skalds-go/skalds"
)

// Sources are the places where settings come from: flags win over the environment, that over .env, that over the file,
// that over the defaults.
type Sources struct {
	File    string            // a YAML file, which must exist; empty: none
	DotEnv  string            // path of .env, which need not exist; empty: none
	Environ []string          // "NAME=value", as os.Environ gives them; an empty value counts as none
	Flags   map[string]string // those really given, by the keys of skalds.yml; "listen" is host:port for both
}

// Loaded are settings with their origins.
type Loaded struct {
	Settings Settings
	// From says for every key where its value comes from: "default", "skalds.yml:12", ".env:3", "environment KAFKA_HOST" or
	// "flag --listen".
	From map[string]string
	// Warnings are things that were read but have no effect, or not the one expected.
	Warnings []string
}

// place is where a value comes from.
type place struct {
	path string // "skalds.yml", "environment KAFKA_HOST", "flag --listen"; "" for a default
	line int    // in files, from 1
	env  string // the variable, where the path does not say it
}

func (p place) String() string {
	switch {
	case p.path == "":
		return "default"
	case p.line > 0:
		return fmt.Sprintf("%s:%d", p.path, p.line)
	}
	return p.path
}

// loader reads the sources one after the other, and collects all that is wrong with them.
type loader struct {
	keys   map[string]Key // by name
	names  []string
	out    *Loaded
	places map[string]place
	bad    map[string]bool // keys whose value did not parse
	faults []error
}

// Load reads the settings. Its error names all faults at once, each with its place; where there is one, nothing is loaded.
func Load(src Sources) (*Loaded, error) {
	l := newLoader()
	if src.File != "" {
		l.file(src.File)
	}
	if src.DotEnv != "" {
		l.dotEnv(src.DotEnv)
	}
	l.environ(src.Environ)
	l.flags(src.Flags)
	return l.finish()
}

func newLoader() *loader {
	keys := Keys()
	l := &loader{
		keys: map[string]Key{}, names: keyNames(keys), places: map[string]place{}, bad: map[string]bool{},
		out: &Loaded{Settings: DefaultSettings(), From: map[string]string{}},
	}
	for _, k := range keys {
		l.keys[k.Name] = k
	}
	return l
}

// set gives a key its value from a source, over what others gave it before.
func (l *loader) set(key, text string, at place) {
	l.places[key] = at
	delete(l.bad, key)
	if err := setText(reflect.ValueOf(&l.out.Settings).Elem().Field(l.keys[key].index), text); err != nil {
		l.bad[key] = true
		l.faultAt(key, at, err.Error())
	}
}

func (l *loader) faultAt(key string, at place, message string) {
	switch {
	case at.path == "":
		l.faults = append(l.faults, skalds.Field(key, message))
	case at.line == 0:
		l.faults = append(l.faults, &Fault{Path: at.path, Message: message})
	case at.env != "":
		l.faults = append(l.faults, &Fault{Path: at.path, Line: at.line, Field: at.env, Message: message})
	default:
		l.faults = append(l.faults, &Fault{Path: at.path, Line: at.line, Field: key, Message: message})
	}
}

func (l *loader) warn(at place, format string, args ...any) {
	l.out.Warnings = append(l.out.Warnings, at.String()+": "+fmt.Sprintf(format, args...))
}

// environ reads variables; the first of a name counts, as for os.Getenv.
func (l *loader) environ(environ []string) {
	seen := map[string]bool{}
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		l.variable(name, value, place{path: "environment " + name})
	}
}

// variable reads one variable. Those of other programs are none of ours.
func (l *loader) variable(name, value string, at place) {
	key := strings.ToLower(name)
	switch _, known := l.keys[key]; {
	case value == "":
	case known && name == strings.ToUpper(name):
		if serviceLink.MatchString(value) && strings.HasSuffix(key, "_port") {
			l.warn(at, "is left out: Kubernetes sets it for a service of that name; set enableServiceLinks: false, or the port in the file")
			return
		}
		l.set(key, value, at)
	case l.foreign(name, value):
	case strings.HasPrefix(name, "SKALDS_"), strings.HasPrefix(name, "SKALD_"):
		advice := "it has no effect"
		if near := l.nearest(key); near != "" {
			advice += fmt.Sprintf(": did you mean %s?", strings.ToUpper(near))
		}
		l.warn(at, "there is no such setting, %s", advice)
	case at.line > 0: // of .env, which may hold what is meant for others
		if near := nearest(key, l.names); near != "" {
			l.warn(at, "%s is no setting of skalds and has no effect here: did you mean %s?", name, strings.ToUpper(near))
		}
	}
}

var (
	// serviceLink is the value of variables like REDIS_PORT that Kubernetes makes for a service called redis.
	serviceLink     = regexp.MustCompile(`^(tcp|udp|sctp)://`)
	serviceLinkName = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$`)
	// workerNames are what a host tells its workers; a skalds command that a worker runs inherits them.
	workerNames = []string{
		"SKALDS_WORKER", "SKALDS_HOST_SOCKET", "SKALDS_TOKEN_FILE", "SKALDS_LIVENESS_FD", "SKALDS_LAUNCH_ID", "SKALDS_INSTANCE_DIR",
	}
)

// foreign reports whether a variable has one of our prefixes and is no setting nevertheless.
func (l *loader) foreign(name, value string) bool {
	return strings.HasPrefix(name, "SKALDS_TEST_") || strings.HasPrefix(name, "SKALDS_SECRET_") || slices.Contains(workerNames, name) ||
		serviceLink.MatchString(value) || serviceLinkName.MatchString(name)
}

// nearest is the key that was probably meant; prefixes are easily left out or added.
func (l *loader) nearest(key string) string {
	key = strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	bare := strings.TrimPrefix(strings.TrimPrefix(key, "skalds_"), "skald_")
	for _, guess := range []string{key, bare, "skalds_" + bare, "skald_" + bare} {
		if _, known := l.keys[guess]; known {
			return guess
		}
	}
	return nearest(key, l.names)
}

// listenFlag is a flag for two keys.
const listenFlag = "listen"

func (l *loader) flags(flags map[string]string) {
	for _, key := range sortedKeys(flags) {
		k, known := l.keys[key]
		switch {
		case known:
			l.set(key, flags[key], place{path: "flag " + k.Flag})
		case key == listenFlag:
			l.listen(flags[key])
		default:
			l.faultAt(key, place{path: "flag --" + key}, "there is no such setting")
		}
	}
}

func (l *loader) listen(text string) {
	at := place{path: "flag --" + listenFlag}
	host, port, err := net.SplitHostPort(strings.TrimSpace(text))
	if err != nil || host == "" || port == "" {
		l.faultAt("", at, fmt.Sprintf("%q is not of the form 127.0.0.1:8000 (0.0.0.0:8000 for all addresses)", text))
		return
	}
	l.set("system_controller_host", host, at)
	l.set("system_controller_port", port, at)
}

// finish checks the whole and says where everything comes from.
func (l *loader) finish() (*Loaded, error) {
	l.validate(l.out.Settings.Validate())
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	for _, name := range l.names {
		l.out.From[name] = l.places[name].String()
	}
	l.warnings()
	return l.out, nil
}

// validate gives the faults of a check their places.
func (l *loader) validate(err error) {
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			l.validate(sub)
		}
	case *skalds.FieldError:
		if !l.bad[e.Field] {
			l.faultAt(e.Field, l.places[e.Field], e.Message)
		}
	default:
		l.faults = append(l.faults, err)
	}
}

// warnings tells of settings that somebody has set and that do not do what they seem to.
func (l *loader) warnings() {
	s, defaults := reflect.ValueOf(l.out.Settings), reflect.ValueOf(DefaultSettings())
	for _, name := range l.names {
		k := l.keys[name]
		if at, set := l.places[name]; set && k.NoEffect && valueText(s.Field(k.index)) != valueText(defaults.Field(k.index)) {
			l.warn(at, "%s: %s", name, k.Description)
		}
	}
	if st := l.out.Settings; st.Heartbeat(st.Lease.D()) < st.RedisSyncPeriod.D() {
		at := l.places["redis_sync_period"]
		if at.path == "" {
			at = l.places["skalds_lease"]
		}
		l.warn(at, "redis_sync_period %s is longer than a third of skalds_lease %s: under that lease heartbeats are sent every %s",
			st.RedisSyncPeriod, st.Lease, st.Heartbeat(st.Lease.D()))
	}
	if st := l.out.Settings; slices.Contains(strategies[2:], string(st.DispatcherStrategy)) {
		l.warn(l.places["dispatcher_strategy"], "dispatcher_strategy %s is read as SPREAD: the emptiest node that has room", st.DispatcherStrategy)
	}
}
