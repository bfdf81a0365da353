//go:build linux

package scale

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLightNodes shows that a controller takes pretended nodes for real ones, and hands out tasks to all of them.
func TestLightNodes(t *testing.T) {
	f := measure(t, embeddedServices(t), plan{nodes: 12, tasksEach: 5, look: time.Second, pour: time.Second})
	if f.BeatsRefused > 0 || f.BeatsPerS < 3 || f.HeartbeatUS <= 0 || f.DispatchP50MS <= 0 || f.UniqueMB <= 0 {
		t.Errorf("these figures cannot be: %+v", f)
	}
}

// TestGrowth measures the sizes that SCALE_NODES names, each with a cluster of its own, over real services. It writes the figures
// to SCALE_OUT, as JSON, and a plot to SCALE_PLOT. SCALE_SECONDS is how long to look at each state, default 30.
func TestGrowth(t *testing.T) {
	sizes := os.Getenv("SCALE_NODES")
	if sizes == "" {
		t.Skip("SCALE_NODES is not set: `make scale` sets it")
	}
	p := plan{tasksEach: 10, look: time.Duration(number(t, "SCALE_SECONDS", 30)) * time.Second}
	p.pour = p.look
	var all []figures
	for _, size := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil || n < 1 {
			t.Fatalf("SCALE_NODES: %q is no number of nodes", size)
		}
		p.nodes = n
		t.Run(size, func(t *testing.T) {
			all = append(all, measure(t, realServices(t), p))
			b, _ := json.Marshal(all[len(all)-1])
			t.Logf("%s", b)
		})
	}
	if t.Failed() {
		return
	}
	t.Logf("\n%s", table(all))
	write(t, "SCALE_OUT", func() ([]byte, error) { return json.MarshalIndent(all, "", "  ") })
	write(t, "SCALE_PLOT", func() ([]byte, error) { return plot(all), nil })
}

// number is one from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number", name, v)
	}
	return n
}

// write puts a file where the variable says, if it says so.
func write(t *testing.T, name string, content func() ([]byte, error)) {
	t.Helper()
	path := os.Getenv(name)
	if path == "" {
		return
	}
	b, err := content()
	if err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
