package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/skalds-go/skalds/internal/scaffold"
)

// sdkSource finds the folder of the SDK's source: what the flag says, what SKALDS_SDK says, or a folder plugin-sdk above
// the executable or the working directory.
func (c *commands) sdkSource(flag string) (string, error) {
	for _, said := range []struct{ path, where string }{{flag, "--sdk"}, {c.Getenv("SKALDS_SDK"), "SKALDS_SDK"}} {
		if said.path == "" {
			continue
		}
		if !isSDK(said.path) {
			return "", fmt.Errorf("%s: %s is not the SDK's source: name the folder plugin-sdk of a checkout of Skalds", said.where, said.path)
		}
		return filepath.Abs(said.path)
	}
	var from []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		from = append(from, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
		from = append(from, wd)
	}
	for _, dir := range from {
		for {
			if sdk := filepath.Join(dir, "plugin-sdk"); isSDK(sdk) {
				return sdk, nil
			}
			above := filepath.Dir(dir)
			if above == dir {
				break
			}
			dir = above
		}
	}
	return "", fmt.Errorf("the SDK's source is not found above %s: name the folder plugin-sdk of a checkout of Skalds with --sdk or SKALDS_SDK", strings.Join(from, " or "))
}

// isSDK reports whether dir holds the module that workers import.
func isSDK(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "module" {
			return strings.Trim(f[1], `"`) == scaffold.SDK
		}
	}
	return false
}
