package host

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/skalds-go/skalds"
)

// The journal is a file of records behind a magic word: length (4 bytes, little endian), CRC-32C of the payload (4 bytes),
// payload (JSON of one record). Whatever follows the first record that does not check is a torn write and is dropped.
const (
	journalMagic     = "SKJ1"
	maxRecordBytes   = 4 << 20
	recordHeaderSize = 8
)

// record is one change of the journal's state; exactly one field is set.
type record struct {
	Meta  *metaRecord        `json:"meta,omitempty"`
	Mark  *mark              `json:"mark,omitempty"`
	Open  *skalds.Outcome    `json:"open,omitempty"`
	Acked *skalds.OutcomeKey `json:"acked,omitempty"`
	Final *skalds.Report     `json:"final,omitempty"`
	Told  string             `json:"told,omitempty"` // task id whose final report the store has
	Edge  *edgeRecord        `json:"edge,omitempty"`
}

// metaRecord is what a host knows of itself and of the cluster.
type metaRecord struct {
	Incarnation int64 `json:"incarnation"`
	Generation  int64 `json:"generation"` // of the store, the highest seen
}

// mark is the highest command of a task: the order of what comes later is judged by it.
type mark struct {
	TaskID          string         `json:"taskId"`
	Generation      int64          `json:"generation"`
	Epoch           int64          `json:"epoch"`
	DesiredRevision int64          `json:"desiredRevision"`
	Desired         skalds.Desired `json:"desired"`
	Incarnation     int64          `json:"incarnation"` // of the host that took it
	Closed          bool           `json:"closed,omitempty"`
	At              int64          `json:"at"` // ms since epoch, for pruning
}

// edgeRecord is what must be remembered of one entry of the YAML file.
type edgeRecord struct {
	TaskID    string                     `json:"taskId"`
	Epoch     int64                      `json:"epoch"`
	BaseHash  string                     `json:"baseHash,omitempty"` // of the attachments when file and store were last alike
	EntryHash string                     `json:"entryHash"`          // of the entry that was last run
	State     skalds.State               `json:"state"`
	Exit      *skalds.Exit               `json:"exit,omitempty"` // of the last attempt, in a final state; without its stack
	Stages    map[string]json.RawMessage `json:"stages,omitempty"`
	// MemoryFailures and MemoryLimit are what ends for memory have led to in this run, as in skalds.Task.
	MemoryFailures int   `json:"memoryFailures,omitempty"`
	MemoryLimit    int64 `json:"memoryLimit,omitempty"`
	// Removed is when the entry was taken out of the file (ms since epoch; 0: it stands there); Told that a controller has
	// heard of it. Put back, it is a retry.
	Removed int64 `json:"removed,omitempty"`
	Told    bool  `json:"told,omitempty"`
	// Retry is set from a retry by the file (an entry changed or put back after its end) until a controller has answered it.
	Retry bool `json:"retry,omitempty"`
	// Overlay holds the store's attachments where the file cannot be written; it holds as long as the file's own value
	// has FileHash.
	Overlay  json.RawMessage `json:"overlay,omitempty"`
	FileHash string          `json:"fileHash,omitempty"`
}

func appendRecord(dst []byte, r record) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return dst, fmt.Errorf("encode journal record: %w", err)
	}
	if len(payload) > maxRecordBytes {
		return dst, fmt.Errorf("encode journal record: %d bytes are more than %d", len(payload), maxRecordBytes)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	return append(dst, payload...), nil
}

var errTorn = errors.New("torn record")

// readJournal calls fn for every record that checks and returns how many bytes they take, the magic included. A file that
// ends in the middle of a record, or whose next record does not check, yields errTorn beside the good length; a file that
// is no journal yields another error.
func readJournal(src io.Reader, fn func(record)) (good int64, err error) {
	br := bufio.NewReaderSize(src, 64<<10)
	magic := make([]byte, len(journalMagic))
	if n, err := io.ReadFull(br, magic); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return 0, nil
		}
		if string(magic[:n]) == journalMagic[:n] {
			return 0, errTorn
		}
	}
	if string(magic) != journalMagic {
		return 0, errors.New("read journal: the file is no journal of a Skalds host")
	}
	good = int64(len(journalMagic))
	table := crc32.MakeTable(crc32.Castagnoli)
	var header [recordHeaderSize]byte
	for {
		if _, err := io.ReadFull(br, header[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return good, nil
			}
			return good, errTorn
		}
		size := binary.LittleEndian.Uint32(header[:4])
		if size > maxRecordBytes {
			return good, errTorn
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(br, payload); err != nil {
			return good, errTorn
		}
		if crc32.Checksum(payload, table) != binary.LittleEndian.Uint32(header[4:]) {
			return good, errTorn
		}
		var r record
		if err := json.Unmarshal(payload, &r); err != nil {
			return good, errTorn
		}
		fn(r)
		good += int64(recordHeaderSize) + int64(size)
	}
}
