package kafka

import (
	"encoding/json"
)

// places say how far several topics were read, of all their partitions: by the name of a topic.
type places map[string]topicPlace

// topicPlace is the place in one topic.
type topicPlace struct {
	ID   string          `json:"id"`   // of the topic: another one after it was made anew
	Next map[int32]int64 `json:"next"` // by partition: the offset of the next message
}

// String can be read by parsePlaces.
func (p places) String() string {
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers always are
		return ""
	}
	return string(b)
}

// parsePlaces reports false for what String has not written.
func parsePlaces(s string) (places, bool) {
	var p places
	if err := json.Unmarshal([]byte(s), &p); err != nil || p == nil {
		return places{}, false
	}
	for _, t := range p {
		for partition, next := range t.Next {
			if partition < 0 || next < 0 || t.ID == "" {
				return places{}, false
			}
		}
	}
	return p, true
}

// within are the places from which to read what is held. Where nothing was read before (known is false) that is from the end.
func (p places) within(held map[string]holding, known bool) places {
	out := make(places, len(held))
	for topic, h := range held {
		t := topicPlace{h.id, make(map[int32]int64, len(h.spans))}
		for partition, s := range h.spans {
			next, ok := p[topic].Next[partition]
			switch {
			case !known:
				next = s.end
			case !ok, p[topic].ID != h.id:
				next = s.start // all of it has come since
			default:
				next = min(max(next, s.start), s.end)
			}
			t.Next[partition] = next
		}
		out[topic] = t
	}
	return out
}

func (p places) offsets() map[string]map[int32]int64 {
	out := make(map[string]map[int32]int64, len(p))
	for topic, t := range p {
		out[topic] = make(map[int32]int64, len(t.Next))
		for partition, next := range t.Next {
			out[topic][partition] = next
		}
	}
	return out
}

// read notes that a message was read.
func (p places) read(topic string, partition int32, offset int64) {
	if t, ok := p[topic]; ok {
		t.Next[partition] = offset + 1
	}
}
