//go:build race

package posteriordb

const raceEnabled = true
