package plugins

import (
	"errors"
	"fmt"
	"os"

	"github.com/skalds-go/skalds"
)

// Plugin is a worker executable that may be started. It is never changed after it was published by a Catalog.
type Plugin struct {
	Info skalds.WorkerInfo
	Path string // absolute

	id fileIdentity // of the file that was described and digested; zero: not known
}

// errExchanged says that a file is not the one that was verified.
var errExchanged = errors.New("the file was exchanged since it was verified: it is looked at again")

// verify makes sure that what is executed is what was verified.
func (p *Plugin) verify() error {
	if p.id == (fileIdentity{}) {
		return nil
	}
	info, err := os.Stat(p.Path)
	if err != nil {
		return fmt.Errorf("the file has gone: %w", err)
	}
	if !identify(info).sameContent(p.id) {
		return errExchanged
	}
	return nil
}

// Problem is an executable, or what looks like one, that cannot be used, and why.
type Problem struct {
	Path   string
	Reason string // what is wrong and what to do
}
