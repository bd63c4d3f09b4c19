package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The densities integrate to 1, and are those of the draws: the mean of x₀²
// over draws is that by the density, within four standard errors.
func TestDensities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for _, d := range []density{moons{}, checkerboard{}, spirals{}, turned{}} {
		const y, h = 0.7, 0.02
		var mass, second float64
		for a := -3.0 + h/2; a < 3; a += h {
			for b := -3.0 + h/2; b < 3; b += h {
				p := math.Exp(d.logProb([]float64{a, b}, y)) * h * h
				mass += p
				second += a * a * p
			}
		}
		if math.Abs(mass-1) > 1e-3 {
			t.Errorf("%s: the density integrates to %g", d.name(), mass)
		}
		const n = 20000
		var sum, squares float64
		for range n {
			x := d.draw(y, r)
			sum += x[0] * x[0]
			squares += x[0] * x[0] * x[0] * x[0]
		}
		mean := sum / n
		se := math.Sqrt((squares/n - mean*mean) / n)
		if math.Abs(mean-second) > 4*se {
			t.Errorf("%s: mean of x₀² is %.4f ± %.4f, by the density %.4f", d.name(), mean, se, second)
		}
	}
}
