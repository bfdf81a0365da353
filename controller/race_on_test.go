//go:build race

package controller_test

// raceDetector says whether the tests run with it.
const raceDetector = true
