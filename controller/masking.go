package controller

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// credentials finds user and password in URLs.
var credentials = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s"@]*@`)

// masked is a document without the credentials in its URLs and without the values of fields that are named like secrets.
func masked(doc json.RawMessage) json.RawMessage {
	var v any
	if json.Unmarshal(doc, &v) != nil {
		return nil
	}
	b, err := json.Marshal(maskValue("", v))
	if err != nil {
		return nil
	}
	return b
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
		k := strings.ToLower(key)
		for _, word := range []string{"password", "secret", "token", "apikey", "api_key"} {
			if strings.Contains(k, word) && v != "" {
				return "***"
			}
		}
		if u, err := url.Parse(v); err == nil && u.User == nil {
			return v
		}
		return credentials.ReplaceAllString(v, "$1***@")
	}
	return v
}
