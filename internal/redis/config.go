package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Config says how to reach the server, or the cluster.
type Config struct {
	Addr     string // host:port; of a cluster one or more members, with commas between them
	Username string // of the server's ACL; empty: its default user
	Password string // empty: no authentication
	DB       int    // number of the database, default 0; a cluster has no other
	TLS      bool   // encrypt the connections
	CAFile   string // PEM of the certificate authorities that may vouch for the server, with TLS; default: the system's
	Cluster  bool   // it is a Redis Cluster: keys lie on several servers
	// KeyTTL is how long the original's slow keys live, default 1 h (REDIS_KEY_TTL).
	KeyTTL time.Duration
	// MinReplicas is how many replicas must confirm a heartbeat before it counts; default 0. Set 1 where the server has
	// replicas that may take over, or a heartbeat that was acknowledged can be lost.
	MinReplicas int
}

// Check says what is wrong with a Config before anything is asked of the server.
func (c Config) Check() error {
	var faults []error
	for _, a := range c.addrs() {
		if _, _, err := net.SplitHostPort(a); err != nil {
			faults = append(faults, fmt.Errorf("%q is not of the form host:port (REDIS_HOST)", a))
		}
	}
	if n := len(c.addrs()); n > 1 && !c.Cluster {
		faults = append(faults, fmt.Errorf("%d servers are named, and only a cluster has several: set REDIS_CLUSTER=true, or name one (REDIS_HOST)", n))
	}
	if c.Cluster && c.DB != 0 {
		faults = append(faults, fmt.Errorf("a cluster has no database %d", c.DB))
	}
	if c.CAFile != "" && !c.TLS {
		faults = append(faults, fmt.Errorf("the certificate authorities in %s (REDIS_CA_FILE) vouch for nobody without TLS: set REDIS_TLS=true", c.CAFile))
	}
	_, err := c.encryption("")
	return errors.Join(append(faults, err)...)
}

func (c Config) addrs() []string {
	list := strings.Split(c.Addr, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// dial connects, within the time of ctx: the driver's own way to TLS looks at its time-out alone. The file of the authorities is
// read for each connection, so that a new one needs no restart.
func (c Config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	if !c.TLS {
		return d.DialContext(ctx, network, addr)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cfg, err := c.encryption(host)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: d, Config: cfg}).DialContext(ctx, network, addr)
}

// encryption is nil without TLS.
func (c Config) encryption(host string) (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if c.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities of the server (REDIS_CA_FILE): %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the file %s (REDIS_CA_FILE) has no certificate in it: PEM is needed", c.CAFile)
	}
	return cfg, nil
}
