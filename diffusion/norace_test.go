//go:build !race

package diffusion

const raceDetector = false
