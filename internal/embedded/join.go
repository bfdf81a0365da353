package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skalds-go/skalds"
)

// JoinFile is the name of the file in the data folder by which others join.
const JoinFile = "join.json"

// Join is what a host needs to join: it holds secrets, and the file that it is kept in is for its owner alone.
type Join struct {
	KafkaBrokers  []string `json:"kafkaBrokers"`
	KafkaUser     string   `json:"kafkaUser"`
	KafkaPassword string   `json:"kafkaPassword"`
	// KafkaElsewhere and RedisElsewhere say that a server is not one of this program.
	KafkaElsewhere bool `json:"kafkaElsewhere,omitempty"`
	RedisElsewhere bool `json:"redisElsewhere,omitempty"`
	// KafkaMechanism and KafkaTLS are of brokers that run elsewhere; empty: PLAIN, without TLS.
	KafkaMechanism string `json:"kafkaMechanism,omitempty"`
	KafkaTLS       bool   `json:"kafkaTLS,omitempty"`
	KafkaCAFile    string `json:"kafkaCAFile,omitempty"`
	RedisAddr      string `json:"redisAddr"`
	RedisPassword  string `json:"redisPassword"`
	// RedisUsername, RedisTLS, RedisCAFile and RedisCluster are of a Redis that runs elsewhere. The file is one of the machine on which
	// the join file is used.
	RedisUsername string `json:"redisUsername,omitempty"`
	RedisTLS      bool   `json:"redisTLS,omitempty"`
	RedisCAFile   string `json:"redisCAFile,omitempty"`
	RedisCluster  bool   `json:"redisCluster,omitempty"`
	Server        string `json:"server,omitempty"` // URL of the controller
	Token         string `json:"token,omitempty"`  // for it
	// Lease is how long the controller takes a silent node for alive; a host that joins must count by the same.
	Lease skalds.Duration `json:"lease,omitempty"`
}

// ReadJoin reads a join file, or the one in a data folder.
func ReadJoin(path string) (Join, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JoinFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Join{}, &skalds.Error{
			Code: skalds.CodeNotFound, Err: err,
			Message: fmt.Sprintf("cannot read %s: name the %s in the data folder of a running `skalds standalone`", path, JoinFile),
		}
	}
	var j Join
	if err := json.Unmarshal(b, &j); err != nil {
		return Join{}, &skalds.Error{Code: skalds.CodeInvalid, Err: err, Message: fmt.Sprintf("%s is no join file of skalds", path)}
	}
	if len(j.KafkaBrokers) == 0 || j.RedisAddr == "" {
		return Join{}, skalds.Errorf(skalds.CodeInvalid, "%s is no join file of skalds: it names no kafkaBrokers or no redisAddr", path)
	}
	return j, nil
}

// own is what is left of a join file that says where our own servers were, and with which passwords.
func (j Join) own() Join {
	if j.KafkaElsewhere {
		j.KafkaBrokers, j.KafkaPassword = nil, ""
	}
	if j.RedisElsewhere {
		j.RedisAddr, j.RedisPassword = "", ""
	}
	return j
}

// write replaces the file at once, so that nobody reads half of it.
func (j Join) write(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replaceFile(path, append(b, '\n'))
}

// replaceFile writes a file that is for its owner alone, by a temporary one and a rename.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
