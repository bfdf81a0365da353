// Package fmp4 writes fragmented MP4 (ISO/IEC 14496-12) with one track of video, H.264 or H.265, and perhaps one of AAC sound, and finds
// out how much of a file that was cut short is whole. A file is a header (ftyp, moov) followed by parts (moof, mdat) and, when it was
// ended properly, a seal (free); every part is handed over in a single Write, so that a process killed at any moment leaves at most one
// unfinished part at the end, and everything before it plays with no repair. Package recording is its only caller. It never opens,
// truncates or deletes a file.
package fmp4
