package rtsp

import (
	"net/url"
	"regexp"
	"strings"
)

// MaskURL hides the password of an address: rtsp://user:***@host/path. It works on text that is no valid URL, too; what it cannot
// understand it hides rather than shows. Query values whose names look like secrets are hidden as well.
func MaskURL(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		if strings.Contains(raw, "@") {
			return "***"
		}
		return raw
	}
	// The last @ before the query ends the credentials: a password may hold anything, a slash included.
	main, query, hasQuery := strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= len(main) { // an @ behind the ?: the ? may belong to the password
		main, query, hasQuery = rest, "", false
		if q := strings.Index(rest[at:], "?"); q >= 0 {
			main, query, hasQuery = rest[:at+q], rest[at+q+1:], true
		}
	}
	if at := strings.LastIndex(main, "@"); at >= 0 {
		user, _, hasPassword := strings.Cut(main[:at], ":")
		if hasPassword {
			user += ":***"
		}
		main = user + main[at:]
	}
	// Some cameras want user and password in the path: /user=a&password=b&channel=1.
	out := scheme + "://" + regexp.MustCompile(`(?i)((?:pass|pwd|secret|token)[a-z]*=)[^&;/?#@]*`).ReplaceAllString(main, "${1}***")
	if hasQuery {
		out += "?" + maskQuery(query)
	}
	return out
}

func maskQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		key, _, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		name, err := url.QueryUnescape(key)
		if err != nil {
			name = key
		}
		name = strings.ToLower(name)
		for _, word := range []string{"pass", "pwd", "secret", "token", "auth", "key"} {
			if strings.Contains(name, word) {
				parts[i] = key + "=***"
			}
		}
	}
	return strings.Join(parts, "&")
}
