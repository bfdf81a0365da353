package rtsp

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrAuth says that the camera refused user or password, or asks for one and none is known.
var ErrAuth = errors.New("user or password refused")

// authorizer answers a camera's challenge. The zero value sends nothing.
type authorizer struct {
	user, password string
	scheme         string // "", "basic", "md5", "sha256"
	realm, nonce   string
	opaque         string
	algorithm      string // as the camera wrote it, repeated in the answer
	qop            bool
	count          int
}

// challenge takes the WWW-Authenticate headers of a 401 and prefers the strongest way it knows.
func (a *authorizer) challenge(headers []string) error {
	best, found := 0, authorizer{}
	for _, header := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
		p := parseParams(rest)
		next := authorizer{user: a.user, password: a.password, realm: p["realm"], nonce: p["nonce"], opaque: p["opaque"], algorithm: p["algorithm"]}
		for word := range strings.SplitSeq(p["qop"], ",") {
			next.qop = next.qop || strings.TrimSpace(word) == "auth"
		}
		rank := 0
		switch algorithm := strings.ToUpper(next.algorithm); {
		case strings.EqualFold(scheme, "Basic"):
			next.scheme, rank = "basic", 1
		case !strings.EqualFold(scheme, "Digest") || next.nonce == "":
		case algorithm == "" || algorithm == "MD5":
			next.scheme, rank = "md5", 2
		case algorithm == "SHA-256":
			next.scheme, rank = "sha256", 3
		}
		if rank > best {
			best, found = rank, next
		}
	}
	if best == 0 {
		return fmt.Errorf("answer the camera's challenge: it asks for a way of authentication that is not known (known: Basic, Digest with MD5 or SHA-256)")
	}
	*a = found
	return nil
}

// header returns the value of Authorization for a request, "" while the camera has asked for nothing.
func (a *authorizer) header(method, uri string) string {
	switch a.scheme {
	case "":
		return ""
	case "basic":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.user+":"+a.password))
	}
	sum := func(text string) string {
		if a.scheme == "sha256" {
			h := sha256.Sum256([]byte(text))
			return hex.EncodeToString(h[:])
		}
		h := md5.Sum([]byte(text))
		return hex.EncodeToString(h[:])
	}
	ha1, ha2 := sum(a.user+":"+a.realm+":"+a.password), sum(method+":"+uri)
	var b strings.Builder
	fmt.Fprintf(&b, "Digest username=%s, realm=%s, nonce=%s, uri=%s", quote(a.user), quote(a.realm), quote(a.nonce), quote(uri))
	if a.qop {
		a.count++
		var random [8]byte
		_, _ = rand.Read(random[:])
		nc, cnonce := fmt.Sprintf("%08x", a.count), hex.EncodeToString(random[:])
		fmt.Fprintf(&b, `, qop=auth, nc=%s, cnonce="%s", response="%s"`, nc, cnonce, sum(strings.Join([]string{ha1, a.nonce, nc, cnonce, "auth", ha2}, ":")))
	} else {
		fmt.Fprintf(&b, `, response="%s"`, sum(ha1+":"+a.nonce+":"+ha2))
	}
	if a.algorithm != "" {
		b.WriteString(", algorithm=" + a.algorithm)
	}
	if a.opaque != "" {
		b.WriteString(", opaque=" + quote(a.opaque))
	}
	return b.String()
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s) + `"`
}

// parseParams reads key=value pairs, values quoted or not, separated by commas.
func parseParams(s string) map[string]string {
	p := map[string]string{}
	for s != "" {
		s = strings.TrimLeft(s, " \t,")
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		var value strings.Builder
		if rest = strings.TrimLeft(rest, " \t"); strings.HasPrefix(rest, `"`) {
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				value.WriteByte(rest[i])
			}
			s = rest[min(i+1, len(rest)):]
		} else {
			word, after, _ := strings.Cut(rest, ",")
			value.WriteString(strings.TrimSpace(word))
			s = after
		}
		p[strings.ToLower(strings.TrimSpace(key))] = value.String()
	}
	return p
}
