//go:build race

package prior

// raceDetector says that sync.Pool drops at random what is put into it.
const raceDetector = true
