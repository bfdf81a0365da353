// Package rtsp receives H.264 or H.265 video from a camera, and AAC sound where it has that: an RTSP 1.0 client (RFC 2326) over TCP
// (interleaved) or UDP, with Digest (MD5, SHA-256) and Basic authentication, that stays connected. Client.Run connects, watches over
// complete pictures, and connects again after every fault; complete access units, frames of sound and changes of state are handed to
// a Handler. Sound that cannot be had or read never ends or delays the video, but for one connection that breaks when it is asked
// for. The worker's recorder class is its caller. It never decodes or stores video, never publishes a stream, and never lets a
// password into a log line or an error.
package rtsp
