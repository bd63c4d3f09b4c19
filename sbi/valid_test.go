package sbi_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// failing is a simulator of y = θ with normal noise of 1, which fails with
// probability 1/(1 + exp(-4θ)): it fails on the right. The posterior given y = 0
// under a uniform prior is φ(θ)/(1 + exp(4θ)) up to a constant.
func failing(_ context.Context, y, theta []float64, src rand.Source) error {
	r := rand.New(src)
	y[0] = theta[0] + r.NormFloat64()
	if r.Float64() < 1/(1+math.Exp(-4*theta[0])) {
		return errors.New("no result")
	}
	return nil
}

// failingTable has n simulations of failing with parameters uniform on (-5, 5),
// and the moments of the posterior given 0 by quadrature.
func failingTable(t *testing.T, n int) (pri *prior.Box, table *sbi.Table, mean, sd float64) {
	t.Helper()
	pri, err := prior.NewBox([]float64{-5}, []float64{5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err = sbi.Simulate(context.Background(), pri, sbi.NewSimulator(1, 1, failing), n, &sbi.SimulateOptions{Policy: sbi.Record, Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var z, m1, m2 float64
	for x := -5.0; x < 5; x += 1e-3 {
		w := math.Exp(-x*x/2) / (1 + math.Exp(4*x))
		z += w
		m1 += w * x
		m2 += w * x * x
	}
	mean = m1 / z
	return pri, table, mean, math.Sqrt(m2/z - mean*mean)
}

// TestValidity holds the learned probability to the true one.
func TestValidity(t *testing.T) {
	ctx := context.Background()
	pri, table, _, _ := failingTable(t, 4000)
	v, err := sbi.LearnValidity(ctx, pri, table, rng.New(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, theta := range []float64{-4, -1, -0.3, 0, 0.3, 1, 4} {
		want := 1 / (1 + math.Exp(4*theta))
		// Of 4000 simulations some 200 are within a quarter.
		if p := v.Prob([]float64{theta}); math.Abs(p-want) > 0.08 {
			t.Errorf("P(valid|%g) is %.3f, want %.3f", theta, p, want)
		}
	}
	if p := v.Prob([]float64{7}); p != 0 {
		t.Errorf("outside of the prior: %g", p)
	}
	var b bytes.Buffer
	if err := v.Save(&b); err != nil {
		t.Fatal(err)
	}
	again, err := sbi.LoadValidity(bytes.NewReader(b.Bytes()), pri)
	if err != nil {
		t.Fatal(err)
	}
	if p, q := again.Prob([]float64{0.2}), v.Prob([]float64{0.2}); p != q {
		t.Errorf("read again: %g, was %g", p, q)
	}
	other, err := prior.NewBox([]float64{-5}, []float64{6}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sbi.LoadValidity(bytes.NewReader(b.Bytes()), other); err == nil || !strings.Contains(err.Error(), "another support") {
		t.Errorf("error of another prior %v", err)
	}
	if _, err := sbi.LearnValidity(ctx, pri, table.Valid(), nil); err == nil || !strings.Contains(err.Error(), "nothing to learn") {
		t.Errorf("error without failures %v", err)
	}
}

// TestLikelihoodsWithFailures: posteriors by likelihood and by ratio have the
// moments of quadrature, which without the probability of validity are those of
// a standard normal density.
func TestLikelihoodsWithFailures(t *testing.T) {
	if testing.Short() {
		t.Skip("trains three networks for seconds; TestValidity runs")
	}
	ctx := context.Background()
	pri, table, mean, sd := failingTable(t, 6000)
	nle, err := sbi.NLE(ctx, pri, table, options(smallMAF))
	if err != nil {
		t.Fatal(err)
	}
	nre, err := sbi.NRE(ctx, pri, table, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := nre.Save(&b); err != nil {
		t.Fatal(err)
	}
	again, err := sbi.LoadRatio(&b, pri)
	if err != nil {
		t.Fatal(err)
	}
	y := []float64{0}
	if p, q := again.Given(y).LogProb([]float64{0.2}), nre.Given(y).LogProb([]float64{0.2}); p != q {
		t.Errorf("the ratio read again is %g, was %g", p, q)
	}
	snle, _, err := sbi.SNLE(ctx, pri, sbi.NewSimulator(1, 1, failing), y, 6000, &sbi.Sequential{Options: *options(flow.MAF{Transforms: 2, Hidden: []int{16}}), Rounds: 2, Policy: sbi.Record})
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]*sbi.LearnedTarget{"NLE": nle.Given(y), "NRE": nre.Given(y), "SNLE": snle.Given(y)} {
		draws := mat.NewDense(4000, 1, nil)
		if err := target.SampleFrom(ctx, draws, rng.New(3, 0)); err != nil {
			t.Fatal(name, err)
		}
		m, s := stat.MeanStdDev(mat.Col(nil, 0, draws), nil)
		// The bounds of TestEstimators; without the factor the mean is off by 1.2
		// standard deviations.
		if math.Abs(m-mean) > 0.25*sd || s > 1.15*sd || s < sd/1.2 {
			t.Errorf("%s: mean %.3f sd %.3f, exact %.3f %.3f", name, m, s, mean, sd)
		}
		score := make([]float64, 1)
		if _, err := target.Evaluate(score, []float64{0.1}); err != nil {
			t.Fatal(name, err)
		}
		g := fd.Gradient(nil, target.LogProb, []float64{0.1}, &fd.Settings{Formula: fd.Central, Step: 1e-2})
		if math.Abs(score[0]-g[0]) > 0.05*(1+math.Abs(g[0])) { // float32
			t.Errorf("%s: gradient %g, by differences %g", name, score[0], g[0])
		}
	}
}
