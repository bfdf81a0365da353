package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/skalds-go/skalds"
)

// Verify reads a backup to its end and says what is in it. It fails, as skalds.CodeInvalid, where the file is no backup, of a newer format,
// cut off, or not as it was written.
func Verify(r io.Reader) (Header, Counts, error) {
	return read(r, func(*record) error { return nil })
}

// read calls fn for each record in order. What fn was given is only known to be whole when read has returned without an error.
func read(r io.Reader, fn func(*record) error) (h Header, counts Counts, err error) {
	in := bufio.NewReaderSize(r, 1<<20)
	sum := sha256.New()
	first, err := readLine(in)
	if errors.Is(err, io.EOF) {
		return h, nil, skalds.Errorf(skalds.CodeInvalid, "this is no backup of skalds: it is empty, or has not one line")
	}
	if err != nil {
		return h, nil, fmt.Errorf("read the backup: %w", err)
	}
	if json.Unmarshal(first, &h) != nil || h.Format != formatName {
		return h, nil, skalds.Errorf(skalds.CodeInvalid, "this is no backup of skalds: its first line says no format %q", formatName)
	}
	if h.Version != formatVersion {
		return h, nil, skalds.Errorf(skalds.CodeInvalid,
			"the backup has format %d and was written by skalds %s; this version reads format %d: use that version", h.Version, h.Program, formatVersion)
	}
	sum.Write(first)
	counts = Counts{}
	for number := 2; ; number++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return h, nil, skalds.Errorf(skalds.CodeInvalid, "the backup is cut off after line %d: it has no end", number-1)
		}
		if err != nil {
			return h, nil, fmt.Errorf("read the backup, line %d: %w", number, err)
		}
		var rec record
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&rec); err != nil {
			return h, nil, skalds.Errorf(skalds.CodeInvalid, "line %d of the backup is no record: %v", number, err)
		}
		if rec.End != nil && rec.only() {
			return h, counts, rec.End.verify(hex.EncodeToString(sum.Sum(nil)), counts, in)
		}
		sum.Write(line)
		kind := rec.kind()
		if kind == "" {
			return h, nil, skalds.Errorf(skalds.CodeInvalid, "line %d of the backup is not one record", number)
		}
		counts[kind]++
		if err := fn(&rec); err != nil {
			return h, nil, fmt.Errorf("line %d of the backup: %w", number, err)
		}
	}
}

// verify compares what was read with what the last line says.
func (t *trailer) verify(sum string, counts Counts, rest *bufio.Reader) error {
	if t.SHA256 != sum {
		return skalds.Errorf(skalds.CodeInvalid, "the backup is not as it was written: its digest is %s and should be %s", sum, t.SHA256)
	}
	if !maps.Equal(t.Counts, counts) {
		return skalds.Errorf(skalds.CodeInvalid, "the backup holds %s and should hold %s", counts, t.Counts)
	}
	switch _, err := rest.ReadByte(); {
	case err == nil:
		return skalds.Errorf(skalds.CodeInvalid, "the backup goes on behind its end")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read the end of the backup: %w", err)
	}
	return nil
}

// readLine reads up to and with the end of a line; io.EOF where there is no whole one.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLine:
			return nil, skalds.Errorf(skalds.CodeInvalid, "a line is longer than %d MiB", maxLine>>20)
		}
	}
}
