package sbi

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// TestScreen: columns whose location, spread or distance depends on a parameter
// are found among heavy-tailed noise, and noise is taken as rarely as the level
// says.
func TestScreen(t *testing.T) {
	const n, m, runs = 500, 20, 400
	want := map[int]func(a, b float64, r *rand.Rand) float64{
		3:  func(a, b float64, r *rand.Rand) float64 { return a + 2*r.NormFloat64() },
		8:  func(a, b float64, r *rand.Rand) float64 { return b * r.NormFloat64() },             // spread by distance
		11: func(a, b float64, r *rand.Rand) float64 { return a*a + r.NormFloat64() },           // location by distance
		17: func(a, b float64, r *rand.Rand) float64 { return math.Exp(b/2) * r.NormFloat64() }, // spread by value
	}
	var wrong float64
	for run := range runs {
		r := rand.New(rng.New(1, uint64(run)))
		theta, y := mat.NewDense(n, 2, nil), mat.NewDense(n, m, nil)
		for i := range n {
			a, b := r.NormFloat64(), 4*r.Float64()-2
			theta.SetRow(i, []float64{a, b})
			scale := 1 / r.Float64() // of all noise
			for j := range m {
				y.Set(i, j, scale*r.NormFloat64())
				if f, ok := want[j]; ok {
					y.Set(i, j, f(a, b, r))
				}
			}
		}
		found := false
		for j, depends := range screen(theta, y) {
			switch {
			case want[j] != nil && !depends:
				t.Fatalf("run %d: column %d is not found", run, j)
			case want[j] == nil && depends:
				found = true
			}
		}
		if found {
			wrong++
		}
	}
	level := screenLevel * float64(m-len(want)) / m
	if se := math.Sqrt(level * (1 - level) / runs); wrong/runs > level+3*se || wrong == 0 {
		t.Errorf("noise is taken in %g of %d runs, want %.3f ± %.3f", wrong, runs, level, se)
	}
}

// TestRankScores: ties share their ranks, and a column without spread says
// nothing.
func TestRankScores(t *testing.T) {
	values, distances := rankScores([]float64{2, 7, 2, 9})
	for i, want := range []float64{-1, 0.5, -1, 1.5} { // ranks 1.5, 3, 1.5, 4
		if got := values[i] * math.Sqrt(4.5); math.Abs(got-want) > 1e-12 {
			t.Errorf("rank of element %d is %g, want %g", i, got, want)
		}
	}
	if m, norm := stat.Mean(distances, nil), floats.Norm(distances, 2); math.Abs(m) > 1e-12 || math.Abs(norm-1) > 1e-12 {
		t.Errorf("the distances have mean %g and norm %g", m, norm)
	}
	for _, s := range [][]float64{{3, 3, 3, 3, 3}, {0, 1, 0, 1}} {
		values, distances := rankScores(s)
		if s[0] == s[1] && floats.Norm(values, 1) != 0 || floats.Norm(distances, 1) != 0 {
			t.Errorf("%v: ranks %v, distances %v", s, values, distances)
		}
	}
}
