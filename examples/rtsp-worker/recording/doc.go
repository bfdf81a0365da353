// Package recording keeps the video of one camera, and its sound beside it, as a row of files: segments of fragmented MP4, cut at
// key frames, each part written with a single write so that a killed process loses at most one part and one picture. Pictures alone
// say when a part or a file ends; sound goes along or is left out. A Recorder takes both on the goroutine that receives them; a
// Janitor, on one of its own, repairs what a former process left behind and deletes what is too old, too much or too close to a full
// disk. A disk that takes nothing never ends the recording: it goes on as soon as there is room. The recorder class of this worker
// is the caller. The package knows nothing of RTSP and never reads a camera.
package recording
