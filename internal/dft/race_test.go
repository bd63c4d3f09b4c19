//go:build race

package dft

const raceEnabled = true
