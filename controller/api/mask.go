package api

import (
	"bytes"
	"encoding/json"
	"strings"
)

// mask is what stands for a secret.
const mask = "***"

// MaskText replaces the passwords of all URLs in a text: "rtsp://user:***@host".
func MaskText(s string) string {
	if !strings.Contains(s, "://") || !strings.Contains(s, "@") {
		return s
	}
	var out strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		i += len("://")
		out.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexAny(s, " \t\r\n\"'`<>|\\")
		if end < 0 {
			end = len(s)
		}
		if next := strings.Index(s[:end], "://"); next >= 0 { // another URL follows without a space, in a query or a list
			end = len(strings.TrimRightFunc(s[:next], isScheme))
		}
		user, from, to := password(s[:end])
		if from > 0 {
			out.WriteString(user + ":" + mask)
			s = s[to:]
			end -= to
		}
		out.WriteString(s[:end])
		s = s[end:]
	}
}

// password finds the password in what follows "://" of one URL: from and to are its bounds, from is 0 where there is none.
// Passwords with an "@" or a "/" in them, which many cameras accept, count.
func password(rest string) (user string, from, to int) {
	colon := strings.IndexByte(rest, ':')
	slash := strings.IndexAny(rest, "/?#")
	if slash < 0 {
		slash = len(rest)
	}
	if colon < 0 || colon > slash {
		return "", 0, 0
	}
	at := strings.LastIndexByte(rest[:slash], '@')
	if at < colon {
		// No user before the first slash: "host:554/path@x" is harmless, "user:pass/word@host" is not.
		at = strings.LastIndexByte(rest, '@')
		if at < colon || isPort(rest[colon+1:slash]) {
			return "", 0, 0
		}
	}
	return rest[:colon], colon + 1, at
}

func isScheme(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '.' || c == '-'
}

func isPort(s string) bool {
	return s == "" || strings.Trim(s, "0123456789") == ""
}

// secretKey reports whether a field of that name holds a secret.
func secretKey(key string) bool {
	k := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
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
	return MaskText(v)
}

// maskDocument masks every string of a JSON document; numbers keep their digits. What does not parse is masked as text.
func maskDocument(doc json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil
	}
	v, err := decodeNumber(doc)
	if err != nil {
		b, err := json.Marshal(MaskText(string(doc)))
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
