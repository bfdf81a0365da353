// Package sdktest runs a worker's class inside a test, without a host and without a process of its own, but through the
// real codec: every attachment, event and answer crosses gRPC on a unix socket as it does in production.
//
// A test starts a task with Run, drives it with Update, Pause, Resume, Stop and Checkpoint, watches it with WaitFor, and
// looks at how it ended with Wait. What the task asks of its host (cache, checkpoints, artifacts, secrets) is answered by a
// Host in memory that the test can fill and inspect. Workers' tests import it; nothing else does.
package sdktest
