package controller

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/skalds-go/skalds"
)

// CursorAfter is the place of a task, by its creation (ms) and id, in the order of lists, so that it holds when the task is gone.
func CursorAfter(createDateTime int64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(createDateTime, 10) + ":" + id))
}

// ParseCursor reads what CursorAfter has written: the creation time (ms) and the id.
func ParseCursor(cursor string) (at int64, id string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	ms, id, ok := strings.Cut(string(b), ":")
	if err == nil && ok {
		at, err = strconv.ParseInt(ms, 10, 64)
	}
	if err != nil || !ok {
		return 0, "", skalds.Invalid("the list cannot be continued", skalds.Field("cursor", "is none that a list has given: start again without one"))
	}
	return at, id, nil
}
