package sbi_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

func newTask(t testing.TB, name string) *tasks.Task {
	t.Helper()
	task, err := tasks.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func simulate(t testing.TB, task *tasks.Task, n int) *sbi.Table {
	t.Helper()
	table, err := sbi.Simulate(context.Background(), task.Prior, task, n, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestNPE compares a learned posterior with the closed form of a linear
// problem, and calibrates it.
func TestNPE(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	ctx := context.Background()
	table, err := sbi.Simulate(ctx, model.Prior, model.Simulator, 4000, &sbi.SimulateOptions{Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	fit := &flow.FitOptions{Rate: 2e-3, Patience: 8}
	npe, err := sbi.NPE(ctx, model.Prior, table, &sbi.Options{Flow: flow.MAF{Transforms: 2, Hidden: []int{32}}, Fit: fit, Src: rng.New(3, 0)})
	if err != nil {
		t.Fatal(err)
	}
	y := []float64{1, -0.5}
	exact, err := l.exact(0.5)(y)
	if err != nil {
		t.Fatal(err)
	}
	post := npe.Given(y)
	post.Src = rng.New(4, 0)
	got, want := mat.NewDense(4000, 2, nil), mat.NewDense(4000, 2, nil)
	if err := post.Sample(ctx, got); err != nil {
		t.Fatal(err)
	}
	if err := exact.Sample(ctx, want); err != nil {
		t.Fatal(err)
	}
	for j := range 2 {
		m, sd := stat.MeanStdDev(mat.Col(nil, j, got), nil)
		m0, sd0 := stat.MeanStdDev(mat.Col(nil, j, want), nil)
		if math.Abs(m-m0) > 0.15*sd0 || math.Abs(sd/sd0-1) > 0.12 {
			t.Errorf("theta%d: mean %.3f sd %.3f, exact %.3f %.3f", j+1, m, sd, m0, sd0)
		}
	}
	d := exact.(inverse.Density)
	if p, p0 := post.LogProb([]float64{1, -0.8}), d.LogProb([]float64{1, -0.8}); math.Abs(p-p0) > 0.2 {
		t.Errorf("log density %.3f, exact %.3f", p, p0)
	}
	replications := 200
	if slow() {
		replications = 1000
	}
	res, err := sbi.SBC(ctx, model, func(y []float64) (inverse.Sampler, error) { return npe.Given(y), nil }, &sbi.SBCOptions{Replications: replications, Src: rng.New(5, 0)})
	if err != nil || !res.Pass() {
		t.Errorf("%v, %v", res, err)
	}
}

// TestNPESupport: no draw leaves the prior's support, whatever the data.
func TestNPESupport(t *testing.T) {
	task := newTask(t, "gaussian_linear_uniform")
	ctx := context.Background()
	fit := &flow.FitOptions{Epochs: 3}
	arch := flow.MAF{Transforms: 2, Hidden: []int{16}}
	npe, err := sbi.NPE(ctx, task.Prior, simulate(t, task, 500), &sbi.Options{Flow: arch, Fit: fit, Src: rng.New(6, 0)})
	if err != nil {
		t.Fatal(err)
	}
	draws := mat.NewDense(500, 10, nil)
	for _, level := range []float64{0, 3, -1e3, 1e9} {
		y := make([]float64, 10)
		for j := range y {
			y[j] = level
		}
		if err := npe.Given(y).Sample(ctx, draws); err != nil {
			t.Fatalf("data %g: %v", level, err)
		}
		if mat.Max(draws) > 1 || mat.Min(draws) < -1 {
			t.Errorf("data %g: draws from %g to %g, the prior is on [-1, 1]", level, mat.Min(draws), mat.Max(draws))
		}
	}
	post := npe.Given(make([]float64, 10))
	if p := post.LogProb([]float64{2, 0, 0, 0, 0, 0, 0, 0, 0, 0}); !math.IsInf(p, -1) {
		t.Errorf("log density outside %g", p)
	}
	for _, y := range [][]float64{nil, make([]float64, 9)} {
		bad := npe.Given(y)
		if err := bad.Sample(ctx, draws); err == nil || !strings.Contains(err.Error(), "elements") {
			t.Errorf("error for %d data is %v", len(y), err)
		}
		if l := bad.LogProb(make([]float64, bad.Dim())); !math.IsInf(l, -1) {
			t.Errorf("log density for %d data is %g", len(y), l)
		}
	}
	if err := npe.Given([]float64{math.NaN(), 0, 0, 0, 0, 0, 0, 0, 0, 0}).Sample(ctx, draws); err == nil {
		t.Error("NaN data: no error")
	}

	// A support without a transform: draws are rejected, and the end of
	// that is an error and not a loop.
	for _, half := range []bool{true, false} {
		if !half && testing.Short() {
			continue // half a million draws
		}
		npe := &sbi.NeuralPosterior{Prior: &island{task.Prior, half}, Flow: npe.Flow}
		err := npe.Given(make([]float64, 10)).Sample(ctx, draws)
		if half && (err != nil || mat.Min(draws.ColView(0)) < 0) {
			t.Errorf("a half of the box: %v, draws from %g", err, mat.Min(draws.ColView(0)))
		}
		if !half && (err == nil || !strings.Contains(err.Error(), "0 of 500000 draws")) {
			t.Errorf("a support that excludes the posterior: error %v", err)
		}
	}
}

// island has half the support of a prior, or next to none of it.
type island struct {
	sbi.Prior
	half bool
}

func (p *island) LogProb(theta []float64) float64 {
	if p.half && theta[0] < 0 || !p.half && theta[0] < 1-1e-12 {
		return math.Inf(-1)
	}
	return p.Prior.LogProb(theta)
}

// TestNPETable: failed simulations and constant data.
func TestNPETable(t *testing.T) {
	ctx := context.Background()
	pri, err := prior.NewBox([]float64{0}, []float64{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sim := sbi.NewSimulator(3, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0], y[1], y[2] = 7, theta[0]+0.1*rand.New(src).NormFloat64(), 0
		if theta[0] > 0.9 {
			y[2] = math.NaN()
		}
		return nil
	})
	table, err := sbi.Simulate(ctx, pri, sim, 400, &sbi.SimulateOptions{Src: rng.New(7, 0), Policy: sbi.Record})
	if err != nil {
		t.Fatal(err)
	}
	opt := &sbi.Options{Fit: &flow.FitOptions{Epochs: 2}, Flow: flow.MAF{Transforms: 1}, Src: rng.New(8, 0)}
	npe, err := sbi.NPE(ctx, pri, table, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(npe.Features.Columns) != 1 || npe.Features.Columns[0] != 1 {
		t.Errorf("columns %v, want 1 alone", npe.Features.Columns)
	}
	draws := mat.NewDense(10, 1, nil)
	if err := npe.Given([]float64{7, 0.5, 0}).Sample(ctx, draws); err != nil {
		t.Error(err)
	}
	if nle, err := sbi.NLE(ctx, pri, table, opt); err != nil || nle.Valid == nil {
		t.Errorf("NLE with failures: %v", err)
	}
	if _, err := sbi.NPE(ctx, pri, new(sbi.Table), nil); err == nil {
		t.Error("an empty table: no error")
	}
	// A flow that was saved is a posterior again.
	var b bytes.Buffer
	if err := npe.Flow.(*flow.Flow).Save(&b); err != nil {
		t.Fatal(err)
	}
	f, err := flow.Load(&b, &flow.LoadOptions{Transform: sbi.Coordinates(pri)})
	if err != nil {
		t.Fatal(err)
	}
	again := &sbi.NeuralPosterior{Prior: pri, Flow: f, Features: npe.Features}
	y := []float64{7, 0.4, 0}
	if p, q := again.Given(y).LogProb([]float64{0.3}), npe.Given(y).LogProb([]float64{0.3}); p != q {
		t.Errorf("saved: log density %g, was %g", p, q)
	}
}

// TestNLE has repeats of an experiment, whose posterior is known.
func TestNLE(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and samples")
	}
	ctx := context.Background()
	pri, err := prior.NewBox([]float64{-3}, []float64{3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sim := sbi.NewSimulator(2, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		r := rand.New(src)
		y[0], y[1] = theta[0]+r.NormFloat64(), r.NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(ctx, pri, sim, 4000, &sbi.SimulateOptions{Src: rng.New(9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	nle, err := sbi.NLE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{Transforms: 2, Hidden: []int{32}}, Fit: &flow.FitOptions{Rate: 2e-3, Patience: 8}, Src: rng.New(10, 0)})
	if err != nil {
		t.Fatal(err)
	}
	run, err := sampler.Run(ctx, nle.Given([]float64{1, 0}, []float64{0, 1}, []float64{0.5, -1}), &sampler.Slice{}, &sampler.Settings{Warmup: 200, Draws: 500, Src: rng.New(11, 0)})
	if err != nil {
		t.Fatal(err)
	}
	// N(0.5, 1/3)
	m, sd := stat.MeanStdDev(mat.Col(nil, 0, run.Draws()), nil)
	if want := 1 / math.Sqrt(3); math.Abs(m-0.5) > 0.2*want || math.Abs(sd/want-1) > 0.15 {
		t.Errorf("mean %.3f sd %.3f, exact 0.500 %.3f", m, sd, want)
	}
}

// TestNPEMemory trains on 10⁵ simulations of a hundred data in less than 1 GB.
func TestNPEMemory(t *testing.T) {
	if !slow() {
		t.Skip("10⁵ simulations; set INVERSE_SLOW=1")
	}
	task := newTask(t, "slcp_distractors")
	_, err := sbi.NPE(context.Background(), task.Prior, simulate(t, task, 100_000), &sbi.Options{Flow: flow.NSF{}, Fit: &flow.FitOptions{Epochs: 2}, Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d MB taken from the system", m.Sys>>20)
	if m.Sys > 1<<30 {
		t.Errorf("%d MB taken from the system, want less than 1024", m.Sys>>20)
	}
}

// TestChoice: of the families that NPE chooses from, on a table with so many rows
// that some of them decide first, regression leaves nothing of a linear Gaussian
// problem to learn. The choice is the same for any number of workers.
func TestChoice(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a dozen flows; TestNPE runs")
	}
	model := newLinear(t).model(t)
	table, err := sbi.Simulate(context.Background(), model.Prior, model.Simulator, 10_000, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var logs [2]float64
	for i := range logs {
		npe, err := sbi.NPE(context.Background(), model.Prior, table, &sbi.Options{Fit: &flow.FitOptions{Epochs: 2, Workers: i + 1}, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		logs[i] = npe.Given([]float64{1, 0}).LogProb([]float64{0.5, -0.2})
		// The eigenvalues of the posterior's precision are 10 and 2. The loss
		// has a standard error of 1/√1000.
		if want := math.Log(2*math.Pi*math.E) - math.Log(20)/2; math.Abs(npe.ValidNLL-want) > 0.12 {
			t.Errorf("loss %.3f after two epochs, want %.3f", npe.ValidNLL, want)
		}
	}
	if logs[0] != logs[1] {
		t.Errorf("log density %g with one worker, %g with two", logs[0], logs[1])
	}
}

// TestChoiceOfMany: where regression cannot be had, for too many data or for a
// Proposal, the choice is among the others.
func TestChoiceOfMany(t *testing.T) {
	model := newLinear(t).model(t)
	wide := sbi.NewSimulator(1100, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
		for i := range y {
			y[i] = theta[i%2] + rand.New(src).NormFloat64()
		}
		return nil
	})
	for name, c := range map[string]struct {
		sim  sbi.Simulator
		rows int
		fit  flow.FitOptions
	}{
		"1100 data":  {wide, 40, flow.FitOptions{Epochs: 1}},
		"a Proposal": {model.Simulator, 200, flow.FitOptions{Epochs: 1, Proposal: &flow.Proposal{Atoms: 2, LogPrior: make([]float64, 200)}}},
	} {
		table, err := sbi.Simulate(context.Background(), model.Prior, c.sim, c.rows, &sbi.SimulateOptions{Src: rng.New(3, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sbi.NPE(context.Background(), model.Prior, table, &sbi.Options{Fit: &c.fit, Src: rng.New(4, 0)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
