package sbi_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

// bananaTable has simulations of y = (θ₁ + θ₂², θ₂) with noise of 0.3, and a
// column that is the same in all of them, with parameters from a box.
func bananaTable(t *testing.T, n int) (*prior.Box, *sbi.Table) {
	t.Helper()
	box, err := prior.NewBox([]float64{-2, -1}, []float64{2, 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sim := sbi.NewSimulator(3, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
		r := rand.New(src)
		y[0] = theta[0] + theta[1]*theta[1] + 0.3*r.NormFloat64()
		y[1] = theta[1] + 0.3*r.NormFloat64()
		y[2] = 7
		return nil
	})
	table, err := sbi.Simulate(context.Background(), box, sim, n, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return box, table
}

// Gradients of learned targets, of one datum and of repeats, are those of
// differences.
func TestLearnedGradients(t *testing.T) {
	ctx := context.Background()
	box, table := bananaTable(t, 400)
	nle, err := sbi.NLE(ctx, box, table, &sbi.Options{Flow: flow.MAF{Transforms: 2, Hidden: []int{8}}, Fit: &flow.FitOptions{Epochs: 5, Float64: true}, Ensemble: 2, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	nre, err := sbi.NRE(ctx, box, table, &sbi.Options{Fit: &flow.FitOptions{Epochs: 5}, Ensemble: 2, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	y1, y2 := []float64{0.5, 0.3, 7}, []float64{0.8, 0.1, 7}
	for name, c := range map[string]struct {
		target    *sbi.LearnedTarget
		step, tol float64
	}{
		"NLE":              {nle.Given(y1), 1e-5, 1e-6},
		"NLE, repeats":     {nle.Given(y1, y2), 1e-5, 1e-6},
		"ratio":            {nre.Given(y1), 1e-2, 0.02}, // float32, and piecewise nearly linear
		"ratio of repeats": {nre.Given(y1, y2), 1e-2, 0.02},
	} {
		var errs []float64
		score := make([]float64, 2)
		for _, theta := range [][]float64{{0, 0}, {-1.9, 2}, {1, -0.98}, {0.3, 1.2}, {1.95, 2.9}} {
			l, err := c.target.Evaluate(score, theta)
			if want := c.target.LogProb(theta); err != nil || math.Abs(l-want) > 1e-5 {
				t.Errorf("%s at %v: %g, %v, want %g", name, theta, l, err, want)
			}
			for j, g := range fd.Gradient(nil, c.target.LogProb, theta, &fd.Settings{Formula: fd.Central, Step: c.step}) {
				errs = append(errs, math.Abs(score[j]-g)/(1+math.Abs(g)))
			}
		}
		slices.Sort(errs)
		worst := errs[len(errs)-1]
		if c.step > 1e-3 { // a difference across a kink, or near the side of the box, is not the derivative
			worst = errs[len(errs)/2]
		}
		if worst > c.tol {
			t.Errorf("%s: relative errors of the gradient %.2g, want at most %g", name, errs, c.tol)
		}
		if l, err := c.target.Evaluate(score, []float64{3, 0}); !math.IsInf(l, -1) || err != nil {
			t.Errorf("%s outside of the box: %g, %v", name, l, err)
		}
	}
	// Data that are none of the simulator's are an error, and have no density.
	for name, y := range map[string][][]float64{"no data": nil, "elements": {y1, {0.5}}, "not finite": {{0.5, math.NaN(), 7}}} {
		for _, target := range []*sbi.LearnedTarget{nle.Given(y...), nre.Given(y...)} {
			err := target.Sample(ctx, mat.NewDense(10, 2, nil))
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v", name, err)
			}
			if _, err := target.Evaluate(nil, []float64{0, 0}); err == nil {
				t.Errorf("%s: Evaluate gives no error", name)
			}
			if l := target.LogProb([]float64{0, 0}); !math.IsInf(l, -1) {
				t.Errorf("%s: log density %g", name, l)
			}
		}
	}
	// An architecture without gradients is an error, not a wrong gradient.
	matching, err := sbi.NLE(ctx, box, table, &sbi.Options{Flow: flow.Matching{}, Fit: &flow.FitOptions{Epochs: 1}, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := matching.Given(y1).Evaluate(make([]float64, 2), []float64{0, 0}); err == nil || !strings.Contains(err.Error(), "no gradient") {
		t.Errorf("error of Matching %v", err)
	}
}

// NUTS by gradients and the target's own draws, by sequential Monte Carlo
// without them, agree.
func TestLearnedTargetByNUTS(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a likelihood and runs chains for seconds, under the race detector a minute")
	}
	ctx := context.Background()
	box, table := bananaTable(t, 2000)
	nle, err := sbi.NLE(ctx, box, table, &sbi.Options{Flow: smallMAF, Fit: &flow.FitOptions{Rate: 4e-3, Epochs: 40, Patience: 6}, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	target := nle.Given([]float64{0.5, 0.3, 7})
	draws := mat.NewDense(4000, 2, nil)
	if err := target.SampleFrom(ctx, draws, rng.New(3, 0)); err != nil {
		t.Fatal(err)
	}
	run, err := sampler.Run(ctx, target, &sampler.NUTS{}, &sampler.Settings{Draws: 1000, Src: rng.New(4, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for j, p := range run.Summary().Params {
		col := mat.Col(nil, j, draws)
		m, sd := stat.MeanStdDev(col, nil)
		// Draws of the population may be as few as half in effect.
		se := math.Hypot(p.MCSE, sd/math.Sqrt(2000))
		if p.RHat > 1.02 || math.Abs(p.Mean-m) > 4*se || math.Abs(p.SD/sd-1) > 0.1 {
			t.Errorf("parameter %d: by NUTS %.3f ± %.3f (R-hat %.3f), by itself %.3f ± %.3f", j+1, p.Mean, p.SD, p.RHat, m, sd)
		}
	}
}

// A ratio that is read again is the one that was written, and files that are
// not one of this prior are errors.
func TestRatioSave(t *testing.T) {
	box, table := bananaTable(t, 200)
	r, err := sbi.NRE(context.Background(), box, table, &sbi.Options{Fit: &flow.FitOptions{Epochs: 3}, Ensemble: 2, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Save(&b); err != nil {
		t.Fatal(err)
	}
	again, err := sbi.LoadRatio(bytes.NewReader(b.Bytes()), box)
	if err != nil {
		t.Fatal(err)
	}
	y := []float64{0.5, 0.3, 7}
	for _, theta := range [][]float64{{0, 0}, {-1, 2}} {
		if got, want := again.Given(y).LogProb(theta), r.Given(y).LogProb(theta); got != want {
			t.Errorf("log density at %v is %g, was %g", theta, got, want)
		}
	}
	if again.ValidLoss != r.ValidLoss {
		t.Errorf("loss %g, was %g", again.ValidLoss, r.ValidLoss)
	}
	var c bytes.Buffer
	if err := again.Save(&c); err != nil || !bytes.Equal(b.Bytes(), c.Bytes()) {
		t.Errorf("saved again, the file is another one (%v)", err)
	}
	if err := new(sbi.NeuralRatio).Save(&c); err == nil {
		t.Error("a ratio that was not learned: no error")
	}
	whole, err := sbi.NRE(context.Background(), box, table, &sbi.Options{Fit: &flow.FitOptions{Epochs: 1, Validation: -1}, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Save(&c); err != nil {
		t.Errorf("without validation: %v", err)
	}
	other, err := prior.NewBox([]float64{-2, -1}, []float64{2, 4}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sbi.LoadRatio(bytes.NewReader(b.Bytes()), other); err == nil || !strings.Contains(err.Error(), "another support") {
		t.Errorf("error of another prior %v", err)
	}
	for old, replacement := range map[string]string{
		`\"Width\":64`: `\"Width\":63`, `\"Parameters\":2`: `\"Parameters\":3`, `\"Columns\":[0,1]`: `\"Columns\":[1,0]`, "sbi/ratio": "sbi/radio",
	} {
		bad := bytes.Replace(b.Bytes(), []byte(old), []byte(replacement), 1)
		if bytes.Equal(bad, b.Bytes()) {
			t.Fatalf("%s is not in the file", old)
		}
		if _, err := sbi.LoadRatio(bytes.NewReader(bad), box); err == nil {
			t.Errorf("%s instead of %s: no error", replacement, old)
		}
	}
	rnd := rand.New(rng.New(5, 0))
	for range 200 { // damaged files do not panic
		bad := bytes.Clone(b.Bytes())
		if rnd.IntN(2) == 0 {
			bad = bad[:rnd.IntN(len(bad))]
		} else {
			bad[rnd.IntN(min(len(bad), 2000))] ^= byte(1 + rnd.IntN(255))
		}
		if q, err := sbi.LoadRatio(bytes.NewReader(bad), box); err == nil {
			q.Given(y).LogProb([]float64{0, 0})
		}
	}
}
