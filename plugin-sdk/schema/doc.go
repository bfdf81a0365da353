// Package schema makes the JSON Schema (2020-12) of a worker's attachments from their struct, and checks documents against
// such a schema. The SDK, the host and the controller use it, so that all three agree on what fits. It knows nothing of
// tasks.
package schema
