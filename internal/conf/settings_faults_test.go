package conf_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds/internal/conf"
)

// faultsOf loads and gives the lines of the error.
func faultsOf(t *testing.T, src conf.Sources) []string {
	t.Helper()
	l, err := conf.Load(src)
	if err == nil {
		t.Fatalf("nothing is wrong with %+v", l.Settings)
	}
	if l != nil {
		t.Error("settings are given in spite of faults")
	}
	return strings.Split(err.Error(), "\n")
}

func TestFaultsOfTheFile(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"misspelled key", "# one\nkafka_hots: a", "skalds.yml:2: unknown key kafka_hots: did you mean kafka_host?"},
		{"key in upper case", "KAFKA_HOST: a", "skalds.yml:1: unknown key KAFKA_HOST: did you mean kafka_host?"},
		{"key without its prefix", "data-dir: a", "skalds.yml:1: unknown key data-dir: did you mean skalds_data_dir?"},
		{"key of something else", "services: {}", "skalds.yml:1: unknown key services: skalds.example.yml shows all keys"},
		{"workers file", "TaskWorkers: {}", "skalds.yml:1: unknown key TaskWorkers: this is a workers file: name it with yaml_file or --workers"},
		{"key twice", "redis_port: 1\nredis_port: 2", "skalds.yml:2: redis_port stands on line 1 already"},
		{"key that is no word", "[a]: 1", "skalds.yml:1: a key must be a plain word"},
		{"no keys", "just text", "skalds.yml:1: must be keys with values, like kafka_host: localhost"},
		{"no YAML", "redis_port: 1\n\tx: [", "skalds.yml:2:1: this is no YAML: found a tab character that violates indentation (a tab stands in the indentation: use spaces)"},
		{"number", "redis_port: many", `skalds.yml:1: redis_port: "many" is no whole number`},
		{"port", "redis_port: 70000", "skalds.yml:1: redis_port: 70000 is no port: use 1 to 65535"},
		{"authority without TLS", "kafka_ca_file: ca.pem", "skalds.yml:1: kafka_ca_file: has no effect without kafka_tls"},
		{"bool", "kafka_tls: maybe", `skalds.yml:1: kafka_tls: "maybe" is neither true nor false`},
		{"duration without unit", "skalds_lease: 6", `skalds.yml:1: skalds_lease: duration "6" has no unit: write 6s, 6ms or the like`},
		{"seconds", "redis_sync_period: soon", `skalds.yml:1: redis_sync_period: duration "soon" is not of the form 3 (seconds) or 1m30s`},
		{"days", "log_retention: 3 moons", `skalds.yml:1: log_retention: duration "3 moons" is not of the form 3 (days), 3 days or 36h`},
		{"short lease", "skalds_lease: 500ms", "skalds.yml:1: skalds_lease: 500ms is shorter than one second: a single late heartbeat would cost a node its tasks"},
		{"control groups by a word", "skalds_cgroups: on", `skalds.yml:1: skalds_cgroups: "on" is neither auto nor off nor a path: write the group as /skalds.slice`},
		{"control groups by their mount", "skalds_cgroups: /sys/fs/cgroup/a", `skalds.yml:1: skalds_cgroups: "/sys/fs/cgroup/a" begins where control groups are mounted: write the path from there on, like /skalds.slice`},
		{"control groups upwards", "skalds_cgroups: /a/../b", `skalds.yml:1: skalds_cgroups: "/a/../b" leads upwards: write the path from the root of the hierarchy`},
		{"duty cycle", "skalds_cpu_duty_cycle: maybe", `skalds.yml:1: skalds_cpu_duty_cycle: "maybe" is neither true nor false`},
		{"negative grace", "skalds_grace: -1s", "skalds.yml:1: skalds_grace: -1s is negative"},
		{"level", "log_level: WARN", `skalds.yml:1: log_level: "WARN" is none of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL`},
		{"misspelled word", "log_level: DEBGU", `skalds.yml:1: log_level: "DEBGU" is none of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL: did you mean DEBUG?`},
		{"mode of a host", "skald_mode: leader", `skalds.yml:1: skald_mode: "leader" is none of node, edge, single_process`},
		{"format of the log", "skalds_log_format: xml", `skalds.yml:1: skalds_log_format: "xml" is none of text, json`},
		{"environment", "skald_env: TEST", `skalds.yml:1: skald_env: "TEST" is none of DEV, PRODUCTION`},
		{"strategy", "dispatcher_strategy: best", `skalds.yml:1: dispatcher_strategy: "best" is none of FIT, SPREAD, LEAST_TASKS, ROUND_ROBIN, RANDOM`},
		{"mechanism", "kafka_mechanism: GSSAPI", `skalds.yml:1: kafka_mechanism: "GSSAPI" is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512`},
		{"mode of a controller", "system_controller_mode: LEADER", `skalds.yml:1: system_controller_mode: "LEADER" is none of DISPATCHER, MONITOR, CONTROLLER`},
		{"address of a controller", "skalds_advertise: 10.0.0.5:8000", `skalds.yml:1: skalds_advertise: "10.0.0.5:8000" is no address: write it as http://10.0.0.5:8000`},
		{"mongo", "mongo_host: root:hunter2@localhost", `skalds.yml:1: mongo_host: "***@localhost" is no URI of MongoDB: write mongodb://user:password@host:27017/`},
		{"database", "db_name: a b", `skalds.yml:1: db_name: "a b" is no name of a database: leave it out for skalds`},
		{"id", "skald_id: '..'", `skalds.yml:1: skald_id: ".." cannot be used as an id`},
		{"no data folder", `skalds_data_dir: ""`, "skalds.yml:1: skalds_data_dir: is missing: name a folder for what must survive"},
		{"rotation", "log_rotation_mb: 0", "skalds.yml:1: log_rotation_mb: 0 is less than 1"},
		{"retries", "task_worker_retry: -2", "skalds.yml:1: task_worker_retry: -2 is less than -1"},
		{"retention", "skalds_retention_tasks: -1", "skalds.yml:1: skalds_retention_tasks: -1 is less than 0"},
		{"warm", "skalds_warm_workers: -2", "skalds.yml:1: skalds_warm_workers: -2 is less than -1"},
		{"listener without address", `system_controller_host: ""`, "skalds.yml:1: system_controller_host: is missing: name an address, 0.0.0.0 for all"},
		{"listener with port", "system_controller_host: localhost:80", `skalds.yml:1: system_controller_host: "localhost:80" is no address: its port goes into system_controller_port`},
		{"port of the listener", "system_controller_port: -1", "skalds.yml:1: system_controller_port: -1 is no port: use 0 to 65535"},
		{"server", "skalds_server: me:hunter2@there:8000", `skalds.yml:1: skalds_server: "***@there:8000" is no URL of a controller: write http://host:port`},
		{"scheme of the server", "skalds_server: ftp://me:hunter2@there", `skalds.yml:1: skalds_server: "ftp://me:***@there" is no URL of a controller: write http://host:port`},
		{"no broker", `kafka_host: ""`, "skalds.yml:1: kafka_host: is empty: name a broker, or leave it out"},
		{"broker with a scheme", "kafka_host: [a, 'kafka://b:9092']", `skalds.yml:1: kafka_host: "kafka://b:9092" is not of the form host:port: user and password have keys of their own`},
		{"broker with a bad port", "kafka_host: a:many", `skalds.yml:1: kafka_host: "a:many" is not of the form host:port`},
		{"broker with two ports", "kafka_host: a:1:2", `skalds.yml:1: kafka_host: "a:1:2" is not of the form host:port`},
		{"password alone", "kafka_password: hunter2", "skalds.yml:1: kafka_password: has no effect without kafka_username"},
		{"partitions", "kafka_topic_partitions: 0", "skalds.yml:1: kafka_topic_partitions: 0 is less than 1"},
		{"replicas", "kafka_replication_factor: 0", "skalds.yml:1: kafka_replication_factor: 0 is no number of replicas: use 1 or more, or -1 for the brokers' default"},
		{"no Redis", `redis_host: ""`, "skalds.yml:1: redis_host: is empty: name a server, or leave it out"},
		{"Redis by URL", "redis_host: redis://:hunter2@a:6379/0", `skalds.yml:1: redis_host: "redis://:***@a:6379/0" is not of the form host:port: user and password have keys of their own`},
		{"heartbeats too often", "redis_sync_period: 10ms", "skalds.yml:1: redis_sync_period: 10ms is shorter than 100ms"},
		{"life of keys", "redis_key_ttl: 0", "skalds.yml:1: redis_key_ttl: 0s is shorter than one second"},
		{"end of line in a secret", "redis_password: |\n  hunter2\n", "skalds.yml:1: redis_password: contains a line break or another control character: take it out"},
		{"several Redis", "redis_host: [a, b]", "skalds.yml:1: redis_host: names 2 servers, and only a cluster has several: name one, or set redis_cluster"},
		{"a Redis user alone", "redis_username: u", "skalds.yml:1: redis_username: has no effect without redis_password"},
		{"authorities of Redis alone", "redis_ca_file: /ca.pem", "skalds.yml:1: redis_ca_file: has no effect without redis_tls"},
		{"replicas below none", "redis_min_replicas: -1", "skalds.yml:1: redis_min_replicas: -1 is less than 0"},
		{"list for a single value", "mongo_host: [a, b]", "skalds.yml:1: mongo_host: must be a single value (text)"},
		{"mapping for a list", "kafka_host: {a: b}", "skalds.yml:1: kafka_host: must be a single value (list)"},
		{"list in a list", "kafka_host: [[a]]", "skalds.yml:1: kafka_host: must hold plain words only"},
		{"comma in an item", "kafka_host: ['a,b']", `skalds.yml:1: kafka_host: "a,b" has a comma in it: write its parts as items of their own`},
		{"label without a value", "skalds_labels: 'zone='", `skalds.yml:1: skalds_labels: "zone=" is no label: write zone=a, or gpu for gpu=true`},
		{"label that is a constraint", "skalds_labels: 'zone!=a'", `skalds.yml:1: skalds_labels: "zone!=a" is no label: write zone=a, or gpu for gpu=true`},
		{"label twice", "skalds_labels: [gpu, gpu=false]", "skalds.yml:1: skalds_labels: the label gpu is there twice"},
		{"labels of labels", "skalds_labels: {a: {b: c}}", "skalds.yml:1: skalds_labels: must hold labels, like zone: a"},
		{"tag", "skald_id: !env ID", "skalds.yml:1: skald_id: has the tag !env, which means nothing here: leave it out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFolder(t, map[string]string{"skalds.yml": tt.text})
			if diff := cmp.Diff([]string{tt.want}, faultsOf(t, conf.Sources{File: "skalds.yml"})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllFaultsAtOnceWithTheirPlaces(t *testing.T) {
	inFolder(t, map[string]string{
		"skalds.yml": "skald_mode: nod\nredis_hots: a\nlog_rotation_mb: 0\nredis_key_ttl: 0\n",
		".env":       "# ours\nKAFKA_PORT=x\nREDIS_PORT=0\n",
	})
	got := faultsOf(t, conf.Sources{
		File: "skalds.yml", DotEnv: ".env",
		Environ: []string{"KAFKA_TLS=2", "SKALDS_LEASE=1ms", "REDIS_KEY_TTL=60"}, // the last repairs what the file says
		Flags:   map[string]string{"listen": "8000", "log_level": "loud", "skalds_retention_tasks": "-5", "colour": "blue"},
	})
	want := []string{
		`skalds.yml:1: skald_mode: "nod" is none of node, edge, single_process: did you mean node?`,
		`skalds.yml:2: unknown key redis_hots: did you mean redis_host?`,
		`.env:2: KAFKA_PORT: "x" is no whole number`,
		`environment KAFKA_TLS: "2" is neither true nor false`,
		`flag --colour: there is no such setting`,
		`flag --listen: "8000" is not of the form 127.0.0.1:8000 (0.0.0.0:8000 for all addresses)`,
		`flag --log-level: "loud" is none of TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL`,
		`environment SKALDS_LEASE: 1ms is shorter than one second: a single late heartbeat would cost a node its tasks`,
		`skalds.yml:3: log_rotation_mb: 0 is less than 1`,
		`flag --retention-tasks: -5 is less than 0`,
		`.env:3: REDIS_PORT: 0 is no port: use 1 to 65535`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	inFolder(t, nil)
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	got := faultsOf(t, conf.Sources{File: "skalds.yml", DotEnv: "folder"})
	if diff := cmp.Diff([]string{"read skalds.yml: no such file or directory", "read folder: is a directory"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDotEnv(t *testing.T) {
	inFolder(t, map[string]string{".env": "\ufeff# the original's file\r\n" +
		"export KAFKA_HOST=broker   # the only one\r\n" +
		"UVICORN_WORKERS=4\r\n" +
		"VITE_API_BASE_URL=\"http://x\r\n/y\"\r\n" +
		"KAFKA_USERNAME=\"me\"\r\n" +
		"KAFKA_PASSWORD='pa$WORD#1'\r\n" +
		"REDIS_PASSWORD=${KAFKA_USERNAME}-2\r\n" +
		"SKALDS_TOKEN=\"a\\$B\"\r\n" +
		"DEPLOY_KEY=$NOWHERE\r\n" +
		"LOG_RETENTION=3\r\nREDIS_SYNC_PERIOD=3\r\nKAFKA_REPLICATION_FACTOR=3\r\nMONGO_HOST=\r\n"})
	l := load(t, conf.Sources{DotEnv: ".env"})
	s := l.Settings
	if diff := cmp.Diff([]string{"broker:9092"}, s.KafkaBrokers()); diff != "" {
		t.Error(diff)
	}
	if s.KafkaUsername != "me" || s.KafkaPassword != "pa$WORD#1" || s.RedisPassword != "me-2" || s.Token != "a$B" || s.LogRetention.String() != "3 days" {
		t.Errorf("%+v", s)
	}
	if l.From["kafka_host"] != ".env:2" || l.From["kafka_username"] != ".env:6" {
		t.Errorf("%s, %s", l.From["kafka_host"], l.From["kafka_username"])
	}
	want := []string{".env:12: redis_sync_period 3s is longer than a third of skalds_lease 6s: under that lease heartbeats are sent every 2s"}
	if diff := cmp.Diff(want, l.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfDotEnv(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"quote that is not closed", "A=1\nKAFKA_PASSWORD=\"hunter2\nB=2\n", []string{".env:2: is not of the form NAME=value, with quotes that are closed"}},
		{"no assignment", "A=1\nhunter2\nB=2\n", []string{".env:2: is not of the form NAME=value, with quotes that are closed"}},
		{"no name", "A-B=1\n", []string{".env:1: is not of the form NAME=value, with quotes that are closed"}},
		{"dollar in a password", "REDIS_PASSWORD=hunter$2\n", []string{".env:1: REDIS_PASSWORD: has a $ that refers to a variable which is not set above: put the value into single quotes if the $ belongs to it"}},
		{"dollar in quotes", "A=1\nREDIS_PASSWORD=\"x${A}y${REDIS_PASSWORD}\"\n", []string{".env:2: REDIS_PASSWORD: has a $ that refers to a variable which is not set above: put the value into single quotes if the $ belongs to it"}},
		{"value", "\n\nKAFKA_TLS=hm\n", []string{`.env:3: KAFKA_TLS: "hm" is neither true nor false`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFolder(t, map[string]string{".env": tt.text})
			got := faultsOf(t, conf.Sources{DotEnv: ".env"})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// .env may hold what is meant for others; what is nearly a setting is not.
func TestNearMissesInDotEnv(t *testing.T) {
	inFolder(t, map[string]string{".env": "KAFKA_HEAP_OPTS=-Xmx1g\nKAFKA_HOSTT=broker\nDEPLOY_KEY=x\n"})
	want := []string{".env:2: KAFKA_HOSTT is no setting of skalds and has no effect here: did you mean KAFKA_HOST?"}
	if diff := cmp.Diff(want, load(t, conf.Sources{DotEnv: ".env"}).Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name string
		src  conf.Sources
		want []string
	}{
		{"unknown variable", conf.Sources{Environ: []string{"SKALDS_DATADIR=x"}}, []string{"environment SKALDS_DATADIR: there is no such setting, it has no effect: did you mean SKALDS_DATA_DIR?"}},
		{"prefix too many", conf.Sources{Environ: []string{"SKALDS_LOG_LEVEL=INFO"}}, []string{"environment SKALDS_LOG_LEVEL: there is no such setting, it has no effect: did you mean LOG_LEVEL?"}},
		{"the other prefix", conf.Sources{Environ: []string{"SKALDS_MODE=edge"}}, []string{"environment SKALDS_MODE: there is no such setting, it has no effect: did you mean SKALD_MODE?"}},
		{"nothing like it", conf.Sources{Environ: []string{"SKALDS_FAVOURITE_COLOUR=blue"}}, []string{"environment SKALDS_FAVOURITE_COLOUR: there is no such setting, it has no effect"}},
		{"programs of others", conf.Sources{Environ: []string{"UVICORN_WORKERS=4", "WEB_CONCURRENCY=4", "VITE_USE_MOCK_DATA=1", "KAFKA_HEAP_OPTS=-Xmx1g", "noequals"}}, nil},
		{"what workers and tests are told", conf.Sources{Environ: []string{"SKALDS_SECRET_CAM=x", "SKALDS_HOST_SOCKET=/s", "SKALDS_TEST_KAFKA=a:1"}}, nil},
		{"service links", conf.Sources{Environ: []string{
			"REDIS_PORT=tcp://10.0.0.1:6379", "SKALDS_PORT=tcp://10.0.0.2:8000", "SKALDS_SERVICE_HOST=10.0.0.2", "SKALDS_PORT_8000_TCP_PORT=8000",
		}}, []string{"environment REDIS_PORT: is left out: Kubernetes sets it for a service of that name; set enableServiceLinks: false, or the port in the file"}},
		{"no effect", conf.Sources{Flags: map[string]string{"monitor_heartbeat_timeout": "9"}}, []string{
			"flag --monitor-heartbeat-timeout: monitor_heartbeat_timeout: has no effect, as in the original: set skalds_lease; a bare number is seconds",
		}},
		{"no effect, but as always", conf.Sources{Environ: []string{"DISPATCHER_INTERVAL=5"}}, nil},
		{"original's strategy", conf.Sources{Environ: []string{"DISPATCHER_STRATEGY=least_tasks"}}, []string{
			"environment DISPATCHER_STRATEGY: dispatcher_strategy LEAST_TASKS is read as SPREAD: the emptiest node that has room",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, load(t, tt.src).Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWordsOfOthers(t *testing.T) {
	levels := map[string]string{
		"trace": "trace", "Debug": "debug", "INFO": "info", "success": "info", "WARNING": "warn", "error": "error", "CRITICAL": "error",
	}
	for text, want := range levels {
		if got := load(t, conf.Sources{Environ: []string{"LOG_LEVEL=" + text}}).Settings.LogLevel.Name(); got != want {
			t.Errorf("LOG_LEVEL=%s is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"fit": "fit", "SPREAD": "spread", "LEAST_TASKS": "spread", "ROUND_ROBIN": "spread", "RANDOM": "spread"} {
		if got := load(t, conf.Sources{Environ: []string{"DISPATCHER_STRATEGY=" + text}}).Settings.DispatcherStrategy.Name(); got != want {
			t.Errorf("DISPATCHER_STRATEGY=%s is %s, want %s", text, got, want)
		}
	}
}

func TestDerivedSettings(t *testing.T) {
	s := conf.DefaultSettings()
	if s.PluginsDir() != "skalds-data/plugins" || s.LogDir() != "skalds-data/logs" || s.Listen() != "127.0.0.1:8000" || s.KafkaEncrypted() {
		t.Errorf("%s, %s, %s, %t", s.PluginsDir(), s.LogDir(), s.Listen(), s.KafkaEncrypted())
	}
	s.Plugins, s.LogPath, s.KafkaHost = "p", "l", conf.List{"pkc-1.eu.confluent.cloud"}
	if s.PluginsDir() != "p" || s.LogDir() != "l" || !s.KafkaEncrypted() {
		t.Errorf("%s, %s, %t", s.PluginsDir(), s.LogDir(), s.KafkaEncrypted())
	}
}
