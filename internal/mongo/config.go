package mongo

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/skalds-go/skalds"
)

// Limits of a Config that says nothing.
const (
	DefaultDatabase = "skalds"        // the original's
	DefaultTimeout  = 5 * time.Second // of one call
	selectTimeout   = 3 * time.Second // until a primary is found, the original's
)

// Config says where the documents are.
type Config struct {
	URI      string        // mongodb://user:password@a,b,c/?replicaSet=rs; the URI may ask for TLS as the driver has it
	Database string        // "": DefaultDatabase
	Timeout  time.Duration // of one call; 0: DefaultTimeout
	// WorkerRetry is TASK_WORKER_RETRY, for documents that were inserted by others and say nothing of retries; -1: not set.
	WorkerRetry int

	monitor *event.CommandMonitor // sees all commands; for tests
}

// client turns the config into the driver's words, or says what is wrong with it.
func (c Config) client() (*options.ClientOptions, error) {
	o := options.Client().ApplyURI(c.URI)
	if err := o.Validate(); err != nil {
		return nil, skalds.Errorf(skalds.CodeInvalid, "%s cannot be used to reach MongoDB: %s", MaskURI(c.URI), strings.ReplaceAll(err.Error(), c.URI, MaskURI(c.URI)))
	}
	// What is promised of a call does not depend on the URI.
	o.SetServerSelectionTimeout(min(selectTimeout, c.Timeout)).SetConnectTimeout(min(selectTimeout, c.Timeout)).SetTimeout(c.Timeout)
	o.SetReadPreference(readpref.Primary()).SetReadConcern(readconcern.Majority()).SetWriteConcern(lasting())
	if o.RetryWrites == nil { // some servers that speak the protocol refuse them
		o.SetRetryWrites(true)
	}
	o.SetRetryReads(true)
	if o.AppName == nil {
		o.SetAppName("skalds")
	}
	if c.monitor != nil {
		o.SetMonitor(c.monitor)
	}
	return o, nil
}

// lasting is the concern of writes that must never be forgotten.
func lasting() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: "majority", Journal: &journal}
}

// MaskURI is a URI of MongoDB without its password, for messages.
func MaskURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return "the address"
	}
	// The driver takes what stands before the last @ of the part with the hosts for user and password.
	hosts, tail, path := strings.Cut(rest, "/")
	at := strings.LastIndex(hosts, "@")
	if at < 0 && strings.Contains(tail, "@") { // a password with a slash in it, not escaped
		return scheme + "://***"
	}
	if at >= 0 {
		user, _, _ := strings.Cut(hosts[:at], ":")
		hosts = fmt.Sprintf("%s:***%s", user, hosts[at:])
	}
	if !path {
		return scheme + "://" + hosts
	}
	before, query, asked := strings.Cut(tail, "?")
	if asked {
		before += "?" + maskQuery(query)
	}
	return scheme + "://" + hosts + "/" + before
}

// maskQuery hides what options may tell: the password of a client's key, or a session token.
func maskQuery(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "***"
	}
	for key := range values {
		switch strings.ToLower(key) {
		case "authmechanismproperties", "tlscertificatekeyfilepassword", "sslclientcertificatekeypassword":
			values.Set(key, "***")
		}
	}
	return strings.ReplaceAll(values.Encode(), "%2A%2A%2A", "***")
}
