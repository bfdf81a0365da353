package skalds

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "0": 0, "-2s": -2 * time.Second, "1.5h": 90 * time.Minute} {
		var d Duration
		if err := json.Unmarshal([]byte(`"`+in+`"`), &d); err != nil || d.D() != want {
			t.Errorf("%s: got %s, %v", in, d, err)
		}
	}
	for in, want := range map[string]string{"30": "write 30s", "1.5": "no unit", "soon": "1m30s", "": "1m30s", "1 h": "1m30s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
	if err := json.Unmarshal([]byte(`30`), new(Duration)); err == nil {
		t.Error("a bare number was read: nobody knows its unit")
	}
	if b, err := json.Marshal(Retry{InitialDelay: Duration(90 * time.Second)}); err != nil || string(b) != `{"initialDelay":"1m30s"}` {
		t.Errorf("written %s, %v", b, err)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1m30s", "0", "-5ms", "1", "1e9h", "µs"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d, again Duration
		if d.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText(text); err != nil || again != d {
			t.Errorf("%q became %s, then %s: %v", s, d, again, err)
		}
	})
}

func TestConstraint(t *testing.T) {
	labels := map[string]string{"zone": "a", "gpu": "true", "arm": "false", "empty": ""}
	for in, want := range map[string]bool{
		"zone=a": true, "zone=b": false, "rack=1": false, " zone = a ": true,
		"zone!=a": false, "zone!=b": true, "rack!=1": true,
		"gpu": true, "arm": false, "rack": false, "empty": true,
	} {
		c, err := ParseConstraint(in)
		if err != nil || c.Matches(labels) != want {
			t.Errorf("%q: matches %v, %v; want %v", in, c.Matches(labels), err, want)
		}
	}
	for _, bad := range []string{"", " ", "=", "!=", "=a", "!=a", "zone=", "zone!= ", "a=b!=c", "!a", "! =0"} {
		if c, err := ParseConstraint(bad); err == nil || !strings.Contains(err.Error(), "key=value") {
			t.Errorf("%q: got %+v, %v", bad, c, err)
		}
	}
}

func FuzzConstraint(f *testing.F) {
	for _, s := range []string{"zone=a", "arch!=arm64", "gpu", "a=b=c", "a!=b!=c", "!", "a!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseConstraint(s)
		if err != nil {
			return
		}
		if again, err := ParseConstraint(c.String()); err != nil || again != c {
			t.Errorf("%q became %+v, then %+v: %v", s, c, again, err)
		}
	})
}

func TestValidateID(t *testing.T) {
	for _, good := range []string{"a", "Camera 1/front", "ümlaut", "...", "..a", strings.Repeat("x", 128), "%2E", "a\\b"} {
		if err := ValidateID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "empty", strings.Repeat("x", 129): "129 bytes", ".": "cannot be used", "..": "cannot be used",
		"a\nb": "U+000A", "a\x00": "U+0000", "\x7f": "U+007F", "a\u0085": "U+0085", "\xff": "UTF-8",
	} {
		if err := ValidateID(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", bad, err, want)
		}
	}
}

// No id leads out of its folder, and no two ids share a file.
func FuzzFileName(f *testing.F) {
	for _, s := range []string{"a", "../../etc/passwd", "..", ".", "a/b", "%2F", "/", "ä"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if ValidateID(a) != nil || ValidateID(b) != nil {
			return
		}
		name := FileName(a)
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00\n") || filepath.Base(name) != name || !filepath.IsLocal(name) {
			t.Errorf("%q becomes the file name %q", a, name)
		}
		if a != b && name == FileName(b) {
			t.Errorf("%q and %q share the file %q", a, b, name)
		}
	})
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a/b": "a%2Fb", ".": "%2E", "..": "%2E.", "a b": "a%20b", "%2E": "%252E"} {
		if got := FileName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
