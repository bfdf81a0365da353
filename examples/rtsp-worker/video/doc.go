// Package video holds the words about coded video that the parts of this worker share, whatever the codec: complete access units, what
// a decoder must know of a stream, and the NAL units that both H.264 and H.265 are made of. rtsp makes access units, recording and
// fmp4 take them, rtsptest cuts clips into them; h264 and h265 know what differs. It never decodes a picture and does no I/O.
package video
