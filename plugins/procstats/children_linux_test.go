package procstats

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
)

func TestHasChildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "read go; sleep 300 & echo started; wait")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if has, ok := HasChildren(cmd.Process.Pid); has || !ok {
		t.Errorf("before it has any: %v, %v", has, ok)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if has, ok := HasChildren(cmd.Process.Pid); !has || !ok {
		t.Errorf("with a child: %v, %v", has, ok)
	}
	if has, ok := HasChildren(os.Getpid()); !has || !ok {
		t.Errorf("of this process, whose other threads fork: %v, %v", has, ok)
	}
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range NewTable(list).Children(cmd.Process.Pid) {
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	}
	_ = cmd.Wait() // sh ends when its child has
	if has, ok := HasChildren(cmd.Process.Pid); has || ok {
		t.Errorf("of a process that has ended: %v, %v", has, ok)
	}
}
