package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/skalds-go/skalds"
)

// Config says how to reach the bus.
type Config struct {
	Brokers  []string // host:port of one or more brokers
	User     string   // empty: no authentication
	Password string
	// Mechanism of the authentication: PLAIN (default), SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	TLS       bool   // encrypt the connections
	CAFile    string // PEM of the certificate authorities that may vouch for the brokers; default: the system's
	ClientID  string // shown in the brokers' logs; default "skalds"
	// Partitions of skalds.command where the topic has to be made; default skalds.CommandPartitions.
	Partitions int
	// ReplicationFactor of topics that have to be made; default -1, which is the brokers' own default.
	ReplicationFactor int

	encryption   *tls.Config // nil without TLS
	uncompressed bool        // what is sent
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = "skalds"
	}
	if c.Mechanism == "" {
		c.Mechanism = "PLAIN"
	}
	if c.Partitions <= 0 {
		c.Partitions = skalds.CommandPartitions
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = -1
	}
	return c
}

func (c Config) validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("no broker is named: set KAFKA_HOST and KAFKA_PORT")
	}
	for _, b := range c.Brokers {
		if !strings.Contains(b, ":") {
			return fmt.Errorf("broker %q has no port: write host:port", b)
		}
	}
	switch c.Mechanism {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		return nil
	}
	return fmt.Errorf("mechanism %q is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", c.Mechanism)
}

// Times of the clients. Reconnecting is quick, because a restart of an embedded bus takes milliseconds.
const (
	dialTimeout    = 3 * time.Second
	answerTimeout  = 5 * time.Second // beyond what a request itself may take
	sendTimeout    = 10 * time.Second
	fetchWait      = time.Second // an empty fetch is answered after this
	idleTimeout    = 9 * time.Minute
	metadataMinAge = 100 * time.Millisecond
	minBackoff     = 50 * time.Millisecond
	maxBackoff     = 500 * time.Millisecond
)

// backoff grows from minBackoff to maxBackoff, with jitter.
func backoff(tries int) time.Duration {
	d := maxBackoff
	if tries < 6 {
		d = min(d, minBackoff<<max(0, tries-1))
	}
	return d/2 + rand.N(d/2)
}

// readCA reads the file of authorities, once: a bus that has been set up does not look at it again.
func (c *Config) readCA() error {
	if !c.TLS {
		if c.CAFile != "" {
			return fmt.Errorf("the certificate authorities in %s (KAFKA_CA_FILE) vouch for nobody without TLS: set KAFKA_TLS=true", c.CAFile)
		}
		return nil
	}
	c.encryption = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("read the certificate authorities of the brokers (KAFKA_CA_FILE): %w", err)
	}
	c.encryption.RootCAs = x509.NewCertPool()
	if !c.encryption.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the file %s (KAFKA_CA_FILE) has no certificate in it: PEM is needed", c.CAFile)
	}
	return nil
}

// options are those that all clients share; each says how it dials.
func (c Config) options() []kgo.Opt {
	o := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.RequestTimeoutOverhead(answerTimeout),
		kgo.RetryBackoffFn(backoff),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.ConnIdleTimeout(idleTimeout),
	}
	if c.User != "" {
		o = append(o, kgo.SASL(c.mechanism()))
	}
	return o
}

func (c Config) mechanism() sasl.Mechanism {
	switch c.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.User, Pass: c.Password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.User, Pass: c.Password}.AsSha512Mechanism()
	default:
		return plain.Auth{User: c.User, Pass: c.Password}.AsMechanism()
	}
}
