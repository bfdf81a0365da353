package plugins

import "strings"

// workerEnv is the part of the host's environment that workers get: all but the host's own settings, which may hold
// passwords, and go-plugin's.
func workerEnv(environ []string) []string {
	out := make([]string, 0, len(environ))
	for _, e := range environ {
		private := false
		for _, prefix := range []string{"SKALDS_", "SKALD_", "KAFKA_", "REDIS_", "MONGO_", "PLUGIN_"} {
			private = private || strings.HasPrefix(e, prefix)
		}
		if !private {
			out = append(out, e)
		}
	}
	return out
}
