//go:build !race

package prior

const raceDetector = false
