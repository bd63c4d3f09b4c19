//go:build !race

package dft

const raceEnabled = false
