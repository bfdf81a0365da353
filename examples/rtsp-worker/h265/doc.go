// Package h265 knows of H.265 (HEVC) what this worker needs: the kinds of its NAL units, its parameter sets, and the record of them
// that a file holds (hvcC). It never decodes a picture and does no I/O.
package h265
