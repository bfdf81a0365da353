//go:build linux

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/skalds-go/skalds/controller/api"
)

// plain is a client that knows nothing of skalds.
var plain = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

type answer struct {
	status     int
	retryAfter string
	body       string
}

// post sends a document and reads the answer, whatever it is.
func post(url string, doc any) (answer, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return answer{}, err
	}
	res, err := plain.Post(url, "application/json", bytes.NewReader(b))
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close() //nolint:errcheck // it is only read
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header.Get("Retry-After"), string(body)}, err
}

// ready asks a controller how it is, which it answers whether or not it is well: by 200 or by 503.
func ready(server string) (p api.Probe, err error) {
	res, err := plain.Get(server + "/readyz")
	if err != nil {
		return p, err
	}
	defer res.Body.Close() //nolint:errcheck // it is only read
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		return p, err
	}
	if well := p.Status == "ok"; well && res.StatusCode != http.StatusOK || !well && res.StatusCode != http.StatusServiceUnavailable {
		return p, fmt.Errorf("/readyz answers %d and %q", res.StatusCode, p.Status)
	}
	return p, nil
}
