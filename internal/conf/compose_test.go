package conf_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds/internal/conf"
)

// TestComposeAndItsSettings: what docker compose starts by .env is what skalds looks for by the same file.
func TestComposeAndItsSettings(t *testing.T) {
	raw, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"MONGO_PASSWORD": true}
	for _, k := range conf.Keys() {
		known[strings.ToUpper(k.Name)] = true
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(raw), -1) {
		if !known[m[1]] {
			t.Errorf("compose.yaml asks for %s, which is no setting", m[1])
		}
	}
	var compose struct {
		Services map[string]struct {
			Image       string
			Ports       []string
			Environment map[string]string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) != 3 || len(compose.Volumes) != 3 {
		t.Errorf("there are %d services and %d volumes, want 3 of each", len(compose.Services), len(compose.Volumes))
	}
	for name, s := range compose.Services {
		if !regexp.MustCompile(`:\d+\.\d+`).MatchString(s.Image) {
			t.Errorf("%s: the image %s names no version", name, s.Image)
		}
		if len(s.Ports) != 1 || !strings.HasPrefix(s.Ports[0], "127.0.0.1:") {
			t.Errorf("%s: the ports %v are not one on loopback", name, s.Ports)
		}
		if !strings.Contains(strings.ToLower(strings.Join(slices.Collect(maps.Values(s.Environment)), " ")), "_password:?") {
			t.Errorf("%s: starts without a password", name)
		}
	}

	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	filled := regexp.MustCompile(`(?m)^(\w+)_PASSWORD=$`).ReplaceAllString(string(example), "${1}_PASSWORD=secret-of-${1}")
	inFolder(t, map[string]string{".env": filled})
	s := load(t, conf.Sources{DotEnv: ".env"}).Settings
	type login struct {
		Brokers                                         []string
		User, Kafka, Mechanism, Redis, RedisAddr, Mongo string
		TLS                                             bool
		Replicas                                        int
	}
	want := login{
		Brokers: []string{"localhost:9092"}, User: "skalds", Kafka: "secret-of-KAFKA", Mechanism: "PLAIN", Redis: "secret-of-REDIS", RedisAddr: "localhost:6379",
		Mongo: "mongodb://skalds:secret-of-MONGO@localhost:27017/?replicaSet=rs0&authSource=admin", Replicas: 1,
	}
	got := login{
		s.KafkaBrokers(), s.KafkaUsername, s.KafkaPassword, string(s.KafkaMechanism), s.RedisPassword, s.RedisAddr(), s.MongoHost, s.KafkaEncrypted(),
		s.KafkaReplicationFactor,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, port := range []string{"127.0.0.1:9092:9092", "127.0.0.1:6379:6379", "127.0.0.1:27017:27017"} {
		if !strings.Contains(string(raw), `ports: ["`+port+`"]`) {
			t.Errorf("compose.yaml opens no port %s", port)
		}
	}
}
