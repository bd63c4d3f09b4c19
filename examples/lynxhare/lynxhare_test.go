package main

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
)

func TestScores(t *testing.T) {
	lik, err := newCounts(pelts)
	if err != nil {
		t.Fatal(err)
	}
	post, err := posterior.New(priors, lik)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][]float64{
		{0.55, 0.028, 0.8, 0.024, 34, 6, 0.25, 0.25},
		{0.7, 0.04, 0.6, 0.02, 25, 8, 0.5, 0.4},
	} {
		if err := prior.CheckScore(post, x); err != nil {
			t.Error(err)
		}
	}
	// Where the equations cannot be solved.
	x := []float64{1e6, 1e-9, 1e-9, 1e6, 34, 6, 0.25, 0.25}
	if lp := post.LogProb(x); !math.IsInf(lp, -1) {
		t.Errorf("log density %g where there is no solution", lp)
	}
}

// The means agree with those of Stan's reference draws of the same model, from
// posteriordb (hudson_lynx_hare-lotka_volterra).
func TestPosteriorAgainstStan(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	res, err := infer(context.Background(), &sampler.Settings{
		Src: rand.NewPCG(1, 0), Warmup: 500, Draws: 500,
	})
	if err != nil {
		t.Fatal(err)
	}
	for j, want := range []struct{ mean, sd float64 }{
		{0.54686, 0.06305}, {0.027747, 0.004155}, {0.80010, 0.08937}, {0.024086, 0.003528},
		{34.035, 2.917}, {5.9359, 0.5306}, {0.24806, 0.04326}, {0.25102, 0.04359},
	} {
		var chains [][]float64
		var mean float64
		for _, c := range res.Chains {
			x := mat.Col(nil, j, c)
			chains = append(chains, x)
			for _, v := range x {
				mean += v / float64(len(x)*len(res.Chains))
			}
		}
		se := math.Hypot(sampler.MCSEMean(chains), want.sd/100)
		if z := (mean - want.mean) / se; math.Abs(z) > 4 {
			t.Errorf("mean of %s is %.5g, Stan has %.5g: %.1f standard errors", names[j], mean, want.mean, z)
		}
	}
	future, err := predict(res, rand.NewPCG(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if future.period[1] < 10 || future.period[1] > 10.6 || future.inside < 34 {
		t.Errorf("the cycle takes %.2f years; %d of 42 counts are within the 90 %% band", future.period[1], future.inside)
	}
}
