// Package servicemanager tells a service manager how this program is: ready, stopping, alive, and one line for people. It
// speaks systemd's notification protocol, of which it needs datagrams on a socket named by the environment.
//
// cmd/skalds takes a Notifier first of all, so that no process that it starts can speak in its name, and decides what is
// said and when.
package servicemanager
