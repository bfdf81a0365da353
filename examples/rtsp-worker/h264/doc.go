// Package h264 holds the few words about H.264 that the parts of this worker share: NAL units, parameter sets and complete
// access units. rtsp makes access units, recording and fmp4 take them, rtsptest cuts a clip into them. It never decodes a
// picture and does no I/O.
package h264
