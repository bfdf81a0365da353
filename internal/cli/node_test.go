package cli_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestNodes(t *testing.T) {
	w := start(t)
	w.run(t, "node", "list", "--mode", "node", "--status", "online", "-o", "name").check(t, 0, "node-1\n", "")
	w.run(t, "node", "list", "--status", "offline").check(t, 0, "", "no nodes\n")
	w.run(t, "node", "cordon", "node-1").check(t, 0, "node node-1 gets no new task\n", "")
	w.run(t, "node", "list").check(t, 0, "…online (cordoned)", "")
	w.run(t, "node", "uncordon", "node-1").check(t, 0, "node node-1 gets new tasks again\n", "")
	w.run(t, "node", "drain", "node-1", "nope").check(t, 4, "node node-1 is drained\n", "…nope")
	if n := decode[api.NodeResponse](t, w.run(t, "node", "undrain", "node-1", "-o", "json")); n.ID != "node-1" || n.Draining {
		t.Errorf("undrain shows %+v", n)
	}
	w.run(t, "node", "get", "node-1").check(t, 0, "…demo@1.0.0", "")
	w.run(t, "worker", "list").check(t, 0, "…demo  1.0.0    Demo     -      0123456789ab  node-1", "")
	if l := decode[api.WorkerList](t, w.run(t, "worker", "list", "-o", "json")); len(l.Items) != 1 || len(l.Items[0].Classes[0].Schema) == 0 {
		t.Errorf("json lists %+v", l)
	}
}

func TestVersion(t *testing.T) {
	w := start(t)
	w.build = "9.9.9"
	w.run(t, "version").check(t, 0, "…skalds 9.9.9 (go", "")
	w.run(t, "version", "--server-version").check(t, 0, "…\nserver 1.2.3 (go", "")
	v := decode[struct {
		Version string
		Server  api.SystemVersion
	}](t, w.run(t, "version", "--server-version", "-o", "json"))
	if v.Version != "9.9.9" || v.Server.Version != "1.2.3" {
		t.Errorf("json shows %+v", v)
	}
}

func TestDoctor(t *testing.T) {
	w := start(t)
	dir := t.TempDir()
	type findings struct {
		Status string
		Checks []struct{ Status, Name, Text, Advice string }
	}
	w.run(t, "task", "create", "Demo", "--id", "stuck", "--constraint", "gpu").check(t, 0, "task stuck created\n", "")
	var f findings
	w.Until(t, "all services answer, and it is known why a task waits", func() bool {
		r := w.run(t, "doctor", "--data-dir", dir, "-o", "json")
		f = decode[findings](t, r)
		return r.code == 0 && strings.Contains(r.out, "skalds task why stuck")
	})
	names := map[string]string{}
	for _, c := range f.Checks {
		names[c.Name] = c.Status
	}
	if f.Status != "warn" || names["controller"] != "ok" || names["service store"] != "ok" || names["nodes"] != "ok" || names["workers"] != "ok" || names["tasks"] != "warn" || names["data folder"] == "" || names["kernel"] == "" {
		t.Errorf("found %+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v behind, %v", left, err)
	}
	w.env["SKALDS_SERVER"] = "127.0.0.1:1"
	w.run(t, "doctor", "--data-dir", dir).check(t, 1, "…cannot reach http://127.0.0.1:1: connection refused", "…something does not work")
	local := w.run(t, "doctor", "--local", "--data-dir", dir)
	if strings.Contains(local.out, "controller") {
		t.Errorf("it asked for a controller: %s", local.out)
	}
	if want := "isolation    a host of this user can do landlock; not uid: only root can change users\n"; !strings.Contains(local.out, want) {
		t.Errorf("it does not say what can be isolated: %s", local.out)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "")
	w.run(t, "doctor", "--local", "--data-dir", file).check(t, 1, "…"+file+" is no folder; name another one with --data-dir", "…")
	w.run(t, "doctor", "--local", "--data-dir", filepath.Join(file, "x")).check(t, 1, "…not a directory; name another one with --data-dir", "…")
}

func TestLogs(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	w.run(t, "task", "create", "Demo", "--id", "a").check(t, 0, "task a created\n", "")
	w.running(t, "a")
	w.log(t, "one\nrtsp://u:geheim@h\n", func() { w.run(t, "task", "logs", "a", "--tail", "5").check(t, 0, "one\nrtsp://u:***@h\n", "") })
	w.log(t, "", func() {
		w.run(t, "task", "logs", "a", "-o", "json").check(t, 0, "{\n  \"taskId\": \"a\",\n  \"lines\": []\n}\n", "")
	})
	w.log(t, "one\n\ntwo\n", func() {
		w.run(t, "task", "logs", "a", "-o", "json").check(t, 0, "…\"one\",\n    \"\",\n    \"two\"\n", "")
	})
	w.run(t, "task", "cancel", "a").check(t, 0, "…", "")
	w.log(t, "one\ntwo\n", func() { w.run(t, "task", "logs", "a", "-f").check(t, 0, "one\ntwo\n", "") })
}

// log posts lines to the next request for a log, as a host does, while fn runs.
func (w world) log(t *testing.T, lines string, fn func()) {
	t.Helper()
	before := len(w.Host.Received())
	posted := make(chan error, 1)
	go func() {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			for _, m := range w.Host.Received()[before:] {
				if m.Stream != nil {
					posted <- post(m.Stream, lines)
					return
				}
			}
		}
		posted <- errors.New("no request came")
	}()
	fn()
	if err := <-posted; err != nil {
		t.Error(err)
	}
}

func post(s *skalds.StreamRequest, lines string) error {
	r, err := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(lines))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.Token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

func TestANewWorkerBuilds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hello")
	sdk, err := filepath.Abs("../../plugin-sdk")
	if err != nil {
		t.Fatal(err)
	}
	s := shell{}
	s.run(t, "worker", "new", dir, "--class", "Greeter", "--module", "example.com/hello").check(t, 0, "…holds a worker with the class Greeter", "")
	if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err != nil || !strings.Contains(string(b), "=> "+sdk+"\n") {
		t.Errorf("go.mod is %s, %v", b, err)
	}
	build := exec.CommandContext(t.Context(), "go", "vet", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	s.run(t, "worker", "new", dir).check(t, 1, "", "…is not empty")
	s.run(t, "worker", "new", filepath.Join(dir, "x"), "--sdk", dir).check(t, 1, "", "skalds: --sdk: "+dir+" is not the SDK's source: name the folder plugin-sdk of a checkout of Skalds\n")
	s.env = map[string]string{"SKALDS_SDK": "/nope"}
	s.run(t, "worker", "new", filepath.Join(dir, "x")).check(t, 1, "", "skalds: SKALDS_SDK: /nope is not the SDK's source: name the folder plugin-sdk of a checkout of Skalds\n")
	s.env["SKALDS_SDK"] = sdk
	out := decode[struct{ Folder, Class, SDK string }](t, s.run(t, "worker", "new", filepath.Join(dir, "x"), "-o", "json"))
	if out.SDK != sdk || out.Class != "Hello" || out.Folder != filepath.Join(dir, "x") {
		t.Errorf("json shows %+v", out)
	}
	t.Chdir(t.TempDir())
	s.env = nil
	s.run(t, "worker", "new", "x").check(t, 1, "", "…is not found above")
}

func TestLabelsOfNodes(t *testing.T) {
	w := start(t)
	w.run(t, "node", "label", "node-1", "zone=b", "gpu").check(t, 0, "node node-1 has gpu=true, zone=b\n", "")
	w.run(t, "node", "get", "node-1").check(t, 0, "…gpu=true, zone=b", "")
	if n := decode[api.NodeResponse](t, w.run(t, "node", "label", "node-1", "zone-", "-o", "json")); len(n.Given) != 1 || n.Given["gpu"] != "true" || n.Labels["zone"] != "" {
		t.Errorf("given %v, of all %v", n.Given, n.Labels)
	}
	w.run(t, "node", "label", "node-1", "--replace").check(t, 0, "node node-1 has no labels\n", "")
	w.run(t, "node", "label", "node-1").check(t, 2, "", "…say which labels")
	w.run(t, "node", "label", "node-1", "=b").check(t, 2, "", "…is no label")
	w.run(t, "node", "label", "node-1", "a", "a-").check(t, 2, "", "…twice")
	w.run(t, "node", "label", "node-1", "a=").check(t, 3, "", "…labels.a: must have a value")
	w.run(t, "node", "label", "nope", "a").check(t, 4, "", "…nope")
}

func TestALivingNodeIsNotDeclaredLost(t *testing.T) {
	w := start(t)
	w.run(t, "node", "declare-lost", "node-1").check(t, 5, "", "…node node-1 is alive")
	w.run(t, "node", "declare-lost", "nope").check(t, 4, "", "…nope")
	w.Host.Behave = controllertest.ForEver
	w.run(t, "task", "create", "Demo", "--id", "a").check(t, 0, "task a created\n", "")
	w.running(t, "a")
	w.Host.Kill()
	w.Until(t, "it is declared lost", func() bool {
		r := w.run(t, "node", "declare-lost", "node-1")
		return r.code == 0 && strings.Contains(r.out, "node node-1 is lost, 1 task taken back")
	})
	w.run(t, "node", "list").check(t, 0, "…offline (lost)", "")
}

func TestDrain(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	w.run(t, "task", "create", "Demo", "--id", "a").check(t, 0, "task a created\n", "")
	w.running(t, "a")
	w.run(t, "node", "drain", "node-1").check(t, 0, "node node-1 is draining, 1 task left\n",
		"node node-1: 1 task to move, 0 with room elsewhere\nwithout room elsewhere, and go on here until there is room:\n  a (Demo): no node can take it: node node-1 is draining\n")
	w.run(t, "node", "get", "node-1").check(t, 0, "…\nFind no room elsewhere\n  a (Demo): no node can take it", "")
	w.run(t, "node", "drain", "node-1", "--wait", "--timeout", "1s").check(t, 7, "", "…node node-1 is still draining, 1 task left")
	w.run(t, "node", "drain", "node-1", "--deadline", "0s", "--wait").check(t, 0, "node node-1 is drained\n", "…and will wait in the queue:\n  a (Demo)")
	if n := decode[api.NodeResponse](t, w.run(t, "node", "get", "node-1", "-o", "json")); !n.Draining || n.Drain == nil || n.Drain.Left != 0 || n.Drain.DeadlineAt == 0 {
		t.Errorf("shown %+v", n.Drain)
	}
	w.run(t, "node", "undrain", "node-1").check(t, 0, "node node-1 is no longer draining\n", "")
	w.running(t, "a")
	w.run(t, "node", "drain", "node-1", "--deadline", "-1s").check(t, 2, "", "…must not be negative")
	w.run(t, "node", "drain", "node-1", "--timeout", "1s").check(t, 2, "", "…belongs to --wait")
}
