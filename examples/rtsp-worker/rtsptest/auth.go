package rtsptest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
)

const realm = "test camera"

var param = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^\s,]+))`)

// challenge is what a 401 asks for.
func (s *session) challenge() []string {
	switch s.camera.cfg.Auth {
	case "basic":
		return []string{`WWW-Authenticate: Basic realm="` + realm + `"`}
	case "sha256":
		return []string{
			`WWW-Authenticate: Digest realm="` + realm + `", nonce="` + s.nonce + `", algorithm=SHA-256, qop="auth"`,
			`WWW-Authenticate: Basic realm="` + realm + `"`,
		}
	}
	return []string{`WWW-Authenticate: Digest realm="` + realm + `", nonce="` + s.nonce + `"`}
}

// allowed checks the request's credentials.
func (s *session) allowed(req *request) bool {
	c := s.camera
	header := req.header.Get("Authorization")
	ok := c.cfg.User == "" || s.matches(req, header)
	if c.holds(FaultAuth) {
		ok = false
	}
	if !ok && header != "" {
		c.denied.Add(1)
	}
	return ok
}

func (s *session) matches(req *request, header string) bool {
	c := s.camera
	scheme, rest, _ := strings.Cut(header, " ")
	if c.cfg.Auth == "basic" {
		return scheme == "Basic" && rest == base64.StdEncoding.EncodeToString([]byte(c.cfg.User+":"+c.cfg.Password))
	}
	if scheme != "Digest" {
		return false
	}
	p := map[string]string{}
	for _, m := range param.FindAllStringSubmatch(rest, -1) {
		p[strings.ToLower(m[1])] = m[2] + m[3]
	}
	sum := func(text string) string { h := md5.Sum([]byte(text)); return hex.EncodeToString(h[:]) }
	if c.cfg.Auth == "sha256" {
		sum = func(text string) string { h := sha256.Sum256([]byte(text)); return hex.EncodeToString(h[:]) }
	}
	if p["username"] != c.cfg.User || p["nonce"] != s.nonce || p["realm"] != realm || p["uri"] != req.uri {
		return false
	}
	ha1, ha2 := sum(c.cfg.User+":"+realm+":"+c.cfg.Password), sum(req.method+":"+p["uri"])
	want := sum(ha1 + ":" + s.nonce + ":" + ha2)
	if c.cfg.Auth == "sha256" {
		if p["qop"] != "auth" || p["nc"] == "" || p["cnonce"] == "" {
			return false
		}
		want = sum(ha1 + ":" + s.nonce + ":" + p["nc"] + ":" + p["cnonce"] + ":auth:" + ha2)
	}
	return p["response"] == want
}
