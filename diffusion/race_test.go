//go:build race

package diffusion

// raceDetector says that sync.Pool drops at random what is put into it.
const raceDetector = true
