package conf

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Settings is everything that a user can configure, by the original's names: in lower case in skalds.yml, in upper case in
// the environment and in .env. The tags of a field say its key, its flag where that is named otherwise, and what it is;
// DefaultSettings says its default. Empty texts mean "not set".
type Settings struct {
	SkaldID   string      `yaml:"skald_id" flag:"--node-id" section:"This node" help:"id of this node in the cluster; empty: a name is made once and kept in the data folder"`
	SkaldMode HostMode    `yaml:"skald_mode" flag:"--mode" help:"what a host does: node (takes tasks from controllers, and those of yaml_file beside), edge (only those of yaml_file) or single_process (the first of yaml_file, then it ends as that ended)"`
	SkaldEnv  Environment `yaml:"skald_env" help:"DEV or PRODUCTION: shown by /api/system/config, changes nothing else"`
	YAMLFile  string      `yaml:"yaml_file" flag:"--workers" help:"TaskWorkers file of an edge or single_process host, read again when it changes"`
	Labels    Labels      `yaml:"skalds_labels" flag:"--labels" help:"labels of this node, which the constraints of tasks are matched against: \"zone=a,gpu\""`
	DataDir   string      `yaml:"skalds_data_dir" flag:"--data-dir" help:"folder of everything that must survive: tasks, journal, logs, recordings; only one program may use it"`
	Plugins   string      `yaml:"skalds_plugins" flag:"--plugins" help:"folder of the workers' executables; empty: <skalds_data_dir>/plugins"`
	Grace     Duration    `yaml:"skalds_grace" flag:"--grace" help:"how long a worker may take to stop before its processes are killed"`
	Lease     Duration    `yaml:"skalds_lease" flag:"--lease" help:"how long a node counts as alive after a heartbeat; the same for hosts and controllers; at least 1s; a standalone that is not told takes 15s, and tells hosts that join"`
	Cgroups   Cgroups     `yaml:"skalds_cgroups" flag:"--cgroups" help:"control groups that hold the limits of tasks: auto (what this host may use; else a watchdog holds them), off (never, where somebody else owns them), or the group below which those of the tasks are made, as a path from the root of the version 2 hierarchy: /skalds.slice"`
	Warm      int         `yaml:"skalds_warm_workers" flag:"--warm-workers" help:"processes of workers in use that are kept ready for the next tasks, so that these start at once: at most so many in all, and within a twentieth of the memory; -1: four per processor; 0: none"`
	CPUDuty   bool        `yaml:"skalds_cpu_duty_cycle" flag:"--cpu-duty-cycle" help:"where no control group holds the CPU limits of tasks, stop and continue their processes by turns (SIGSTOP, SIGCONT), so that they keep to them; without it such limits are a hint"`

	LogLevel             LogLevel  `yaml:"log_level" section:"Logs" help:"TRACE, DEBUG, INFO, SUCCESS (as INFO), WARNING, ERROR or CRITICAL (as ERROR)"`
	LogFormat            LogFormat `yaml:"skalds_log_format" flag:"--log-format" help:"text for people or json for programs"`
	LogPath              string    `yaml:"log_path" help:"folder of the log files of tasks; empty: <skalds_data_dir>/logs"`
	LogRetention         Days      `yaml:"log_retention" help:"how long rotated log files are kept, in days (a part counts as one, a bare number is days); 0: for ever"`
	LogRotationMB        int       `yaml:"log_rotation_mb" help:"size in MB at which the log file of a task is rotated"`
	LogSplitWithWorkerID bool      `yaml:"log_split_with_worker_id" help:"a log file for each task; without it only the last lines of running tasks are kept, in memory"`

	ControllerMode          ControllerMode `yaml:"system_controller_mode" section:"Controller" help:"DISPATCHER: everything; MONITOR: API and page, never leads; CONTROLLER: the API only, never leads. At least one controller must be a DISPATCHER"`
	ControllerHost          string         `yaml:"system_controller_host" flag:"--listen" help:"address that the API and the dashboard listen on; 0.0.0.0: on all"`
	ControllerPort          int            `yaml:"system_controller_port" flag:"--listen" help:"its port; 0: any free one"`
	Advertise               string         `yaml:"skalds_advertise" flag:"--advertise" help:"URL under which hosts reach this controller, as http://10.0.0.5:8000; empty: the address that it listens on, or the first of this machine"`
	AllowedHosts            List           `yaml:"skalds_allowed_hosts" flag:"--allowed-hosts" help:"names beside localhost and addresses that browsers may use to reach a loopback listener: those of a reverse proxy"`
	Server                  string         `yaml:"skalds_server" flag:"--server" help:"URL of the controller, for the commands that ask it"`
	Token                   string         `yaml:"skalds_token" flag:"--token" secret:"yes" help:"bearer token that the API asks for, and that commands send; empty: none"`
	TaskWorkerRetry         int            `yaml:"task_worker_retry" help:"retries of tasks that say nothing about it and are not persistent; -1: the default of 3 attempts in all"`
	Retention               Days           `yaml:"skalds_retention" flag:"--retention" help:"how long tasks are kept after their end, with attempts and logs; a bare number is days; 0: for ever"`
	RetentionTasks          int            `yaml:"skalds_retention_tasks" flag:"--retention-tasks" help:"how many ended tasks are kept at most; 0: all"`
	NodeRetention           Days           `yaml:"skalds_node_retention" flag:"--node-retention" help:"how long a node is known that is lost or has left, unless it has tasks, is cordoned or was given labels; a bare number is days; 0: for ever"`
	DispatcherStrategy      Strategy       `yaml:"dispatcher_strategy" help:"FIT (the fullest node that has room, so that large tasks find some later) or SPREAD (the emptiest); the original's LEAST_TASKS, ROUND_ROBIN and RANDOM are read as SPREAD"`
	DispatcherInterval      Seconds        `yaml:"dispatcher_interval" effect:"none" help:"only shown by /api/system/config: tasks are dispatched at once, not at intervals; a bare number is seconds"`
	MonitorSkaldInterval    Seconds        `yaml:"monitor_skald_interval" effect:"none" help:"only shown by /api/system/config: nodes are judged by skalds_lease; a bare number is seconds"`
	MonitorTaskInterval     Seconds        `yaml:"monitor_task_interval" effect:"none" help:"only shown by /api/system/config: hosts report what happens to tasks at once; a bare number is seconds"`
	MonitorHeartbeatTimeout Seconds        `yaml:"monitor_heartbeat_timeout" effect:"none" help:"has no effect, as in the original: set skalds_lease; a bare number is seconds"`

	KafkaHost              List      `yaml:"kafka_host" section:"Kafka, unless embedded" flag:"--kafka" help:"brokers, with commas between them: \"a:9092,b:9092\"; those without a port get kafka_port"`
	KafkaPort              int       `yaml:"kafka_port" help:"port of brokers that are named without one"`
	KafkaUsername          string    `yaml:"kafka_username" help:"user; empty: no authentication"`
	KafkaPassword          string    `yaml:"kafka_password" secret:"yes" help:"password of the user"`
	KafkaMechanism         Mechanism `yaml:"kafka_mechanism" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	KafkaTLS               bool      `yaml:"kafka_tls" help:"encrypt the connections; always so with confluent.cloud"`
	KafkaCAFile            string    `yaml:"kafka_ca_file" help:"file of the certificate authorities (PEM) that may vouch for the brokers, with kafka_tls; empty: those of the system"`
	KafkaTopicPartitions   int       `yaml:"kafka_topic_partitions" help:"partitions of skalds.command, which the nodes share, where the topic has to be made"`
	KafkaReplicationFactor int       `yaml:"kafka_replication_factor" help:"replicas of topics that have to be made; -1: the brokers' own default"`

	RedisHost        List    `yaml:"redis_host" section:"Redis, unless embedded" flag:"--redis" help:"server; of a cluster some of its members, with commas between them; those that are named with a port (\"a:6380\") do not get redis_port"`
	RedisPort        int     `yaml:"redis_port" help:"its port"`
	RedisUsername    string  `yaml:"redis_username" help:"user, where the server has users; empty: its default user"`
	RedisPassword    string  `yaml:"redis_password" secret:"yes" help:"its password; empty: no authentication"`
	RedisTLS         bool    `yaml:"redis_tls" help:"encrypt the connections"`
	RedisCAFile      string  `yaml:"redis_ca_file" help:"file of the certificate authorities (PEM) that may vouch for the server, with redis_tls; empty: those of the system"`
	RedisCluster     bool    `yaml:"redis_cluster" help:"it is a Redis Cluster"`
	RedisMinReplicas int     `yaml:"redis_min_replicas" help:"replicas that must have a heartbeat before it counts: 1 where one of them may take the server's place"`
	RedisSyncPeriod  Seconds `yaml:"redis_sync_period" help:"time between two heartbeats of a host; a bare number is seconds; never more than a third of skalds_lease is used"`
	RedisKeyTTL      Seconds `yaml:"redis_key_ttl" help:"how long the original's slow keys live; a bare number is seconds"`

	MongoHost string `yaml:"mongo_host" section:"MongoDB" flag:"--mongo" help:"MongoDB that several controllers share, as mongodb://user:password@a,b,c/?replicaSet=rs; without it a controller keeps tasks in skalds_data_dir"`
	DBName    string `yaml:"db_name" help:"database in MongoDB"`
}

// DefaultSettings is a node and a controller of one machine.
func DefaultSettings() Settings {
	return Settings{
		SkaldMode: "node",
		SkaldEnv:  "DEV",
		DataDir:   "./skalds-data",
		Grace:     Duration(skalds.DefaultGrace),
		Lease:     Duration(6 * time.Second),
		Cgroups:   CgroupsAuto,
		Warm:      -1,

		LogLevel:             "INFO",
		LogFormat:            "text",
		LogRetention:         Days(3 * day),
		LogRotationMB:        10,
		LogSplitWithWorkerID: true,

		ControllerMode:          "DISPATCHER",
		ControllerHost:          "127.0.0.1",
		ControllerPort:          8000,
		Server:                  "http://127.0.0.1:8000",
		TaskWorkerRetry:         -1,
		Retention:               Days(30 * day),
		RetentionTasks:          100_000,
		NodeRetention:           Days(7 * day),
		DispatcherStrategy:      "FIT",
		DispatcherInterval:      Seconds(5 * time.Second),
		MonitorSkaldInterval:    Seconds(5 * time.Second),
		MonitorTaskInterval:     Seconds(3 * time.Second),
		MonitorHeartbeatTimeout: Seconds(5 * time.Second),

		KafkaHost:              List{"localhost"},
		KafkaPort:              9092,
		KafkaMechanism:         "PLAIN",
		KafkaTopicPartitions:   skalds.CommandPartitions,
		KafkaReplicationFactor: -1,

		RedisHost:       List{"localhost"},
		RedisPort:       6379,
		RedisSyncPeriod: Seconds(time.Second),
		RedisKeyTTL:     Seconds(time.Hour),

		DBName: "skalds",
	}
}

// Listen is the address of the controller's listener, host:port.
func (s Settings) Listen() string {
	return net.JoinHostPort(strings.Trim(s.ControllerHost, "[]"), strconv.Itoa(s.ControllerPort))
}

// KafkaBrokers are the brokers, each host:port.
func (s Settings) KafkaBrokers() []string {
	brokers := make([]string, len(s.KafkaHost))
	for i, h := range s.KafkaHost {
		brokers[i] = withPort(h, s.KafkaPort)
	}
	return brokers
}

// KafkaEncrypted is kafka_tls, or the presence of Confluent's cloud, which takes nothing else: the original knows that too.
func (s Settings) KafkaEncrypted() bool {
	return s.KafkaTLS || strings.Contains(strings.Join(s.KafkaHost, ","), "confluent.cloud")
}

// RedisAddr is the server's host:port; of a cluster one or more, with commas between them.
func (s Settings) RedisAddr() string {
	servers := make(List, len(s.RedisHost))
	for i, h := range s.RedisHost {
		servers[i] = withPort(h, s.RedisPort)
	}
	return servers.String()
}

// PluginsDir is the folder of the workers' executables.
func (s Settings) PluginsDir() string {
	if s.Plugins != "" {
		return s.Plugins
	}
	return filepath.Join(s.DataDir, "plugins")
}

// LogDir is the folder of the log files of tasks.
func (s Settings) LogDir() string {
	if s.LogPath != "" {
		return s.LogPath
	}
	return filepath.Join(s.DataDir, "logs")
}

// Heartbeat is the time between two heartbeats under a lease: redis_sync_period, but at most a third of the lease, because a
// single late one must not cost a node its tasks. The original's own file says 3 seconds.
func (s Settings) Heartbeat(lease time.Duration) time.Duration {
	return min(s.RedisSyncPeriod.D(), lease/3)
}

// withPort gives a host a port where it has none.
func withPort(host string, port int) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}
