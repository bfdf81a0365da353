package masking

import "strings"

// mask is what stands for a secret.
const mask = "***"

// Text replaces the passwords of all URLs in a text: "rtsp://user:***@host". What has none comes back as it is.
func Text(s string) string {
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
