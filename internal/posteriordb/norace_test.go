//go:build !race

package posteriordb

const raceEnabled = false
