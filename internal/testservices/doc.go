// Package testservices gives tests Kafka, Redis and MongoDB of their own, to be stopped, frozen and killed, and what it takes to
// encrypt. Tests alone import it.
package testservices
