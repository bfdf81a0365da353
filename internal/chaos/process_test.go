//go:build linux

package chaos

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one that is alive, known by when it started as well, because pids are used again.
type process struct {
	pid     int
	parent  int
	started string // ticks since the boot
	exe     string
	args    string
}

// processes are those whose executable lies below a folder. Zombies are none.
func processes(dir string) (out []process) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, dir+"/") {
			continue
		}
		p := process{exe: strings.TrimSuffix(exe, " (deleted)")}
		p.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(link)))
		var state string
		if state, p.parent, p.started = status(p.pid); state == "" || state == "Z" {
			continue
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		p.args = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		out = append(out, p)
	}
	return out
}

// lives reports whether it is still the same process.
func (p process) lives() bool {
	state, _, started := status(p.pid)
	return state != "" && state != "Z" && started == p.started
}

// status is empty where there is no such process.
func status(pid int) (state string, parent int, started string) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, ""
	}
	_, rest, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", 0, ""
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent, fields[19]
}

// workers are the processes of tasks, and those kept ready for some.
func workers() []process { return processes(built.plugins) }

// shimOf is the process that watches over a host.
func shimOf(host int) (process, bool) {
	for _, p := range processes(built.dir) {
		if p.parent == host && p.exe == built.skalds {
			return p, true
		}
	}
	return process{}, false
}
