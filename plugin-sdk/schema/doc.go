// Package schema makes the JSON Schema (2020-12) of a worker's attachments from their struct, and checks documents against
// the schemas that it makes. It is linked into every worker, and must cost a starting process nothing; package validator
// checks documents against any schema, and is what hosts and controllers use. Both agree on what fits a schema of Of. It
// knows nothing of tasks.
package schema
