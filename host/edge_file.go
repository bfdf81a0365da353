package host

import (
	"encoding/json"
	"errors"

	"github.com/skalds-go/skalds"
)

// workersFile is the YAML file of an edge or single_process host, as package conf reads and writes it.
type workersFile struct{ path string }

// workerEntry is one entry of the file. Err makes this one unusable; the others count.
type workerEntry struct {
	Line int
	Spec skalds.Spec
	Err  error
}

var errNoFile = errors.New("reading workers files is not built yet")

// load reads the file; its error means that the file as a whole cannot be used.
func (f workersFile) load() ([]workerEntry, error) { return nil, errNoFile }

// writeAttachments puts the store's attachments into the file.
func (f workersFile) writeAttachments(string, json.RawMessage) error { return errNoFile }

// writeConflict keeps the file's own attachments beside it.
func (f workersFile) writeConflict(string, json.RawMessage) error { return errNoFile }
