package main

import "context"

// promise is a number and its bound, under the key that it has in bench.json.
type promise struct {
	key     string
	bound   float64
	atLeast bool // the bound is a lower one
	unbound bool // it is reported only
}

// experiment measures one or more promises, in their order.
type experiment struct {
	promises []promise
	measure  func(context.Context, *lab) ([]value, error)
}

func experiments() []experiment {
	return []experiment{
		{[]promise{{key: "cold_launch_ratio", bound: 4.5}}, coldLaunch},
		{[]promise{{key: "cold_launch_cgroup1_ratio", bound: 6}, {key: "cold_launch_cgroup2_ratio", bound: 4.5}}, coldLaunchInGroup},
		{[]promise{{key: "warm_launch_ratio", bound: 0.5}}, warmLaunch},
		{[]promise{{key: "shim_extra_ms", bound: 0.3}}, shimFork},
		{[]promise{{key: "start_200_s", unbound: true}, {key: "start_200_failures"}}, startMany},
		{[]promise{{key: "create_to_main_ratio", bound: 2}}, createToMain},
		{[]promise{{key: "create_to_main_cold_ratio", bound: 6}}, createToMainCold},
		{[]promise{{key: "tasks_per_second_ratio", bound: 0.7, atLeast: true}}, tasksPerSecond},
		{[]promise{{key: "idle_worker_unique_mb", bound: 4}}, idleWorkers},
		{[]promise{{key: "host_goroutines_per_task", bound: 28}, {key: "host_fds_per_task", bound: 12}, {key: "host_mb_per_task", bound: 0.3}}, hostCost},
		{[]promise{{key: "sample_500_cpu_ms", bound: 25}, {key: "sample_500_cgroup_cpu_ms", bound: 25}}, samplingRound},
		{[]promise{{key: "memory_over_limit_cgroup_bytes"}}, memoryByGroup},
		{[]promise{{key: "memory_over_limit_watchdog_s", bound: 0.15}}, memoryByWatchdog},
		{[]promise{{key: "cpu_over_limit_cgroup_points", bound: 2}, {key: "cpu_over_limit_dutycycle_points", bound: 2}}, cpuOverLimit},
		{[]promise{{key: "pids_over_limit_cgroup"}, {key: "pids_over_limit_watchdog", unbound: true}}, pidsOverLimit},
		{[]promise{{key: "kill_tree_ms", unbound: true}, {key: "kill_tree_cgroup_ms", unbound: true}}, killTree},
		{[]promise{
			{key: "freeze_ms", unbound: true},
			{key: "resume_ms", bound: 10},
			{key: "freeze_cgroup_ms", unbound: true},
			{key: "resume_cgroup_ms", bound: 10},
		}, freezeTree},
		{[]promise{{key: "frozen_cpu"}}, frozenCPU},
		{[]promise{{key: "crash_to_next_attempt_p95_ms", bound: 200}}, crashToNextAttempt},
		{[]promise{{key: "host_killed_to_running_s", bound: 3}}, hostKilled},
		{[]promise{{key: "machine_lost_to_running_s", bound: 9}}, machineLost},
		{[]promise{{key: "orphans_after_host_kill"}}, orphans},
		// Services stay when they have been started, and use some CPU: these are the last.
		{[]promise{{key: "create_to_main_cluster_ratio", unbound: true}}, createToMainCluster},
		{[]promise{{key: "create_to_main_cluster_sqlite_ratio", unbound: true}}, createToMainClusterSQLite},
		{[]promise{{key: "tasks_per_second_cluster", unbound: true}, {key: "tasks_per_second_cluster_ratio", unbound: true}}, tasksPerSecondCluster},
		{[]promise{{key: "tasks_per_second_cluster_sqlite", unbound: true}, {key: "tasks_per_second_cluster_sqlite_ratio", unbound: true}}, tasksPerSecondClusterSQLite},
		{[]promise{{key: "takeover_s", bound: 3}}, leaderKilled},
		{[]promise{{key: "heartbeat_cpu_us", unbound: true}, {key: "dispatch_light_nodes_p95_ms", unbound: true}}, heartbeatCost},
		{[]promise{{key: "takeover_stop_ms", bound: 200}, {key: "takeover_stop_to_main_ms", unbound: true}}, leaderStopped},
	}
}

func keys() (out []string) {
	for _, e := range experiments() {
		for _, p := range e.promises {
			out = append(out, p.key)
		}
	}
	return out
}
