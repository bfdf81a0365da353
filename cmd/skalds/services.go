package main

import (
	"encoding/json"
	"strings"

	"github.com/skalds-go/skalds/internal/conf"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
)

// services is where bus and Redis are.
type services struct {
	kafka kafka.Config
	redis redis.Config
}

// where names them for people, without users and passwords.
func (s services) where() []any {
	return []any{"kafka", strings.Join(s.kafka.Brokers, ","), "redis", s.redis.Addr}
}

// joined are the services of a standalone.
func joined(j embedded.Join) services {
	return services{
		kafka: kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword, Mechanism: j.KafkaMechanism, TLS: j.KafkaTLS, CAFile: j.KafkaCAFile},
		redis: redis.Config{
			Addr: j.RedisAddr, Username: j.RedisUsername, Password: j.RedisPassword, TLS: j.RedisTLS, CAFile: j.RedisCAFile, Cluster: j.RedisCluster,
		},
	}
}

// clusterServices are those that the settings name.
func clusterServices(s conf.Settings) services {
	return services{
		kafka: kafka.Config{
			Brokers: s.KafkaBrokers(), User: s.KafkaUsername, Password: s.KafkaPassword, Mechanism: string(s.KafkaMechanism), TLS: s.KafkaEncrypted(), CAFile: s.KafkaCAFile,
			Partitions: s.KafkaTopicPartitions, ReplicationFactor: s.KafkaReplicationFactor,
		},
		redis: redis.Config{
			Addr: s.RedisAddr(), Username: s.RedisUsername, Password: s.RedisPassword, TLS: s.RedisTLS, CAFile: s.RedisCAFile,
			Cluster: s.RedisCluster, MinReplicas: s.RedisMinReplicas, KeyTTL: s.RedisKeyTTL.D(),
		},
	}
}

// elsewhere is what a standalone is told of services that it does not embed.
func (s services) elsewhere(bus, beats bool) (j embedded.Join) {
	if bus {
		j.KafkaBrokers, j.KafkaUser, j.KafkaPassword = s.kafka.Brokers, s.kafka.User, s.kafka.Password
		j.KafkaMechanism, j.KafkaTLS, j.KafkaCAFile = s.kafka.Mechanism, s.kafka.TLS, s.kafka.CAFile
	}
	if beats {
		j.RedisAddr, j.RedisUsername, j.RedisPassword = s.redis.Addr, s.redis.Username, s.redis.Password
		j.RedisTLS, j.RedisCAFile, j.RedisCluster = s.redis.TLS, s.redis.CAFile, s.redis.Cluster
	}
	return j
}

// servicesJSON is how services travel from a host to what watches over it, passwords included: only on a private socket.
type servicesJSON struct {
	Kafka kafka.Config `json:"kafka"`
	Redis redis.Config `json:"redis"`
}

// MarshalJSON writes passwords too.
func (s services) MarshalJSON() ([]byte, error) {
	return json.Marshal(servicesJSON{s.kafka, s.redis})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *services) UnmarshalJSON(b []byte) error {
	var j servicesJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	s.kafka, s.redis = j.Kafka, j.Redis
	return nil
}
