package skalds

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsWrongWithAnIsolation(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = "/some/folder"
	}
	for name, c := range map[string]struct {
		in   Isolation
		want []string // field: part of the message
	}{
		"nothing":    {},
		"everything": {in: Isolation{User: "1000:100", Namespaces: []Namespace{"user", "pid", "net"}, Paths: &Paths{[]string{"/", "/data"}, []string{"/var/tmp/x"}}, NoNewPrivileges: true}},
		"no paths":   {in: Isolation{Paths: &Paths{}}},
		"all at once": {
			Isolation{User: "no body", Namespaces: []Namespace{"pid", "ipc", "pid", ""}, Paths: &Paths{[]string{"data", "/a/../b", "/a/", ""}, []string{"/", "/x\n", "/y"}}},
			[]string{
				`isolation.user: "no body" is no user`,
				`isolation.namespaces.1: "ipc" is none of user, pid, net`, `isolation.namespaces.2: "pid" is there twice`, `isolation.namespaces.3: "" is none of`,
				`isolation.paths.readOnly.0: "data" is not absolute`, `isolation.paths.readOnly.1: "/a/../b" must be written without . and .. and needless slashes: "/b"`,
				`isolation.paths.readOnly.2: "/a/" must be written without`, `isolation.paths.readOnly.3: is empty`,
				`isolation.paths.readWrite.0: everything to read and write`, `isolation.paths.readWrite.1: "/x\n" has a control character`,
			},
		},
		"one path twice":        {Isolation{Paths: &Paths{[]string{"/a", "/a"}, []string{"/a"}}}, []string{`readOnly.1: "/a" stands in readOnly already`, `readWrite.0: "/a" stands in readOnly already`}},
		"below what is written": {Isolation{Paths: &Paths{[]string{"/a/b", "/ab"}, []string{"/a"}}}, []string{`readOnly.0: "/a/b" lies below "/a", which is to be written`}},
		"more than fits":        {Isolation{User: "root", Paths: &Paths{ReadOnly: many}}, []string{"isolation: 15"}},
		"a long path":           {Isolation{Paths: &Paths{ReadWrite: []string{"/" + strings.Repeat("x", 5000)}}}, []string{"isolation: 5"}},
		"root":                  {Isolation{User: "root"}, []string{"isolation.user: is root"}},
		"root by number":        {Isolation{User: "0:5"}, []string{"isolation.user: is root"}},
		"the group of root":     {Isolation{User: "1000:0"}, []string{"isolation.user: has root's group"}},
		"a name too long":       {Isolation{User: strings.Repeat("x", 65)}, []string{"isolation.user: "}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := Spec{ID: "a", ClassName: "C", Isolation: c.in}
			var e *Error
			if err := Invalid("x", spec.Validate()); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			var got []string
			if e != nil {
				for _, f := range e.Fields {
					got = append(got, f.Error())
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("found %q", got)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("found %s, want %s", got[i], want)
				}
			}
		})
	}
}

func TestParseUser(t *testing.T) {
	for in, want := range map[string]User{
		"1000": {UID: 1000}, "1000:1": {UID: 1000, GID: 1, HasGID: true}, "65534:65533": {UID: 65534, GID: 65533, HasGID: true}, "4294967294": {UID: 4294967294},
		"nobody": {Name: "nobody"}, "_www": {Name: "_www"}, "camera-1": {Name: "camera-1"}, "ann@example.org": {Name: "ann@example.org"},
	} {
		if got, err := ParseUser(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "00", "0:1000", "root", "1000:0", "1000:00", "1000:", ":1000", "1000:1000:1000", "4294967295", "4294967296", "1000:4294967295", "-1", "1e3", "12x", "1000:staff", "nobody:nogroup", "a b", "../x", "-x", "ä"} {
		if got, err := ParseUser(in); err == nil {
			t.Errorf("%q was read as %+v", in, got)
		}
	}
}

func FuzzParseUser(f *testing.F) {
	for _, s := range []string{"1000", "1000:1000", "nobody", "0", "1000:0", ":", "4294967295"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUser(s)
		if err != nil {
			return
		}
		if u.Name == "" && (u.UID == 0 || u.HasGID && u.GID == 0) || u.Name == "root" {
			t.Errorf("%q is root", s)
		}
		if u.Name != "" && (u.Name != s || u.UID != 0 || u.GID != 0 || u.HasGID) {
			t.Errorf("%q became %+v", s, u)
		}
	})
}

func TestWhatAnIsolationNeeds(t *testing.T) {
	all := Isolation{User: "1000", Namespaces: []Namespace{NamespaceNet, NamespaceUser, NamespacePID}, Paths: &Paths{}, NoNewPrivileges: true}
	if got := all.Needs(); !slices.Equal(got, Abilities()) {
		t.Errorf("everything needs %v", got)
	}
	for want, in := range map[Ability]Isolation{
		AbilityUID: {User: "nobody"}, AbilityUserNamespace: {Namespaces: []Namespace{NamespaceUser}}, AbilityPIDNamespace: {Namespaces: []Namespace{NamespacePID}},
		AbilityNetNamespace: {Namespaces: []Namespace{NamespaceNet}}, AbilityLandlock: {Paths: &Paths{}}, AbilityNoNewPrivileges: {NoNewPrivileges: true},
	} {
		if got := in.Needs(); !slices.Equal(got, []Ability{want}) || in.IsZero() {
			t.Errorf("%+v needs %v, zero: %v", in, got, in.IsZero())
		}
	}
	if none := (Isolation{Namespaces: []Namespace{}}); none.Needs() != nil || !none.IsZero() {
		t.Errorf("nothing needs %v", none.Needs())
	}
}

// A task that says nothing of it must look as it did before there was a field: nodes compare entries by their JSON.
func TestNoIsolationIsNotWritten(t *testing.T) {
	for want, in := range map[string]Isolation{
		``: {Namespaces: []Namespace{}}, `{"paths":{}}`: {Paths: &Paths{}},
		`{"user":"1000","namespaces":["pid"],"paths":{"readOnly":["/a"],"readWrite":["/b"]},"noNewPrivileges":true}`: {User: "1000", Namespaces: []Namespace{NamespacePID}, Paths: &Paths{[]string{"/a"}, []string{"/b"}}, NoNewPrivileges: true},
	} {
		b, err := json.Marshal(Spec{ID: "a", Isolation: in})
		var doc map[string]json.RawMessage
		if err = errors.Join(err, json.Unmarshal(b, &doc)); err != nil || string(doc["isolation"]) != want {
			t.Errorf("written %s, %v, want %s", doc["isolation"], err, want)
		}
		var back Spec
		if err := json.Unmarshal(b, &back); err != nil || want != "" && !reflect.DeepEqual(back.Isolation, in) {
			t.Errorf("read %+v, %v, want %+v", back.Isolation, err, in)
		}
	}
}

func TestWhatANodeLacks(t *testing.T) {
	node := NodeAbilities{AbilityUID: "", AbilityLandlock: "the kernel has none", AbilityNetNamespace: "not permitted"}
	for want, needs := range map[string][]Ability{
		"": {AbilityUID}, "lacks what the task needs: landlock: the kernel has none": {AbilityUID, AbilityLandlock},
		"lacks what the task needs: netns: not permitted; landlock: the kernel has none": {AbilityNetNamespace, AbilityLandlock},
		"lacks what the task needs: userns: its host has not said that it can":           {AbilityUserNamespace},
	} {
		if got := node.Lacks(needs); got != want {
			t.Errorf("%v: %q, want %q", needs, got, want)
		}
		if got := node.Has(needs); got != (want == "") {
			t.Errorf("has %v: %v", needs, got)
		}
	}
	var silent NodeAbilities
	if got := silent.Lacks(nil); got != "" {
		t.Errorf("nothing is needed, and yet: %s", got)
	}
	if got := silent.Lacks([]Ability{AbilityNoNewPrivileges}); !strings.Contains(got, "no_new_privs: its host has not said") {
		t.Errorf("a node that says nothing: %q", got)
	}
}
