package sbi_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

// moments returns the exact posterior of a linear problem with the given noise.
func (l *linear) moments(t testing.TB, y []float64, sigma float64) (mean, sd []float64) {
	t.Helper()
	s, err := l.exact(sigma)(y)
	if err != nil {
		t.Fatal(err)
	}
	post := s.(*posterior.Gaussian)
	v, err := post.Variance(nil)
	if err != nil {
		t.Fatal(err)
	}
	return post.Mean(nil), []float64{math.Sqrt(v[0]), math.Sqrt(v[1])}
}

// check compares a weighted sample with normal moments in standard errors of n
// effective draws.
func check(t *testing.T, name string, s *sbi.WeightedSample, mean, sd []float64, n float64) {
	t.Helper()
	m, v := s.Moments()
	for j := range mean {
		if se := sd[j] / math.Sqrt(n); math.Abs(m[j]-mean[j]) > 4*se || math.Abs(v[j]/sd[j]-1) > 4*math.Sqrt(0.5/n) {
			t.Errorf("%s, theta%d: mean %.3f sd %.3f, want %.3f %.3f ± %.3f", name, j+1, m[j], v[j], mean[j], sd[j], se)
		}
	}
}

func TestRejectionABC(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	table, err := sbi.Simulate(context.Background(), model.Prior, model.Simulator, 12000, &sbi.SimulateOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	y := []float64{0.6, -0.4}
	scale := []float64{1, 1}
	s, err := sbi.RejectionABC(table, y, &sbi.ABCOptions{Keep: 300, Scale: scale})
	if err != nil {
		t.Fatal(err)
	}
	// The tolerance is noise of variance ε²/4 for each of two data.
	mean, sd := l.moments(t, y, math.Sqrt(0.25+s.Epsilon*s.Epsilon/4))
	check(t, "rejection", s, mean, sd, 300)
	if s.Simulations != 12000 || math.Abs(s.ESS()-300) > 1e-6 {
		t.Errorf("%d simulations, ESS %g", s.Simulations, s.ESS())
	}

	// The regression of parameters on data is linear here, and so the
	// adjusted sample exact at any tolerance.
	s, err = sbi.RejectionABC(table, y, &sbi.ABCOptions{Keep: 3000, Scale: scale})
	if err != nil {
		t.Fatal(err)
	}
	adj, err := sbi.RegressionAdjust(s, model.Prior, y)
	if err != nil {
		t.Fatal(err)
	}
	mean, sd = l.moments(t, y, 0.5)
	check(t, "regression", adj, mean, sd, adj.ESS())
	draws := mat.NewDense(4000, 2, nil)
	if err := adj.SampleFrom(context.Background(), draws, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	if m := stat.Mean(mat.Col(nil, 0, draws), nil); math.Abs(m-mean[0]) > 5*sd[0]/math.Sqrt(3000) {
		t.Errorf("mean of draws %g, want %g", m, mean[0])
	}

	for want, f := range map[string]func() error{
		"y has 1 elements": func() error { _, err := sbi.RejectionABC(table, y[:1], nil); return err },
		"y is not finite":  func() error { _, err := sbi.RejectionABC(table, []float64{0, math.NaN()}, nil); return err },
		"Keep is 50000":    func() error { _, err := sbi.RejectionABC(table, y, &sbi.ABCOptions{Keep: 50000}); return err },
		"Scale[1] is 0": func() error {
			_, err := sbi.RejectionABC(table, y, &sbi.ABCOptions{Scale: []float64{1, 0}})
			return err
		},
		"table is empty": func() error { _, err := sbi.RejectionABC(nil, y, nil); return err },
		"too few for a regression": func() error {
			s, err := sbi.RejectionABC(table, y, &sbi.ABCOptions{Keep: 4})
			if err != nil {
				return err
			}
			_, err = sbi.RegressionAdjust(s, model.Prior, y)
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestSMCABC(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	ctx := context.Background()
	y := []float64{0.6, -0.4}
	var first *sbi.WeightedSample
	particles := 1000
	if testing.Short() {
		particles = 300
	}
	for _, workers := range []int{1, 3} {
		populations, last := 0, 0
		s, err := sbi.SMCABC(ctx, model.Prior, model.Simulator, y, &sbi.SMCABCOptions{
			Particles: particles, Epsilon: 0.3, MaxSimulations: 200000, Scale: []float64{1, 1}, Src: rng.New(3, 0), Workers: workers,
			Progress: func(p sbi.SMCABCProgress) {
				if p.Population != populations || p.Simulations <= last {
					t.Errorf("report %d is %+v", populations, p)
				}
				populations, last = populations+1, p.Simulations
			}})
		if err != nil {
			t.Fatal(err)
		}
		if s.Epsilon != 0.3 || floats.Max(s.Distance) > 0.3 || s.Simulations > 200000 || populations < 3 {
			t.Errorf("tolerance %g, greatest distance %g, %d simulations, %d populations", s.Epsilon, floats.Max(s.Distance), s.Simulations, populations)
		}
		mean, sd := l.moments(t, y, math.Sqrt(0.25+0.3*0.3/4))
		check(t, "SMC", s, mean, sd, s.ESS())
		if first == nil {
			first = s
		} else if !mat.Equal(s.Theta, first.Theta) || !floats.Equal(s.Weight, first.Weight) {
			t.Error("other particles with another number of workers")
		}
	}
}

// TestSMCABCEnds has what would make a loop without a bound.
func TestSMCABCEnds(t *testing.T) {
	ctx := context.Background()
	l := newLinear(t)
	pri := l.pri
	bad := errors.New("never")
	failing := sbi.NewSimulator(1, 2, func(context.Context, []float64, []float64, rand.Source) error { return bad })
	if _, err := sbi.SMCABC(ctx, pri, failing, []float64{0}, nil); !errors.Is(err, bad) {
		t.Errorf("a simulator that fails: error %v", err)
	}
	far := sbi.NewSimulator(1, 2, func(_ context.Context, y, theta []float64, _ rand.Source) error {
		y[0] = math.Abs(theta[0])
		return nil
	})
	s, err := sbi.SMCABC(ctx, pri, far, []float64{-5}, &sbi.SMCABCOptions{Particles: 100, MaxSimulations: 20000, Src: rng.New(4, 0), Scale: []float64{1}})
	if err != nil || s.Simulations > 20000 || s.Epsilon > 6 {
		t.Errorf("data out of reach: %v, %d simulations, tolerance %g", err, s.Simulations, s.Epsilon)
	}
	constant := sbi.NewSimulator(1, 2, func(_ context.Context, y, _ []float64, _ rand.Source) error {
		y[0] = 1
		return nil
	})
	if s, err = sbi.SMCABC(ctx, pri, constant, []float64{0}, &sbi.SMCABCOptions{Particles: 100, Src: rng.New(5, 0)}); err != nil || s.Epsilon != 1 {
		t.Errorf("constant data: %v, tolerance %v", err, s)
	}
	for want, opt := range map[string]*sbi.SMCABCOptions{
		"5 particles":    {Particles: 5},
		"Quantile is 2":  {Quantile: 2},
		"Epsilon is -1":  {Epsilon: -1},
		"MaxSimulations": {MaxSimulations: 10},
		"Scale has 2":    {Scale: []float64{1, 1}},
	} {
		if _, err := sbi.SMCABC(ctx, pri, far, []float64{0}, opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestSyntheticLikelihood(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	y := []float64{0.6, -0.4}
	sl, err := sbi.NewSyntheticLikelihood(model.Prior, model.Simulator, y, 2000, rng.New(6, 0))
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.exact(0.5)(y)
	if err != nil {
		t.Fatal(err)
	}
	// Differences of the log density, at points in the bulk of the
	// posterior. Mean and covariance of 2000 normal data leave errors of
	// about 1/√2000 times the gradient.
	exact := s.(*posterior.Gaussian)
	a, b := []float64{0.2, -0.3}, []float64{0.7, -0.6}
	got, want := sl.LogProb(a)-sl.LogProb(b), exact.LogProb(a)-exact.LogProb(b)
	if math.Abs(got-want) > 0.1 {
		t.Errorf("difference of log densities %.3f, exact %.3f", got, want)
	}
	if p := sl.LogProb(a); p != sl.LogProb(a) {
		t.Error("two values at one point")
	}
	if testing.Short() {
		return
	}
	small, err := sbi.NewSyntheticLikelihood(model.Prior, model.Simulator, y, 500, rng.New(7, 0))
	if err != nil {
		t.Fatal(err)
	}
	run, err := sampler.Run(context.Background(), small, &sampler.Slice{}, &sampler.Settings{Chains: 2, Warmup: 100, Draws: 400, Src: rng.New(8, 0)})
	if err != nil {
		t.Fatal(err)
	}
	mean, sd := l.moments(t, y, 0.5)
	for j := range 2 {
		m, v := stat.MeanStdDev(mat.Col(nil, j, run.Draws()), nil)
		if math.Abs(m-mean[j]) > 0.25*sd[j] || math.Abs(v/sd[j]-1) > 0.2 {
			t.Errorf("theta%d: mean %.3f sd %.3f, exact %.3f %.3f", j+1, m, v, mean[j], sd[j])
		}
	}
	if _, err := sbi.NewSyntheticLikelihood(model.Prior, model.Simulator, y, 4, nil); err == nil {
		t.Error("4 simulations of 2 data: no error")
	}
}

// TestSMCABCLotkaVolterra compares with the weighted SMC-ABC references of the
// stochastic Lotka-Volterra system, at the same tolerances: means within 0.1
// posterior standard deviations, standard deviations within 10 %.
func TestSMCABCLotkaVolterra(t *testing.T) {
	if !slow() {
		t.Skip("many millions of simulations; set INVERSE_SLOW=1")
	}
	g := new(tasks.Gillespie)
	ctx := context.Background()
	// Statistics are scaled by the standard deviations of the training set.
	table, err := sbi.Simulate(ctx, g.Prior(), g, 57200, &sbi.SimulateOptions{Src: rng.New(9, 0), Policy: sbi.Record})
	if err != nil {
		t.Fatal(err)
	}
	train := table.Valid()
	scale := make([]float64, 9)
	for j := range scale {
		scale[j] = stat.StdDev(mat.Col(nil, j, train.Y), nil)
	}
	for number, eps := range []float64{0.0918, 0.0771} {
		y, _, err := g.Observation(number + 1)
		if err != nil {
			t.Fatal(err)
		}
		ref := readNumbers(t, "../../shared/data/lotkavolterra/smcabc_y"+string(rune('1'+number))+".csv", 0)
		weight := mat.Col(nil, 4, ref)
		s, err := sbi.SMCABC(ctx, g.Prior(), g, y, &sbi.SMCABCOptions{Particles: 4000, Epsilon: eps, MaxSimulations: 100_000_000, Scale: scale, Src: rng.New(10, uint64(number)),
			Progress: func(p sbi.SMCABCProgress) { t.Logf("%+v", p) }})
		if err != nil {
			t.Fatal(err)
		}
		m, sd := s.Moments()
		for j := range 4 {
			col := mat.Col(nil, j, ref)
			m0 := stat.Mean(col, weight)
			sd0 := math.Sqrt(stat.MomentAbout(2, col, m0, weight))
			t.Logf("observation %d, log rate %d: mean %.3f sd %.3f, reference %.3f %.3f", number+1, j+1, m[j], sd[j], m0, sd0)
			if math.Abs(m[j]-m0) > 0.1*sd0 || math.Abs(sd[j]/sd0-1) > 0.1 {
				t.Errorf("observation %d, log rate %d: mean %.3f sd %.3f, reference %.3f %.3f", number+1, j+1, m[j], sd[j], m0, sd0)
			}
		}
	}
}

// TestRegressionStaysInside: adjusted particles do not leave the prior's box.
func TestRegressionStaysInside(t *testing.T) {
	pri, err := prior.NewBox([]float64{0}, []float64{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sim := sbi.NewSimulator(1, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0] = theta[0] + 0.3*rand.New(src).NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(context.Background(), pri, sim, 5000, &sbi.SimulateOptions{Src: rng.New(11, 0)})
	if err != nil {
		t.Fatal(err)
	}
	y := []float64{1.5}
	s, err := sbi.RejectionABC(table, y, &sbi.ABCOptions{Keep: 2000})
	if err != nil {
		t.Fatal(err)
	}
	adj, err := sbi.RegressionAdjust(s, pri, y)
	if err != nil {
		t.Fatal(err)
	}
	if lo, hi := mat.Min(adj.Theta), mat.Max(adj.Theta); lo < 0 || hi > 1 {
		t.Errorf("particles from %g to %g", lo, hi)
	}
	if m, _ := adj.Moments(); m[0] < 0.75 {
		t.Errorf("mean %g with data beyond the box's upper end", m[0])
	}
}
