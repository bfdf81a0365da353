package skalds

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// ContentHash is the hash by which attachments are compared: equal for documents that differ in white space and in the
// order of keys only. Empty documents and null are alike; what does not parse is hashed byte by byte.
func ContentHash(doc json.RawMessage) string {
	canonical := []byte("null")
	if len(bytes.TrimSpace(doc)) > 0 {
		canonical = doc
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err == nil {
			if b, err := json.Marshal(v); err == nil { // keys of maps come out sorted
				canonical = b
			}
		}
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
