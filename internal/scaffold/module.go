package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// moduleFiles makes go.mod and go.sum of a module that uses the SDK in sdkDir and nothing else. All that the SDK requires
// is written down, so that the module builds without `go mod tidy` and without a network where the cache has it.
func moduleFiles(module, sdkDir string) (mod, sum []byte, err error) {
	if sdkDir == "" {
		return nil, nil, errors.New("say where the SDK is: the folder plugin-sdk of Skalds' source")
	}
	if sdkDir, err = filepath.Abs(sdkDir); err != nil {
		return nil, nil, err
	}
	sdkMod, err := os.ReadFile(filepath.Join(sdkDir, "go.mod"))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not the SDK's source: %w", sdkDir, err)
	}
	name, version, requires := readModule(string(sdkMod))
	if name != SDK {
		return nil, nil, fmt.Errorf("%s is not the SDK's source: it holds the module %q, want %s", sdkDir, name, SDK)
	}
	sum, err = os.ReadFile(filepath.Join(sdkDir, "go.sum"))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not the SDK's source: %w", sdkDir, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %s\n\ngo %s\n\nrequire %s v0.0.0\n\nrequire (\n", module, version, SDK)
	for _, r := range requires {
		fmt.Fprintf(&b, "\t%s // indirect\n", r)
	}
	fmt.Fprintf(&b, ")\n\nreplace %s => %s\n", SDK, quoted(sdkDir))
	return b.Bytes(), sum, nil
}

// readModule reads what is needed of a go.mod as `go mod tidy` writes it.
func readModule(text string) (name, version string, requires []string) {
	inside := false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "module":
			name = f[1]
		case len(f) == 2 && f[0] == "go":
			version = f[1]
		case len(f) == 2 && f[0] == "require" && f[1] == "(":
			inside = true
		case len(f) == 1 && f[0] == ")":
			inside = false
		case len(f) == 3 && f[0] == "require":
			requires = append(requires, f[1]+" "+f[2])
		case inside && len(f) == 2:
			requires = append(requires, f[0]+" "+f[1])
		}
	}
	return name, version, requires
}

// quoted writes a path as go.mod wants it.
func quoted(p string) string {
	if strings.ContainsAny(p, " \t\"'`(),") {
		return `"` + strings.ReplaceAll(p, `"`, `\"`) + `"`
	}
	return p
}
