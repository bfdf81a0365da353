// Package validator checks documents against any JSON Schema. Hosts, controllers and package sdktest use it. Workers do not
// link it: the library that it stands on compiles the meta-schemas of every draft when a process starts, which takes longer
// than all the rest of a worker's start.
package validator
