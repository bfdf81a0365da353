package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// handed is a controller of version 2 that machines have there which have all others in version 1. It limits nothing of ours; that
// a group with processes in it cannot hand it on holds for it as for all.
const handed controller = "hugetlb"

// TestAnOrdinaryUserWithADelegatedGroup gives a group to a user, and has that user's process do all of it.
func TestAnOrdinaryUserWithADelegatedGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a group away")
	}
	var undo func() error
	t.Cleanup(func() { // when the tree has gone
		if undo != nil {
			if err := undo(); err != nil {
				t.Error(err)
			}
		}
	})
	tree := onThisMachine(t)
	if tree.unified == nil {
		t.Skip(tree.Reasons())
	}
	hand, root := "", filepath.Dir(tree.unified.base)
	if lists(filepath.Join(root, "cgroup.controllers"), handed) && !exists(filepath.Join(root, "cgroup.events")) {
		hand = string(handed)
		if control := filepath.Join(root, "cgroup.subtree_control"); !lists(control, handed) {
			undo = func() error { return linux{}.write(control, "-"+hand) }
		}
		f := finder{kernel: linux{}}
		if err := errors.Join(f.enable(root, "", handed), f.enable(tree.unified.base, "", handed)); err != nil {
			t.Fatal(err)
		}
	}
	const uid = 65534
	g := newGroup(t, tree, Limits{All: true})
	for _, d := range g.dirs {
		for _, file := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"} {
			if err := gone(os.Chown(d.file(file), uid, uid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := startAs(t, g, uid, "delegated "+hand)
	if said := m.line(t); said != "<nil>" {
		for m.lines.Scan() {
			said += "\n" + m.lines.Text()
		}
		t.Error(said)
	}
}

// asDelegate is what a host does, in a group that was given to its user.
func asDelegate(hand string) error {
	own, err := ownUnified()
	if err != nil {
		return err
	}
	if hand != "" {
		f := finder{kernel: linux{}}
		if err := f.enable(own, own, controller(hand)); err != nil || !f.moved {
			return fmt.Errorf("hand on: moved %v: %w", f.moved, err)
		}
		if now, err := ownUnified(); err != nil || now != own+"/"+hostLeaf {
			return fmt.Errorf("moved to %s, %w", now, err)
		}
	}
	tree, err := Detect(Config{Name: "tasks"})
	if err != nil {
		return err
	}
	if tree.unified == nil || tree.unified.base != own+"/tasks" {
		return fmt.Errorf("the groups are not in %s: %+v, %q", own, tree.unified, tree.Reasons())
	}
	g, err := tree.New("one", Limits{MemoryBytes: 1 << 30, CPUCores: 1, PIDs: 100})
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "CGROUP_DO=") })
	cmd.Env = append(cmd.Env, "CGROUP_DO=wait")
	if err := forkInto(g, cmd); err != nil {
		return err
	}
	members, err := g.PIDs()
	if err != nil || !slices.Equal(members, []int{cmd.Process.Pid}) {
		return fmt.Errorf("members %v: %w", members, err)
	}
	err = errors.Join(g.Freeze(context.Background()), g.Kill(context.Background()))
	_ = cmd.Wait() // it was killed
	return errors.Join(err, g.Remove(), tree.Remove())
}

func ownUnified() (string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	f := finder{mounts: parseMounts(string(mountinfo)), own: parseOwn(string(groups))}
	_, own, err := f.place(func(m mount) bool { return m.version == 2 }, "")
	return own, err
}
