package masking

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skalds-go/skalds"
)

// Restore puts the stored secrets back into a document that came back masked, so that reading, editing and writing
// attachments keeps passwords. A URL may change behind its host; with another scheme, user or host the password has to be
// written again, or it would be told to somebody else. changed says whether anything was put back.
func Restore(doc, stored json.RawMessage) (out json.RawMessage, changed bool, err error) {
	if !strings.Contains(string(doc), mask) {
		return doc, false, nil
	}
	v, err := decodeNumber(doc)
	if err != nil {
		return doc, false, nil // the core says what is wrong with it
	}
	old, err := decodeNumber(stored)
	if err != nil {
		old = nil
	}
	u := unmasker{all: map[string]string{}, ambiguous: map[string]bool{}}
	u.collect("", old)
	v = u.restore("attachments", "", v, old)
	if err := errors.Join(u.errs...); err != nil {
		return nil, false, skalds.Invalid("the attachments contain a masked secret", err)
	}
	return encode(v), u.changed, nil
}

type unmasker struct {
	all       map[string]string // masked → stored, of the whole document
	ambiguous map[string]bool   // masked texts that stand for several secrets
	changed   bool
	errs      []error
}

func (u *unmasker) collect(key string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			u.collect(k, sub)
		}
	case []any:
		for _, sub := range v {
			u.collect(key, sub)
		}
	case string:
		m := maskString(key, v)
		if m == v || m == mask {
			return
		}
		if other, ok := u.all[m]; ok && other != v {
			u.ambiguous[m] = true
		}
		u.all[m] = v
	}
}

func (u *unmasker) restore(path, key string, v, old any) any {
	switch v := v.(type) {
	case map[string]any:
		was, _ := old.(map[string]any)
		for k, sub := range v {
			v[k] = u.restore(path+"."+k, k, sub, was[k])
		}
	case []any:
		was, _ := old.([]any)
		for i, sub := range v {
			var o any
			if i < len(was) {
				o = was[i]
			}
			v[i] = u.restore(path+"."+strconv.Itoa(i), key, sub, o)
		}
	case string:
		return u.restoreString(path, key, v, old)
	}
	return v
}

func (u *unmasker) restoreString(path, key, v string, old any) any {
	if !masked(key, v) {
		return v
	}
	was, ok := old.(string)
	if ok && maskString(key, was) == v {
		u.changed = u.changed || was != v
		return was
	}
	if stored, known := u.all[v]; known && !u.ambiguous[v] {
		u.changed = true
		return stored
	}
	if ok {
		if s, fits := sameAuthority(v, was); fits {
			u.changed = true
			return s
		}
	}
	u.errs = append(u.errs, skalds.Field(path, fmt.Sprintf("holds %s where a secret belongs, and no stored one fits: write the secret itself", mask)))
	return v
}

// masked reports whether a value is one that maskString has made.
func masked(key, v string) bool {
	if secretKey(key) && v == mask {
		return true
	}
	return strings.Contains(v, "://") && strings.Contains(v, ":"+mask+"@") && Text(v) == v
}

// sameAuthority puts the password of a stored URL into a masked one with the same scheme, user and host.
func sameAuthority(v, stored string) (string, bool) {
	scheme, rest, _ := strings.Cut(v, "://")
	oldScheme, oldRest, ok := strings.Cut(stored, "://")
	if !ok || !strings.EqualFold(scheme, oldScheme) {
		return "", false
	}
	user, from, to := password(rest)
	oldUser, oldFrom, oldTo := password(oldRest)
	if from == 0 || oldFrom == 0 || user != oldUser || hostOf(rest[to:]) != hostOf(oldRest[oldTo:]) {
		return "", false
	}
	return scheme + "://" + rest[:from] + oldRest[oldFrom:oldTo] + rest[to:], true
}

// hostOf is the host and port in "@host:port/path".
func hostOf(s string) string {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	return strings.ToLower(s)
}

// Refuse fails (skalds.CodeInvalid) where a new task's attachments hold a mask: it was copied from an answer and has lost its secret.
func Refuse(doc json.RawMessage) error {
	_, _, err := Restore(doc, nil)
	return err
}
