package conf

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/skalds-go/skalds"
)

// Validate names every fault at once, as skalds.FieldErrors with the keys of skalds.yml. No secret appears in them.
func (s Settings) Validate() error {
	v := validator{}
	v.texts(s)
	if s.SkaldID != "" {
		v.check("skald_id", skalds.ValidateID(s.SkaldID))
	}
	if s.DataDir == "" {
		v.add("skalds_data_dir", "is missing: name a folder for what must survive")
	}
	if s.Grace < 0 {
		v.add("skalds_grace", "%s is negative", s.Grace)
	}
	if s.Lease.D() < time.Second {
		v.add("skalds_lease", "%s is shorter than one second: a single late heartbeat would cost a node its tasks", s.Lease)
	}
	v.atLeast("skalds_warm_workers", s.Warm, -1)
	v.atLeast("log_rotation_mb", s.LogRotationMB, 1)
	v.controller(s)
	v.kafka(s)
	v.redis(s)
	if s.MongoHost != "" && !strings.HasPrefix(s.MongoHost, "mongodb://") && !strings.HasPrefix(s.MongoHost, "mongodb+srv://") {
		v.add("mongo_host", "%q is no URI of MongoDB: write mongodb://user:password@host:27017/", maskAddress(s.MongoHost))
	}
	if s.DBName == "" || strings.ContainsAny(s.DBName, "/\\. \"$*<>:|?") {
		v.add("db_name", "%q is no name of a database: leave it out for %s", s.DBName, DefaultSettings().DBName)
	}
	return errors.Join(v.errs...)
}

type validator struct{ errs []error }

func (v *validator) add(key, format string, args ...any) {
	v.errs = append(v.errs, skalds.Field(key, fmt.Sprintf(format, args...)))
}

func (v *validator) check(key string, err error) {
	if err != nil {
		v.add(key, "%v", err)
	}
}

func (v *validator) atLeast(key string, n, least int) {
	if n < least {
		v.add(key, "%d is less than %d", n, least)
	}
}

func (v *validator) port(key string, n, least int) {
	if n < least || n > 65535 {
		v.add(key, "%d is no port: use %d to 65535", n, least)
	}
}

// texts refuses line breaks and the like in all texts: they come from secrets that were stored with an end of line.
func (v *validator) texts(s Settings) {
	values := reflect.ValueOf(s)
	for _, k := range Keys() {
		if strings.ContainsFunc(valueText(values.Field(k.index)), unicode.IsControl) {
			v.add(k.Name, "contains a line break or another control character: take it out")
		}
	}
}

func (v *validator) controller(s Settings) {
	if s.Advertise != "" {
		if u, err := url.Parse(s.Advertise); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			v.add("skalds_advertise", "%q is no address: write it as http://10.0.0.5:8000", s.Advertise)
		}
	}
	switch h := s.ControllerHost; {
	case h == "":
		v.add("system_controller_host", "is missing: name an address, 0.0.0.0 for all")
	case strings.ContainsAny(h, "/ ") || (strings.Contains(h, ":") && net.ParseIP(strings.Trim(h, "[]")) == nil):
		v.add("system_controller_host", "%q is no address: its port goes into system_controller_port", maskAddress(h))
	}
	v.port("system_controller_port", s.ControllerPort, 0)
	if u, err := url.Parse(s.Server); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		v.add("skalds_server", "%q is no URL of a controller: write http://host:port", maskAddress(s.Server))
	}
	v.atLeast("task_worker_retry", s.TaskWorkerRetry, -1)
	v.atLeast("skalds_retention_tasks", s.RetentionTasks, 0)
}

func (v *validator) kafka(s Settings) {
	if len(s.KafkaHost) == 0 {
		v.add("kafka_host", "is empty: name a broker, or leave it out")
	}
	for _, h := range s.KafkaHost {
		v.check("kafka_host", hostFault(h))
	}
	v.port("kafka_port", s.KafkaPort, 1)
	if s.KafkaPassword != "" && s.KafkaUsername == "" {
		v.add("kafka_password", "has no effect without kafka_username")
	}
	if s.KafkaCAFile != "" && !s.KafkaEncrypted() {
		v.add("kafka_ca_file", "has no effect without kafka_tls")
	}
	v.atLeast("kafka_topic_partitions", s.KafkaTopicPartitions, 1)
	if s.KafkaReplicationFactor != -1 && (s.KafkaReplicationFactor < 1 || s.KafkaReplicationFactor > 32767) {
		v.add("kafka_replication_factor", "%d is no number of replicas: use 1 or more, or -1 for the brokers' default", s.KafkaReplicationFactor)
	}
}

func (v *validator) redis(s Settings) {
	if len(s.RedisHost) == 0 {
		v.add("redis_host", "is empty: name a server, or leave it out")
	}
	for _, h := range s.RedisHost {
		v.check("redis_host", hostFault(h))
	}
	if len(s.RedisHost) > 1 && !s.RedisCluster {
		v.add("redis_host", "names %d servers, and only a cluster has several: name one, or set redis_cluster", len(s.RedisHost))
	}
	if s.RedisUsername != "" && s.RedisPassword == "" {
		v.add("redis_username", "has no effect without redis_password")
	}
	if s.RedisCAFile != "" && !s.RedisTLS {
		v.add("redis_ca_file", "has no effect without redis_tls")
	}
	v.atLeast("redis_min_replicas", s.RedisMinReplicas, 0)
	v.port("redis_port", s.RedisPort, 1)
	if s.RedisSyncPeriod.D() < 100*time.Millisecond {
		v.add("redis_sync_period", "%s is shorter than 100ms", s.RedisSyncPeriod)
	}
	if s.RedisKeyTTL.D() < time.Second {
		v.add("redis_key_ttl", "%s is shorter than one second", s.RedisKeyTTL)
	}
}

// hostFault says what is wrong with "host" or "host:port".
func hostFault(s string) error {
	shown := maskAddress(s)
	if strings.Contains(s, "://") || strings.ContainsAny(s, "/@ \t,") {
		return fmt.Errorf("%q is not of the form host:port: user and password have keys of their own", shown)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil { // no port
		host = strings.Trim(s, "[]")
		if host == "" || (strings.Contains(host, ":") && net.ParseIP(host) == nil) {
			return fmt.Errorf("%q is not of the form host:port", shown)
		}
		return nil
	}
	if n, err := strconv.Atoi(port); host == "" || err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not of the form host:port", shown)
	}
	return nil
}
