// Package aac holds the words about AAC sound that the parts of this worker share: what a decoder must know of a stream, and its frames.
// rtsp makes frames, recording and fmp4 take them, rtsptest cuts a clip into them. It never decodes a sound and does no I/O.
package aac
