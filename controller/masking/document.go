package masking

import (
	"bytes"
	"encoding/json"
	"strings"
)

// secretKey reports whether a field of that name holds a secret.
func secretKey(key string) bool {
	k := strings.TrimSuffix(strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key)), "s") // a list of them, too
	for _, word := range []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey"} {
		if strings.HasSuffix(k, word) {
			return true
		}
	}
	return false
}

// maskString masks one value of a document. References to the host's secrets ("${secret:NAME}") are no secrets.
func maskString(key, v string) string {
	if secretKey(key) && v != "" && !(strings.HasPrefix(v, "${secret:") && strings.HasSuffix(v, "}")) {
		return mask
	}
	return Text(v)
}

// Document masks every string of a JSON document: passwords in URLs, and values of fields that are named like secrets; numbers keep
// their digits. What does not parse is masked as a text, an empty document is nil.
func Document(doc json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil
	}
	v, err := decodeNumber(doc)
	if err != nil {
		b, err := json.Marshal(Text(string(doc)))
		if err != nil {
			return nil
		}
		return b
	}
	return encode(maskValue("", v))
}

func maskValue(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			v[k] = maskValue(k, sub)
		}
	case []any:
		for i, sub := range v {
			v[i] = maskValue(key, sub)
		}
	case string:
		return maskString(key, v)
	}
	return v
}

func decodeNumber(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// encode writes without HTML escapes, so that URLs stay readable.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}
