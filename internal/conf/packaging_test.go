package conf_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/internal/conf"
)

const packaging = "../../packaging/"

// TestPackagedSettings: what the package's files propose is taken without a warning, and none of the secrets has to be looked up elsewhere.
func TestPackagedSettings(t *testing.T) {
	proposed := regexp.MustCompile(`(?m)^# ([a-z_]+: .*)$`).ReplaceAllString(fileOf(t, packaging+"deb/skalds.yml"), "$1")
	secrets := regexp.MustCompile(`(?m)^# ([A-Z_]+=.*)$`).ReplaceAllString(fileOf(t, packaging+"deb/skalds.env"), "$1")
	inFolder(t, map[string]string{"skalds.yml": proposed, "secrets": secrets})
	l := load(t, conf.Sources{File: "skalds.yml", DotEnv: "secrets"})
	if len(l.Warnings) > 0 {
		t.Errorf("the proposed settings are taken with warnings: %q", l.Warnings)
	}
	for _, key := range []string{"skalds_plugins", "kafka_host", "redis_host", "system_controller_host"} {
		if !strings.HasPrefix(l.From[key], "skalds.yml:") {
			t.Errorf("skalds.yml proposes no %s", key)
		}
	}
	wanted := []string{"KAFKA_USERNAME", "REDIS_USERNAME", "MONGO_HOST"} // whose URI holds a password
	for _, k := range conf.Keys() {
		if k.Secret {
			wanted = append(wanted, k.Env)
		}
	}
	names := namesIn(secrets, `(?m)^([A-Z_]+)=`)
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			t.Errorf("skalds.env does not propose %s", name)
		}
	}
	allSettings(t, "skalds.env", names)
}

// TestPackagedVariables: every variable that units, image and Kubernetes files set is a setting.
func TestPackagedVariables(t *testing.T) {
	for _, tt := range []struct{ files, variable string }{
		{"systemd/*.service", `(?m)^Environment=(\w+)=`},
		{"docker/Dockerfile", `\b((?:SKALDS?|KAFKA|REDIS|MONGO)_\w+)=`},
		{"kubernetes/*.yaml", `(?m)^\s*-?\s*(?:\{?name: )?((?:SKALDS?|KAFKA|REDIS|MONGO|SYSTEM)_[A-Z_]+)\b`},
	} {
		files, err := filepath.Glob(packaging + tt.files)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, namesIn(fileOf(t, f), tt.variable)...)
		}
		if len(names) < 3 {
			t.Errorf("%s: only %q are found", tt.files, names)
		}
		allSettings(t, tt.files, names)
	}
}

func allSettings(t *testing.T, where string, names []string) {
	t.Helper()
	for _, name := range names {
		if !slices.ContainsFunc(conf.Keys(), func(k conf.Key) bool { return k.Env == name }) {
			t.Errorf("%s: %s is no setting", where, name)
		}
	}
}

func namesIn(text, pattern string) (names []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

func fileOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
