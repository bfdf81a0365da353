// Command rtsp-worker is a Skalds worker with two classes: RTSPRecorder records a camera through crashes and faults of all kinds,
// TestCamera is a camera made of software. `rtsp-worker run` runs either without any host.
package main
