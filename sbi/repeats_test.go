package sbi_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// TestRepeats: several data for one parameter. A learned ratio adds up, a
// learned posterior embeds the set; both have the posterior of the mean.
func TestRepeats(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	ctx := context.Background()
	pri, err := prior.NewGaussian([]float64{0}, mat.NewDiagDense(1, []float64{1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	const sigma, repeats = 1.0, 5
	sim := func(n int) sbi.Simulator {
		return sbi.NewSimulator(n, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
			r := rand.New(src)
			for i := range y {
				y[i] = theta[0] + sigma*r.NormFloat64()
			}
			return nil
		})
	}
	y := []float64{1.2, 0.1, 0.9, -0.3, 1.6} // mean 0.7
	wantSD := 1 / math.Sqrt(1+repeats/(sigma*sigma))
	wantMean := wantSD * wantSD * 5 * 0.7 / (sigma * sigma)
	check := func(name string, q sbi.SourceSampler) {
		draws := mat.NewDense(4000, 1, nil)
		if err := q.SampleFrom(ctx, draws, rng.New(3, 0)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, sd := stat.MeanStdDev(mat.Col(nil, 0, draws), nil)
		if math.Abs(m-wantMean) > 0.35*wantSD || math.Abs(sd/wantSD-1) > 0.2 {
			t.Errorf("%s: mean %.3f sd %.3f, exact %.3f %.3f", name, m, sd, wantMean, wantSD)
		}
	}
	single, err := sbi.Simulate(ctx, pri, sim(1), 4000, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	fit := &flow.FitOptions{Rate: 3e-3, Epochs: 60, Patience: 8, Drops: 2}
	nre, err := sbi.NRE(ctx, pri, single, &sbi.Options{Ratio: &sbi.Ratio{Width: 24, Blocks: 1}, Fit: fit, Ensemble: 2, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	check("NRE", nre.Given(y[:1], y[1:2], y[2:3], y[3:4], y[4:]))

	table, err := sbi.Simulate(ctx, pri, sim(repeats), 4000, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{-1, 2, 6} {
		if _, err := sbi.NLE(ctx, pri, table, &sbi.Options{RepeatSize: size}); err == nil || !strings.Contains(err.Error(), "RepeatSize") {
			t.Errorf("NLE, RepeatSize %d of 5 data: error %v", size, err)
		}
		if _, err := sbi.NRE(ctx, pri, table, &sbi.Options{RepeatSize: size}); err == nil || !strings.Contains(err.Error(), "RepeatSize") {
			t.Errorf("NRE, RepeatSize %d of 5 data: error %v", size, err)
		}
	}
	side := sbi.Options{Ratio: &sbi.Ratio{Width: 24, Blocks: 1}, Flow: flow.MDN{Components: 2, Hidden: []int{16}}, Fit: fit, RepeatSize: 1, Src: rng.New(2, 0)}
	rows, err := sbi.Simulate(ctx, pri, sim(repeats), 1000, &sbi.SimulateOptions{Src: rng.New(4, 0)})
	if err != nil {
		t.Fatal(err)
	}
	nre, err = sbi.NRE(ctx, pri, rows, &side)
	if err != nil {
		t.Fatal(err)
	}
	check("NRE, side by side", nre.Given(y))
	var file bytes.Buffer
	if err := nre.Save(&file); err != nil {
		t.Fatal(err)
	}
	loaded, err := sbi.LoadRatio(&file, pri)
	if err != nil {
		t.Fatal(err)
	}
	if p, q := nre.Given(y).LogProb([]float64{0.4}), loaded.Given(y).LogProb([]float64{0.4}); p != q {
		t.Errorf("log density %g, of the ratio from a file %g", p, q)
	}
	nle, err := sbi.NLE(ctx, pri, rows, &side)
	if err != nil {
		t.Fatal(err)
	}
	check("NLE, side by side", nle.Given(y))
	if p, q := nle.Given(y).LogProb([]float64{0.4}), nle.Given(y[:2], y[2:]).LogProb([]float64{0.4}); math.Abs(p-q) > 1e-9 {
		t.Errorf("log density given 5 repeats in a row %g, in two rows %g", p, q)
	}
	embedded := *fit
	embedded.Embedding = flow.Set{Size: 1, Features: 8, Hidden: []int{24}}
	npe, err := sbi.NPE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{Transforms: 1, Hidden: []int{24}}, Fit: &embedded, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	check("NPE", npe.Given(y))
	// The order of the repeats does not matter.
	a, b := npe.Given(y), npe.Given([]float64{y[3], y[0], y[4], y[1], y[2]})
	if p, q := a.LogProb([]float64{0.4}), b.LogProb([]float64{0.4}); math.Abs(p-q) > 1e-4 {
		t.Errorf("log density %g, of the data in another order %g", p, q)
	}
}

// TestLearnedTargetModes: a posterior with two modes that a random walk would
// not go between, and data that the prior excludes.
func TestLearnedTargetModes(t *testing.T) {
	if testing.Short() {
		t.Skip("tempered particles take long under the race detector")
	}
	ctx := context.Background()
	pri, err := prior.NewBox([]float64{-2}, []float64{2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const sigma = 0.05
	sim := sbi.NewSimulator(1, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0] = theta[0]*theta[0] + sigma*rand.New(src).NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(ctx, pri, sim, 2000, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	nle, err := sbi.NLE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{Transforms: 1, Hidden: []int{32, 32}}, Fit: &flow.FitOptions{Rate: 5e-3, Epochs: 60, Drops: 1, Patience: 10}, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	post := nle.Given([]float64{1})
	draws := mat.NewDense(2000, 1, nil)
	if err := post.SampleFrom(ctx, draws, rng.New(3, 0)); err != nil {
		t.Fatal(err)
	}
	var left, near int
	for i := range 2000 {
		v := draws.At(i, 0)
		if v < 0 {
			left++
		}
		if math.Abs(math.Abs(v)-1) < 0.2 {
			near++
		}
	}
	if left < 700 || left > 1300 || near < 1950 {
		t.Errorf("%d of 2000 draws are left and %d near a mode, want a half and all", left, near)
	}
	// The draws are those of LogProb: their mean square error of θ² is the
	// grid's.
	var mass, mean float64
	for k := range 4000 {
		theta := -2 + 4*(float64(k)+0.5)/4000
		p := math.Exp(post.LogProb([]float64{theta}))
		mass += p
		mean += p * theta * theta
	}
	var got float64
	for i := range 2000 {
		got += draws.At(i, 0) * draws.At(i, 0) / 2000
	}
	if math.Abs(got-mean/mass) > 5*0.1/math.Sqrt(2000) { // the sd of θ² is about 0.1
		t.Errorf("mean of θ² %.4f, by a grid %.4f", got, mean/mass)
	}

	// Data that no parameter in the prior's support makes: the draws are at
	// the edge or there is an error, and either comes soon.
	for _, y := range []float64{8, -50, 1e6} {
		err := nle.Given([]float64{y}).SampleFrom(ctx, draws, rng.New(4, 0))
		if err == nil && (mat.Max(draws) > 2 || mat.Min(draws) < -2) {
			t.Errorf("data %g: draws from %g to %g", y, mat.Min(draws), mat.Max(draws))
		}
	}
	if err := nle.Given([]float64{math.NaN()}).Sample(ctx, draws); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("NaN data: error %v", err)
	}
	if p := post.LogProb([]float64{3}); !math.IsInf(p, -1) {
		t.Errorf("log density outside of the prior's support: %g", p)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := post.Sample(canceled, draws); err == nil {
		t.Error("a context that has ended: no error")
	}
}

// TestFeatures: outliers and orders of magnitude do not hide the data between
// them from the network.
func TestFeatures(t *testing.T) {
	ctx := context.Background()
	pri, err := prior.NewGaussian([]float64{0}, mat.NewDiagDense(1, []float64{1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	// log y is Gaussian given θ; a third of the second datum is rubbish.
	sim := sbi.NewSimulator(2, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		r := rand.New(src)
		y[0] = math.Exp(6 * (theta[0] + 0.5*r.NormFloat64()))
		y[1] = r.NormFloat64() / math.Pow(r.Float64(), 4)
		return nil
	})
	table, err := sbi.Simulate(ctx, pri, sim, 2000, &sbi.SimulateOptions{Src: rng.New(5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	npe, err := sbi.NPE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{Transforms: 1, Hidden: []int{16}}, Fit: &flow.FitOptions{Rate: 5e-3, Epochs: 60, Patience: 8}, Src: rng.New(6, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if f := npe.Features; len(f.Scale) != 2 || !(f.Scale[0] > 0 && f.Scale[1] > 0) {
		t.Fatalf("features %+v", f)
	}
	draws := mat.NewDense(2000, 1, nil)
	for _, z := range []float64{-1, 0.5, 1} { // of log y/6; θ is N(0.8 z, 0.2)
		if err := npe.Given([]float64{math.Exp(6 * z), 0.3}).SampleFrom(ctx, draws, rng.New(7, 0)); err != nil {
			t.Fatal(err)
		}
		m, sd := stat.MeanStdDev(mat.Col(nil, 0, draws), nil)
		if want := math.Sqrt(0.2); math.Abs(m-0.8*z) > 0.35*want || math.Abs(sd/want-1) > 0.2 {
			t.Errorf("log y = %g: mean %.3f sd %.3f, exact %.3f %.3f", 6*z, m, sd, 0.8*z, want)
		}
	}
}

// TestSBCOfNPE calibrates a learned posterior of ten parameters.
func TestSBCOfNPE(t *testing.T) {
	if !slow() {
		t.Skip("a minute; set INVERSE_SLOW=1")
	}
	task := newTask(t, "gaussian_linear")
	npe, err := sbi.NPE(context.Background(), task.Prior, simulate(t, task, 10_000), &sbi.Options{Flow: flow.MAF{}, Fit: &flow.FitOptions{Rate: 2e-3, Drops: 3}, Src: rng.New(8, 0)})
	if err != nil {
		t.Fatal(err)
	}
	res, err := sbi.SBC(context.Background(), sbi.Model{Prior: task.Prior, Simulator: task}, func(y []float64) (inverse.Sampler, error) { return npe.Given(y), nil },
		&sbi.SBCOptions{Replications: 1000, Src: rng.New(9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(res)
	if !res.Pass() {
		t.Error("the calibration fails")
	}
}

// TestRareColumns: a datum that differs in a few simulations only, perhaps none
// of those for training, is no obstacle.
func TestRareColumns(t *testing.T) {
	pri, err := prior.NewGaussian([]float64{0}, mat.NewDiagDense(1, []float64{1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	sim := sbi.NewSimulator(2, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0], y[1] = theta[0]+rand.New(src).NormFloat64(), 0
		if n++; n%50 == 0 {
			y[1] = 1
		}
		return nil
	})
	table, err := sbi.Simulate(context.Background(), pri, sim, 200, &sbi.SimulateOptions{Src: rng.New(1, 0), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	fit := &flow.FitOptions{Epochs: 1, ValidationRows: []int{49, 99, 149, 199, 0, 1, 2, 3, 4, 5}}
	nle, err := sbi.NLE(context.Background(), pri, table, &sbi.Options{Flow: flow.MDN{}, Fit: fit, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if c := nle.Features.Columns; len(c) != 1 || c[0] != 0 {
		t.Errorf("the network sees columns %v, want the first", c)
	}
}
