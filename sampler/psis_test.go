package sampler

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/rng"
)

// Weights u^-k of uniform u have exactly the Pareto tail of shape k.
func TestPSISShape(t *testing.T) {
	for _, k := range []float64{0.2, 0.5, 0.9} {
		r := rand.New(rng.New(3, 0))
		const n = 20000
		lw := make([]float64, n)
		for i := range lw {
			lw[i] = -k * math.Log(1-r.Float64())
		}
		got, khat, err := PSIS(nil, lw, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The estimator of k has standard deviation (1+k)/sqrt(tail).
		if se := (1 + k) / math.Sqrt(3*math.Sqrt(n)); math.Abs(khat-k) > 3*se {
			t.Errorf("k-hat = %g, want %g ± %g", khat, k, se)
		}
		if s := floats.LogSumExp(got); math.Abs(s) > 1e-12 {
			t.Errorf("the weights sum to exp(%g)", s)
		}
	}
}

func TestPSISEdges(t *testing.T) {
	equal := make([]float64, 100)
	w, k, err := PSIS(nil, equal, 1)
	if err != nil || !math.IsInf(k, -1) || math.Abs(w[3]+math.Log(100)) > 1e-12 {
		t.Errorf("equal weights: %g, k-hat %g, %v", w[3], k, err)
	}
	w, k, err = PSIS(nil, []float64{0, 1, 2}, 1)
	if err != nil || !math.IsNaN(k) || math.Abs(floats.LogSumExp(w)) > 1e-12 {
		t.Errorf("three weights: %v, k-hat %g, %v", w, k, err)
	}
	// More than a quarter of the tail ties with the cutoff.
	ties := make([]float64, 100)
	for i := range ties {
		ties[i] = math.Inf(-1)
	}
	for i := range 8 {
		ties[i] = float64(i)
	}
	w, k, err = PSIS(ties, ties, 1)
	if err != nil || math.IsNaN(k) || math.Abs(floats.LogSumExp(w)) > 1e-12 {
		t.Errorf("ties: %v, k-hat %g, %v", w[:10], k, err)
	}
	for _, step := range []float64{10, 10.4, 10.45, 10.5, 11, 1e300} {
		far := make([]float64, 1000)
		for i := range far {
			far[i] = step * float64(i)
		}
		w, k, err = PSIS(nil, far, 1)
		if err != nil || !(k > 10) || math.Abs(floats.LogSumExp(w)) > 1e-12 {
			t.Errorf("weights %g apart: k-hat %g, %v", step, k, err)
		}
	}
	for _, bad := range [][]float64{nil, {0, math.NaN()}, {math.Inf(1), 0}, {math.Inf(-1), math.Inf(-1)}} {
		if _, _, err := PSIS(nil, bad, 1); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	if _, _, err := PSIS(nil, equal, -1); err == nil {
		t.Error("negative relEff: no error")
	}
	if _, _, err := PSIS(make([]float64, 3), equal, 1); err == nil {
		t.Error("short dst: no error")
	}
	if KHatThreshold(100) != 0.5 || KHatThreshold(4000) != 0.7 {
		t.Errorf("thresholds %g and %g", KHatThreshold(100), KHatThreshold(4000))
	}
}
