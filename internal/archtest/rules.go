package archtest

// Rules are who may import whom. Where one is in the way, the design question comes first, the edit second.
var Rules = []Rule{
	{
		Name:  "the words stand alone",
		Why:   "the vocabulary is used by all and depends on nobody",
		Scope: Both, From: []string{"."}, To: []string{"ours", "outside"},
		Wrong: Edge{".", "github.com/google/uuid"},
	},
	{
		Name:  "decisions and words do no I/O",
		Why:   "a decision is event and state in, state and effects out, so that a cluster can be simulated",
		Scope: Code, From: []string{".", "controller/dispatch", "controller/monitor", "controller/originals"}, To: inputAndOutput,
		Wrong: Edge{"controller/dispatch", "os"},
	},
	{
		Name:  "decisions know only the words",
		Why:   "placement and leases are pure code over a snapshot",
		Scope: Code, From: []string{"controller/dispatch", "controller/monitor", "controller/originals"}, To: []string{"ours"}, Allow: []string{"."},
		Wrong: Edge{"controller/monitor", "controller"},
	},
	{
		Name:  "the controller decides and does not run",
		Why:   "controller and host meet in the root's words only; what connects them is behind ports",
		Scope: Both, From: []string{"controller/..."}, To: []string{"ours"},
		Allow: []string{".", "controller/...", "internal/conf", "internal/testlog", "plugin-sdk/schema/..."},
		Wrong: Edge{"controller", "host"},
	},
	{
		Name:  "the host runs and does not decide",
		Why:   "host and controller meet in the root's words only; what connects them is behind ports",
		Scope: Code, From: []string{"host/..."}, To: []string{"ours"},
		Allow: []string{".", "host/...", "plugins/...", "internal/conf", "plugin-sdk/protocol", "plugin-sdk/schema/..."},
		Wrong: Edge{"host", "internal/kafka"},
	},
	{
		Name:  "the host's tests need no controller",
		Why:   "a host is tested against its ports and the adapters",
		Scope: Both, From: []string{"host/..."}, To: []string{"controller/...", "internal/client", "internal/cli"},
		Wrong: Edge{"host", "controller"},
	},
	{
		Name:  "plugins know processes only",
		Why:   "how a worker is found, launched and measured does not depend on who asks",
		Scope: Both, From: []string{"plugins/..."}, To: []string{"ours"},
		Allow: []string{".", "plugins/...", "plugin-sdk/...", "internal/testlog"},
		Wrong: Edge{"plugins", "host"},
	},
	{
		Name:  "the machine is measured in one place",
		Why:   "the cheap way and the portable way stand behind one interface",
		Scope: Both, From: []string{"ours"}, Unless: []string{"plugins/procstats"}, To: []string{"github.com/shirou/gopsutil/v4/..."},
		Wrong: Edge{"host", "github.com/shirou/gopsutil/v4/process"},
	},
	{
		Name:  "drivers and servers stay in their adapters",
		Why:   "the rest speaks to ports, so that one machine and a cluster run the same code",
		Scope: Code, From: []string{"ours"}, Unless: adapters, To: drivers,
		Wrong: Edge{"controller", "github.com/redis/go-redis/v9"},
	},
	{
		Name:  "drivers and servers stay in the adapters' tests",
		Why:   "other tests use the adapters as programs do; the conformance suites alone may look behind a port",
		Scope: Both, From: []string{"ours"}, Unless: append([]string{"internal/porttest"}, adapters...), To: drivers,
		Wrong: Edge{"controller/api", "modernc.org/sqlite"},
	},
	{
		Name:  "adapters know ports, not programs",
		Why:   "an adapter implements ports of the controller and the host and is wired by cmd",
		Scope: Code, From: adapters, To: []string{"ours"}, Allow: []string{".", "controller", "host", "internal/conf"},
		Wrong: Edge{"internal/sqlite", "controller/api"},
	},
	{
		Name:  "the embedded servers know nobody",
		Why:   "they are servers that happen to run in this process",
		Scope: Code, From: []string{"internal/embedded"}, To: []string{"ours"}, Allow: []string{"."},
		Wrong: Edge{"internal/embedded", "controller"},
	},
	{
		Name:  "the SDK stands alone",
		Why:   "an author imports the SDK and gets nothing else of Skalds",
		Scope: Both, From: []string{"plugin-sdk/..."}, To: []string{"ours"}, Allow: []string{"plugin-sdk/..."},
		Wrong: Edge{"plugin-sdk", "."},
	},
	{
		Name:  "a worker has no Kafka in it",
		Why:   "a worker reaches everything through its host",
		Scope: Deps, From: []string{"plugin-sdk/...", "examples/..."}, To: append([]string{"ours"}, drivers...),
		Allow: []string{"plugin-sdk/...", "same-module"},
		Wrong: Edge{"plugin-sdk", "github.com/twmb/franz-go/pkg/kgo"},
	},
	{
		Name:  "an example is an outsider",
		Why:   "what an example can do, any author can do",
		Scope: Both, From: []string{"examples/..."}, To: []string{"ours"}, Allow: []string{"plugin-sdk/...", "same-module"},
		Wrong: Edge{"examples/rtsp-worker", "internal/testlog"},
	},
	{
		Name:  "protobuf stays behind the SDK's types",
		Why:   "the wire can change without changing what authors and hosts write",
		Scope: Both, From: []string{"ours"}, Unless: []string{"plugin-sdk/protocol", "plugin-sdk/internal/workerpb"},
		To:    []string{"plugin-sdk/internal/workerpb", "google.golang.org/protobuf/..."},
		Wrong: Edge{"plugin-sdk", "google.golang.org/protobuf/proto"},
	},
	{
		Name:  "YAML is read in one place",
		Why:   "one reader means one way to name the file, the line and the field; the SDK, a module of its own, reads a worker's attachments",
		Scope: Both, From: []string{"ours"}, Unless: []string{"internal/conf", "plugin-sdk/..."},
		To:    []string{"gopkg.in/yaml.v3", "go.yaml.in/yaml/..."},
		Wrong: Edge{"host", "gopkg.in/yaml.v3"},
	},
	{
		Name:  "the service manager hears one voice",
		Why:   "what is said of the whole program is decided where it is put together",
		Scope: Both, From: []string{"ours"}, Unless: []string{"cmd/skalds", "internal/servicemanager"}, To: []string{"internal/servicemanager"},
		Wrong: Edge{"host", "internal/servicemanager"},
	},
	{
		Name:  "configuration knows only the words",
		Why:   "it never knows what a setting is used for",
		Scope: Both, From: []string{"internal/conf"}, To: []string{"ours"}, Allow: []string{"."},
		Wrong: Edge{"internal/conf", "host"},
	},
	{
		Name:  "HTTP operations are declared in one place",
		Why:   "the API is one package; others hand it their services",
		Scope: Code, From: []string{"ours"}, Unless: []string{"controller/api"}, To: []string{"github.com/danielgtaylor/huma/..."},
		Wrong: Edge{"controller", "github.com/danielgtaylor/huma/v2"},
	},
	{
		Name:  "commands are parsed in one place",
		Why:   "a component gets a Config, not a flag",
		Scope: Code, From: []string{"ours"}, Unless: []string{"cmd/...", "internal/cli"}, To: []string{"github.com/spf13/..."},
		Wrong: Edge{"host", "github.com/spf13/pflag"},
	},
	{
		Name:  "services are joined in cmd",
		Why:   "main wires; a component runs its own goroutines and no others",
		Scope: Both, From: []string{"ours"}, Unless: []string{"cmd/skalds"}, To: []string{"github.com/oklog/run"},
		Wrong: Edge{"controller", "github.com/oklog/run"},
	},
	{
		Name:  "nobody imports a program",
		Why:   "main is at the top: no arrow points up to it",
		Scope: Both, From: []string{"ours"}, Unless: []string{"cmd/..."}, To: []string{"cmd/..."},
		Wrong: Edge{"internal/cli", "cmd/skalds"},
	},
	{
		Name:  "commands reach the controller by HTTP",
		Why:   "the command line does what any client can do; controller holds the types of the answers",
		Scope: Code, From: []string{"internal/cli", "internal/client"}, To: []string{"ours"},
		Allow: []string{".", "controller", "controller/api", "controller/masking", "internal/client", "internal/conf", "internal/scaffold"},
		Wrong: Edge{"internal/cli", "internal/sqlite"},
	},
	{
		Name:  "test code stays in tests",
		Why:   "no program carries what only tests use",
		Scope: Code, From: []string{"ours"}, Unless: testCode,
		To:    append([]string{"testing/...", "internal/archtest", "github.com/google/go-cmp/..."}, testCode...),
		Wrong: Edge{"host", "internal/testlog"},
	},
}

// adapters are the only packages that import a driver or an embedded server.
var adapters = []string{"internal/kafka", "internal/redis", "internal/mongo", "internal/sqlite", "internal/embedded"}

// drivers are what adapters are made of.
var drivers = []string{
	"github.com/twmb/franz-go/...",
	"github.com/redis/go-redis/...",
	"github.com/alicebob/miniredis/...",
	"go.mongodb.org/mongo-driver/...",
	"modernc.org/...",
	"database/sql/...",
}

// testCode are packages for tests that are no tests themselves.
var testCode = []string{
	"internal/testlog", "internal/porttest", "internal/testservices", "internal/faultproxy", "internal/history", "internal/chaos/...", "internal/scale", "controller/controllertest", "plugins/pluginstest", "plugin-sdk/sdktest",
}

// inputAndOutput are the parts of the standard library that reach outside the program, or tell one run from another.
var inputAndOutput = []string{
	"os/...", "net", "net/http/...", "io/fs", "syscall", "log/...", "database/sql/...", "math/rand/...", "crypto/rand", "runtime/...",
}
