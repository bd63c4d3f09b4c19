package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// The counts have the mean and variance that their formula says, and their
// probabilities sum to 1.
func TestCount(t *testing.T) {
	const mean, dispersion, draws = 12.0, 5.0, 20_000
	var sum, first, second float64
	for n := range 400 {
		p := math.Exp(logCount(float64(n), mean, dispersion))
		sum, first, second = sum+p, first+p*float64(n), second+p*float64(n*n)
	}
	variance := mean + mean*mean/dispersion
	if math.Abs(sum-1) > 1e-12 || math.Abs(first-mean) > 1e-10 || math.Abs(second-first*first-variance) > 1e-8 {
		t.Errorf("total %g, mean %g, variance %g, want 1, %g, %g", sum, first, second-first*first, mean, variance)
	}
	r := rand.New(rng.New(1, 0))
	x := make([]float64, draws)
	for i := range x {
		x[i] = count(mean, dispersion, r)
	}
	m, v := stat.MeanVariance(x, nil)
	if math.Abs(m-mean) > 4*math.Sqrt(variance/draws) || math.Abs(v/variance-1) > 0.06 {
		t.Errorf("draws have mean %g, variance %g, want %g, %g", m, v, mean, variance)
	}
}

// Without infections each boy is still infectious after a day with
// probability exp(-γ).
func TestDay(t *testing.T) {
	const gamma, n = 0.7, 20_000
	r := rand.New(rng.New(2, 0))
	x := make([]float64, n)
	for i := range x {
		e := epidemic{100, 40}
		e.day(0, gamma, r)
		if e.susceptible != 100 {
			t.Fatalf("%g susceptible", e.susceptible)
		}
		x[i] = e.infectious
	}
	p := math.Exp(-gamma)
	m, v := stat.MeanVariance(x, nil)
	if math.Abs(m-40*p) > 4*math.Sqrt(40*p*(1-p)/n) || math.Abs(v/(40*p*(1-p))-1) > 0.05 {
		t.Errorf("mean %g, variance %g, want %g, %g", m, v, 40*p, 40*p*(1-p))
	}
}

// The filter's likelihood is that of plain simulation, which weighs whole
// paths, in the mean.
func TestFilter(t *testing.T) {
	theta := []float64{1.8, 0.5, 10}
	counts := inBed[:3]
	r := rand.New(rng.New(3, 0))
	const paths, filters = 100_000, 2000
	plain := make([]float64, paths)
	for i := range plain {
		e, l := newEpidemic(), 0.0
		for _, n := range counts {
			e.day(theta[0], theta[1], r)
			l += logCount(n, e.infectious, theta[2])
		}
		plain[i] = math.Exp(l)
	}
	filter := make([]float64, filters)
	for i := range filter {
		filter[i] = math.Exp(logLikelihood(counts, theta, 50, r))
	}
	m0, s0 := stat.MeanStdDev(plain, nil)
	m1, s1 := stat.MeanStdDev(filter, nil)
	if se := math.Hypot(s0/math.Sqrt(paths), s1/math.Sqrt(filters)); math.Abs(m1-m0) > 4*se || se > 0.03*m0 {
		t.Errorf("likelihood %g by filters, %g by simulation, standard error %g", m1, m0, se)
	}
}
