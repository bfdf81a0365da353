// Command simple-worker is the smallest useful Skalds worker: a typed attachment, Before, Main, and an Update that changes
// a running task. A host starts it once per task; `simple-worker run --attachments '{…}'` runs it alone. It opens no
// camera: examples/rtsp-worker does.
package main
