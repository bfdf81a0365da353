// Package rtsptest is a camera made of software: an RTSP server that loops a small clip, with sound if told to (built in, no ffmpeg
// needed), to any number of clients over TCP and UDP, asks for a password when told to, and breaks in the ways real cameras break.
// Tests use it as a library; the class TestCamera of this plugin runs it as a task. It shares no code with the client in package
// rtsp, so that a misunderstanding on one side is not repeated on the other. It never takes a stream (ANNOUNCE, RECORD) and is no
// server for anything but tests and demonstrations.
package rtsptest
