package conf_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds/internal/conf"
)

var update = flag.Bool("update", false, "write skalds.example.yml anew")

// inFolder writes files into a folder and makes it the current one, so that messages name them as users do.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func load(t *testing.T, src conf.Sources) *conf.Loaded {
	t.Helper()
	l, err := conf.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestNothingGivenIsTheDefaults(t *testing.T) {
	l := load(t, conf.Sources{DotEnv: filepath.Join(t.TempDir(), ".env")})
	if diff := cmp.Diff(conf.DefaultSettings(), l.Settings); diff != "" {
		t.Error(diff)
	}
	for _, k := range conf.Keys() {
		if l.From[k.Name] != "default" {
			t.Errorf("%s comes from %q", k.Name, l.From[k.Name])
		}
	}
	if len(l.Warnings) > 0 {
		t.Error(l.Warnings)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "# ours\nredis_port: 1\n"
	for _, tt := range []struct {
		name string
		src  conf.Sources
		port int
		from string
	}{
		{"default", conf.Sources{}, 6379, "default"},
		{"file", conf.Sources{File: "skalds.yml"}, 1, "skalds.yml:2"},
		{".env over file", conf.Sources{File: "skalds.yml", DotEnv: ".env"}, 2, ".env:3"},
		{"environment over .env", conf.Sources{File: "skalds.yml", DotEnv: ".env", Environ: []string{"REDIS_PORT=3"}}, 3, "environment REDIS_PORT"},
		{"flag over all", conf.Sources{
			File: "skalds.yml", DotEnv: ".env", Environ: []string{"REDIS_PORT=3"}, Flags: map[string]string{"redis_port": "4"},
		}, 4, "flag --redis-port"},
		{"an empty variable counts as none", conf.Sources{File: "skalds.yml", Environ: []string{"REDIS_PORT="}}, 1, "skalds.yml:2"},
		{"the first of two variables", conf.Sources{Environ: []string{"REDIS_PORT=3", "REDIS_PORT=4"}}, 3, "environment REDIS_PORT"},
		{"a variable in lower case is another one", conf.Sources{Environ: []string{"redis_port=3"}}, 6379, "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFolder(t, map[string]string{"skalds.yml": file, ".env": "OTHER=1\n\nREDIS_PORT=2\n"})
			l := load(t, tt.src)
			if l.Settings.RedisPort != tt.port || l.From["redis_port"] != tt.from {
				t.Errorf("got %d from %s, want %d from %s", l.Settings.RedisPort, l.From["redis_port"], tt.port, tt.from)
			}
		})
	}
}

// example is skalds.example.yml as the keys say it.
func example() string {
	var b strings.Builder
	b.WriteString(`# Every setting of skalds with its default. Copy what you change into skalds.yml; what is left out keeps its default.
# Each can also be set in the environment or in .env, by its name in upper case (KAFKA_HOST), and most by a flag.
# Flags win over the environment, that over .env, that over this file. ` + "`skalds config show`" + ` says what holds, and why.
`)
	section := ""
	for _, k := range conf.Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n# ---- %s ----\n", section)
		}
		b.WriteByte('\n')
		line := "#"
		for w := range strings.FieldsSeq(k.Description) {
			if len(line)+1+len(w) > 110 {
				b.WriteString(line + "\n")
				line = "#"
			}
			line += " " + w
		}
		b.WriteString(line + "\n")
		value := k.Default
		if value == "" {
			value = `""`
		}
		fmt.Fprintf(&b, "%s: %s\n", k.Name, value)
	}
	return b.String()
}

func TestExampleShowsEveryKeyAndIsTheDefaults(t *testing.T) {
	const path = "../../skalds.example.yml"
	want := example()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("skalds.example.yml is not what the keys say: run go test ./internal/conf -update\n%s", diff)
	}
	l := load(t, conf.Sources{File: path})
	if diff := cmp.Diff(conf.DefaultSettings(), l.Settings); diff != "" {
		t.Error(diff)
	}
	for _, k := range conf.Keys() {
		if !strings.HasPrefix(l.From[k.Name], path+":") {
			t.Errorf("%s comes from %s", k.Name, l.From[k.Name])
		}
	}
	if len(l.Warnings) > 0 {
		t.Error(l.Warnings)
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range conf.Keys() {
		if k.Name == "" || k.Env != strings.ToUpper(k.Name) || !strings.HasPrefix(k.Flag, "--") || k.Description == "" || k.Section == "" || k.Type == "" {
			t.Errorf("incomplete: %+v", k)
		}
		if seen[k.Name] {
			t.Errorf("%s is there twice", k.Name)
		}
		seen[k.Name] = true
		if (k.Type == "word") != (len(k.Words) > 0) {
			t.Errorf("%s: type %s, words %q", k.Name, k.Type, k.Words)
		}
	}
	if n := reflect.TypeFor[conf.Settings]().NumField(); len(seen) != n {
		t.Errorf("%d keys for %d fields", len(seen), n)
	}
}

// other is a value for every key that is not its default and that holds.
var other = map[string]string{
	"skald_id": "hall-1", "skald_mode": "edge", "skald_env": "PRODUCTION", "yaml_file": "workers.yml", "skalds_labels": "gpu,zone=a",
	"skalds_data_dir": "/var/lib/skalds", "skalds_plugins": "/opt/plugins", "skalds_grace": "20s", "skalds_lease": "15s", "skalds_cgroups": "/skalds.slice", "skalds_cpu_duty_cycle": "true", "skalds_warm_workers": "3",
	"log_level": "WARNING", "skalds_log_format": "json", "log_path": "/var/log/skalds", "log_retention": "7 days", "log_rotation_mb": "5",
	"log_split_with_worker_id": "false", "system_controller_mode": "MONITOR", "system_controller_host": "0.0.0.0",
	"system_controller_port": "9000", "skalds_allowed_hosts": "a.example,b.example", "skalds_server": "https://controller:8443",
	"skalds_advertise": "http://10.0.0.5:8000", "skalds_token": "t0ken", "task_worker_retry": "5", "skalds_retention": "1 day", "skalds_retention_tasks": "10", "skalds_node_retention": "2 days",
	"dispatcher_strategy": "SPREAD", "dispatcher_interval": "1s", "monitor_skald_interval": "2s", "monitor_task_interval": "4s",
	"monitor_heartbeat_timeout": "7s", "kafka_host": "a:9092,b", "kafka_port": "9093", "kafka_username": "u", "kafka_password": "p: #1",
	"kafka_mechanism": "SCRAM-SHA-512", "kafka_tls": "true", "kafka_ca_file": "/etc/kafka/ca.pem", "kafka_topic_partitions": "6", "kafka_replication_factor": "3",
	"redis_host": "cache,b:1", "redis_port": "6380", "redis_username": "u", "redis_password": "0123", "redis_tls": "true",
	"redis_ca_file": "/etc/redis/ca.pem", "redis_cluster": "true", "redis_min_replicas": "1", "redis_sync_period": "500ms", "redis_key_ttl": "30m0s",
	"mongo_host": "mongodb://a,b/?replicaSet=rs", "db_name": "other",
}

func TestEveryKeyFromEverySourceIsTheSame(t *testing.T) {
	var yml, env strings.Builder
	var environ []string
	flags := map[string]string{}
	for _, k := range conf.Keys() {
		v, ok := other[k.Name]
		if !ok {
			t.Fatalf("no other value for %s", k.Name)
		}
		fmt.Fprintf(&yml, "%s: %q\n", k.Name, v)
		fmt.Fprintf(&env, "%s='%s'\n", k.Env, v)
		environ = append(environ, k.Env+"="+v)
		flags[k.Name] = v
	}
	inFolder(t, map[string]string{"skalds.yml": yml.String(), ".env": env.String()})
	want := load(t, conf.Sources{File: "skalds.yml"})
	for name, src := range map[string]conf.Sources{
		".env": {DotEnv: ".env"}, "environment": {Environ: environ}, "flags": {Flags: flags},
	} {
		got := load(t, src)
		if diff := cmp.Diff(want.Settings, got.Settings); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, s := range want.Show() {
		if v := other[s.Key]; s.Value != v && s.Value != "***" {
			t.Errorf("%s: %q was read and %q is shown", s.Key, v, s.Value)
		}
	}
	if want.Settings.KafkaPassword != "p: #1" || want.Settings.RedisPassword != "0123" || want.Settings.Token != "t0ken" {
		t.Errorf("secrets are %+v", want.Settings)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	l := load(t, conf.Sources{Environ: []string{
		"KAFKA_USERNAME=u", "KAFKA_PASSWORD=hunter2", "REDIS_PASSWORD=hunter2", "SKALDS_TOKEN=hunter2",
		"SKALDS_SERVER=https://me:hunter2@controller:8000/x@y", "MONGO_HOST=mongodb://root:hunter2@a,b:27017/?replicaSet=rs",
	}})
	var table, doc bytes.Buffer
	if err := l.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{table.String(), doc.String()} {
		if strings.Contains(out, "hunter2") {
			t.Errorf("a secret is shown:\n%s", out)
		}
		if strings.Count(out, "***") != 5 || !strings.Contains(out, "https://me:***@") {
			t.Errorf("not all five are there, masked:\n%s", out)
		}
	}
	var shown struct{ Settings []conf.Shown }
	if err := json.Unmarshal(doc.Bytes(), &shown); err != nil {
		t.Fatal(err)
	}
	if len(shown.Settings) != len(conf.Keys()) {
		t.Errorf("%d settings are shown", len(shown.Settings))
	}
	if !strings.Contains(table.String(), "environment REDIS_PASSWORD") {
		t.Error(table.String())
	}
	t.Log("\n" + table.String())
}

func TestFormsOfValues(t *testing.T) {
	inFolder(t, map[string]string{"skalds.yml": `
x-anchors: &where {zone: a, gpu: true}
skalds_labels: *where
kafka_host: [one, "two:9093", "[::1]:9094", "::1"]
log_retention: 3
redis_sync_period: 2
skald_id: 007
skalds_cgroups: OFF
log_level: success
log_split_with_worker_id: off
redis_host: cache:6380
skalds_token:
`})
	s := load(t, conf.Sources{File: "skalds.yml", Flags: map[string]string{"listen": "[::1]:9000"}}).Settings
	if diff := cmp.Diff(map[string]string{"zone": "a", "gpu": "true"}, map[string]string(s.Labels)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one:9092", "two:9093", "[::1]:9094", "[::1]:9092"}, s.KafkaBrokers()); diff != "" {
		t.Error(diff)
	}
	if s.LogRetention.D() != 72*time.Hour || s.Heartbeat(6*time.Second) != 2*time.Second || s.Heartbeat(3*time.Second) != time.Second || s.SkaldID != "007" || s.LogLevel.Name() != "info" ||
		s.LogSplitWithWorkerID || s.Cgroups != conf.CgroupsOff || s.RedisAddr() != "cache:6380" || s.Token != "" || s.Listen() != "[::1]:9000" {
		t.Errorf("%+v", s)
	}
}
