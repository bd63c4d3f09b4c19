//go:build race

package likelihood

// The race detector makes sync.Pool drop items at random.
const raceEnabled = true
