package plugins

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// maxDescription bounds what an executable may print about itself.
const maxDescription = 4 << 20

// describe asks an executable what it is. The process group is gone when it returns.
func describe(ctx context.Context, path, launchID string, timeout time.Duration) (protocol.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "describe")
	cmd.Env = workerEnv(os.Environ())
	if launchID != "" {
		cmd.Env = append(cmd.Env, protocol.EnvLaunchID+"="+launchID)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stdout, stderr := &cutBuffer{max: maxDescription}, &cutBuffer{max: 4 << 10}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Start()
	if err == nil {
		if awaitExit(cmd.Process.Pid) {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it may have left in its group
		}
		err = cmd.Wait()
	}
	var d protocol.Description
	switch {
	case ctx.Err() != nil:
		return d, fmt.Errorf("gave no answer to `describe` within %s: run `%s describe` to see what it waits for", timeout, path)
	case errors.Is(err, os.ErrPermission):
		return d, errors.New("is not executable: run chmod +x on it")
	case errors.Is(err, syscall.ENOEXEC):
		return d, fmt.Errorf("is no program for this machine (exec format error): build it for %s/%s", runtime.GOOS, runtime.GOARCH)
	case err != nil:
		return d, fmt.Errorf("`describe` failed: %w%s: run `%s describe` to see more", err, quoteTail(stderr.String()), path)
	}
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		return d, fmt.Errorf("`describe` printed no description but %q: is it a Skalds worker?", shorten(stdout.String(), 80))
	}
	return d, checkDescription(d)
}

func checkDescription(d protocol.Description) error {
	if d.Name == "" || strings.ContainsAny(d.Name, "/@ \n") {
		return fmt.Errorf("describes itself by the name %q, which is no usable name: letters, digits, dots and dashes are", d.Name)
	}
	if _, err := semver.StrictNewVersion(d.Version); err != nil {
		return fmt.Errorf("describes itself by the version %q, which is no semantic version such as 1.2.0", d.Version)
	}
	if len(d.Classes) == 0 {
		return errors.New("offers no class: pass at least one to sdk.Serve")
	}
	seen := map[string]bool{}
	for _, c := range d.Classes {
		if c.ClassName == "" {
			return errors.New("offers a class without a name: give it one")
		}
		if seen[c.ClassName] {
			return fmt.Errorf("offers the class %s twice: rename one of them", c.ClassName)
		}
		seen[c.ClassName] = true
	}
	return nil
}

func infoOf(d protocol.Description, digest string) skalds.WorkerInfo {
	w := skalds.WorkerInfo{Name: d.Name, Version: d.Version, Digest: digest, Protocol: protocol.Version}
	for _, c := range d.Classes {
		w.Classes = append(w.Classes, skalds.ClassInfo{
			ClassName: c.ClassName, Description: c.Description, Schema: c.Schema, Capabilities: c.Capabilities,
			Resources:  skalds.Resources{CPUCores: c.Resources.CPUCores, MemoryBytes: c.Resources.MemoryBytes},
			Limits:     skalds.Limits{CPUCores: c.Limits.CPUCores, MemoryBytes: c.Limits.MemoryBytes, PIDs: c.Limits.PIDs},
			MaxPerNode: c.MaxPerNode,
		})
	}
	return w
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// cutBuffer keeps the first max bytes and swallows the rest, so that no program can fill our memory.
type cutBuffer struct {
	bytes.Buffer
	max int
}

func (b *cutBuffer) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func quoteTail(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	return fmt.Sprintf("; it said %q", shorten(s, 300))
}

func shorten(s string, n int) string {
	if s = strings.TrimSpace(s); len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
