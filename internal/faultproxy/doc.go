// Package faultproxy stands between a program and a service that it speaks to by TCP, and breaks what passes through: it refuses,
// stalls, delays, cuts connections in the middle of a message, or drops them all. It is for tests only.
package faultproxy
