package kafka

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// position names a place in a topic of one partition: "<topic id>:<offset>". The id of the topic tells a place in a topic
// that was made anew from one in its predecessor.
type position struct {
	topic  string
	offset int64
}

func (p position) String() string { return p.topic + ":" + strconv.FormatInt(p.offset, 10) }

// parsePosition reports false for what String has not written.
func parsePosition(s string) (position, bool) {
	topic, offset, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(offset, 10, 64)
	if !ok || err != nil || topic == "" || n < 0 {
		return position{}, false
	}
	return position{topic, n}, true
}

func topicID(id kadm.TopicID) string { return hex.EncodeToString(id[:]) }
