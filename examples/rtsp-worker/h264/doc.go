// Package h264 knows of H.264 what this worker needs: the kinds of its NAL units, its parameter sets, and the record of them that a
// file holds (avcC). It never decodes a picture and does no I/O.
package h264
