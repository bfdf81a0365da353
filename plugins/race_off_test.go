//go:build !race

package plugins

// raceDetector says whether the tests run with it.
const raceDetector = false
