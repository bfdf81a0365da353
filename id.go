package skalds

import (
	"errors"
	"fmt"
	"net/url"
	"unicode/utf8"
)

// ValidateID checks a task's or node's id: 1–128 bytes of UTF-8 without control characters, neither "." nor "..".
func ValidateID(id string) error {
	switch {
	case id == "":
		return errors.New("is empty")
	case len(id) > 128:
		return fmt.Errorf("has %d bytes, at most 128 are allowed", len(id))
	case id == "." || id == "..":
		return fmt.Errorf("%q cannot be used as an id", id)
	case !utf8.ValidString(id):
		return errors.New("is not valid UTF-8")
	}
	for _, r := range id {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return fmt.Errorf("contains the control character %U", r)
		}
	}
	return nil
}

// FileName is the id as a file or folder name: percent-encoded, so that no id can leave its folder.
func FileName(id string) string {
	s := url.PathEscape(id)
	if s == "." || s == ".." {
		return "%2E" + s[1:]
	}
	return s
}
