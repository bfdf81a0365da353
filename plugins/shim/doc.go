// Package shim is the small process between a host and the processes of its workers. It forks them on the host's word, is
// their parent, reaps them and everything that they leave behind, and kills them all when its host dies or stands still.
// It knows nothing of plugins, RPC or retries, so that it needs to be exchanged almost never; it can be exchanged in place.
//
// Package plugins starts one by Start and speaks with it; programs that may be asked to be a shim call Main. DESIGN.md has
// the rules.
package shim
