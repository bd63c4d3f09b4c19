package sampler

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// EBFMI returns the estimated Bayesian fraction of missing information of a
// Hamiltonian chain from its energies,
//
//	Σ (E_n - E_n-1)² / Σ (E_n - mean E)²
//
// (Betancourt, 2016). Below 0.3 the momentum refreshments explore the energies
// too slowly for the tails to be trusted, as a heavy-tailed target makes them;
// a reparameterisation helps.
//
// It is NaN for fewer than two energies, for constant ones, and if any is NaN
// or infinite.
func EBFMI(energy []float64) float64 {
	if len(energy) < 2 || constant(energy) || !finite(energy) {
		return math.NaN()
	}
	var num float64
	for i, e := range energy[1:] {
		d := e - energy[i]
		num += d * d
	}
	return num / (float64(len(energy)-1) * stat.Variance(energy, nil))
}
