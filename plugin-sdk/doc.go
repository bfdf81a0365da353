// Package sdk is all that a worker's author imports. A worker is a program whose main calls Serve with one or more
// classes; a Skalds host starts it once per task, each in a process of its own, and talks to it over go-plugin RPC. The
// same program runs alone: `./worker run --class C --attachments '{…}'` and `./worker describe`.
//
// The package never connects to Kafka, Redis or MongoDB, and imports nothing else of Skalds. What a task needs of its host
// (cache, checkpoints, artifacts, secrets) it reaches through Task.
package sdk

// Version is the SDK's version, announced in Describe.
const Version = "0.1.0"
