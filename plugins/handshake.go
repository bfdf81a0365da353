package plugins

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// otherVersion is how go-plugin says that a process speaks a protocol that we do not know.
var otherVersion = regexp.MustCompile(`Plugin version: (\d+), Client versions`)

// handshakeFault puts what go-plugin says about a handshake into one line that says what to do.
func handshakeFault(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if m := otherVersion.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("speaks version %s of the worker protocol, this host speaks %d: build it with the SDK of this version of skalds", m[1], protocol.Version)
	}
	return text
}
