package conf

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

// again checks that settings that were loaded are read from their own texts again, and that they hold.
func again(t *testing.T, first *Loaded) {
	t.Helper()
	l := newLoader()
	values := reflect.ValueOf(first.Settings)
	for _, k := range Keys() {
		l.set(k.Name, valueText(values.Field(k.index)), place{path: "again"})
	}
	second, err := l.finish()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first.Settings, second.Settings) {
		t.Fatalf("%+v became %+v", first.Settings, second.Settings)
	}
}

func FuzzSettingsFile(f *testing.F) {
	example, err := os.ReadFile("../../skalds.example.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(example), "", "---\n...", "a: &a [*a]", "x-a: &a {b: c}\nskalds_labels: *a", "kafka_host: [a, 'b,c', ~]",
		"skalds_labels: {? [a] : b}", "<<: {redis_port: 1}", "redis_port: !!binary AA==", "{", "log_retention: 1e9",
		"? {a: b}\n: c", "skalds_grace: 2540400h10m10.000000000s", "system_controller_host: '[::1'", "kafka_host: '[]:1'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := newLoader()
		d, err := parseDocument("skalds.yml", []byte(text))
		if err != nil {
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		l.document(d)
		loaded, err := l.finish()
		if err != nil {
			if !strings.Contains(err.Error(), "skalds.yml:") {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		again(t, loaded)
	})
}

func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{
		"", "A=1\n", "export REDIS_PORT = 1 # one", "A='x\ny'\nKAFKA_HOST=\"$A\"", "A=\"", "=", "REDIS_PASSWORD=\\$A$(B)${C", "\ufeffA: b\r\n",
		"SKALDS_X=1", "A='\\'", "#", "export", "A=\"a\\", "A=\"x\" REDIS_HOST=y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := newLoader()
		l.dotEnvText(".env", []byte(text))
		loaded, err := l.finish()
		if err != nil {
			if !strings.Contains(err.Error(), ".env:") {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		again(t, loaded)
	})
}
