package sbi_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

// Statistical suites that take minutes run with
//
//	INVERSE_SLOW=1 go test -timeout 2h -v ./sbi
func slow() bool { return os.Getenv("INVERSE_SLOW") != "" }

// linear is y = Aθ + N(0, 0.5² I) with θ ~ N(0, I), two of each. The parameters
// are correlated given the data.
type linear struct {
	pri *prior.Gaussian
	op  inverse.Linear
}

func newLinear(t testing.TB) *linear {
	t.Helper()
	pri, err := prior.NewGaussian([]float64{0, 0}, mat.NewDiagDense(2, []float64{1, 1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	op, err := forward.NewDense(mat.NewDense(2, 2, []float64{1, 0.5, 0.5, 1}))
	if err != nil {
		t.Fatal(err)
	}
	return &linear{pri, op}
}

func (l *linear) likelihood(y []float64, sigma float64) (*likelihood.Gaussian, error) {
	return likelihood.NewGaussian(l.op, y, sigma)
}

func (l *linear) model(t testing.TB) sbi.Model {
	t.Helper()
	lik, err := l.likelihood([]float64{0, 0}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	return sbi.Model{Prior: l.pri, Simulator: sbi.FromLikelihood(lik)}
}

// exact is the closed form for noise of the given sd.
func (l *linear) exact(sigma float64) sbi.Infer {
	return func(y []float64) (inverse.Sampler, error) {
		lik, err := l.likelihood(y, sigma)
		if err != nil {
			return nil, err
		}
		post, err := posterior.NewGaussian(l.pri, lik)
		if err != nil {
			return nil, err
		}
		post.Src, post.Workers = seedOf(y), 1
		return post, nil
	}
}

// seedOf makes a sampler's source a function of the data.
func seedOf(y []float64) rand.Source { return rng.New(math.Float64bits(y[0]), 9) }

func (l *linear) mcmc(sigma float64) sbi.Infer {
	return func(y []float64) (inverse.Sampler, error) {
		lik, err := l.likelihood(y, sigma)
		if err != nil {
			return nil, err
		}
		post, err := posterior.New(l.pri, lik)
		if err != nil {
			return nil, err
		}
		return sampler.Run(context.Background(), post, &sampler.NUTS{}, &sampler.Settings{Chains: 2, Warmup: 200, Draws: 1000, Workers: 1, Src: seedOf(y)})
	}
}

func (l *linear) vi(form sampler.Form) sbi.Infer {
	return func(y []float64) (inverse.Sampler, error) {
		lik, err := l.likelihood(y, 0.5)
		if err != nil {
			return nil, err
		}
		post, err := posterior.New(l.pri, lik)
		if err != nil {
			return nil, err
		}
		return sampler.Fit(context.Background(), post, &sampler.ADVI{Form: form, StepSize: 1, Iterations: 3000}, &sampler.FitOptions{Workers: 1, Src: seedOf(y)})
	}
}

// diffusion is a reverse diffusion with the score of the prior and a guidance.
func (l *linear) diffusion(guide func(diffusion.Score, *likelihood.Gaussian) (inverse.ScoreFunc, error)) sbi.Infer {
	return func(y []float64) (inverse.Sampler, error) {
		vp := diffusion.NewVP(0.1, 20)
		score, err := diffusion.Diffuse(l.pri, vp)
		if err != nil {
			return nil, err
		}
		lik, err := l.likelihood(y, 0.5)
		if err != nil {
			return nil, err
		}
		post, err := guide(score, lik)
		if err != nil {
			return nil, err
		}
		return &diffusion.Reverse{Score: post, Schedule: vp, Steps: 60, Workers: 1, Src: seedOf(y)}, nil
	}
}

// exactGuidance is exact for a Gaussian prior.
func exactGuidance(score diffusion.Score, lik *likelihood.Gaussian) (inverse.ScoreFunc, error) {
	g, err := diffusion.NewMMPS(score, lik)
	if err != nil {
		return nil, err
	}
	return posterior.Sum(score, g)
}

// noJacobian takes the denoised mean for x₀ itself.
func noJacobian(score diffusion.Score, lik *likelihood.Gaussian) (inverse.ScoreFunc, error) {
	g, err := diffusion.NewDPS(score, lik)
	if err != nil {
		return nil, err
	}
	return posterior.Sum(score, g)
}

// flow is a flow that has learned from simulations with noise of the given sd.
func (l *linear) flow(t testing.TB, sigma float64) sbi.Infer {
	lik, err := l.likelihood([]float64{0, 0}, sigma)
	if err != nil {
		t.Fatal(err)
	}
	table, err := sbi.Simulate(context.Background(), l.pri, sbi.FromLikelihood(lik), 4000, &sbi.SimulateOptions{Src: rng.New(12, 0)})
	if err != nil {
		t.Fatal(err)
	}
	npe, err := sbi.NPE(context.Background(), l.pri, table, &sbi.Options{Flow: flow.MAF{Transforms: 1, Hidden: []int{16}},
		Fit: &flow.FitOptions{Rate: 5e-3, Patience: 8, Drops: 3}, Src: rng.New(13, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return func(y []float64) (inverse.Sampler, error) {
		post := npe.Given(y)
		post.Src = seedOf(y)
		return post, nil
	}
}

// TestSBCFindsWrongSamplers has for each kind of sampler one that is right and
// one that is wrong, as a user may get it wrong.
func TestSBCFindsWrongSamplers(t *testing.T) {
	l := newLinear(t)
	for _, test := range []struct {
		name         string
		replications int
		right, wrong sbi.Infer
		sign         string
	}{
		{"exact", 1000, l.exact(0.5), l.exact(0.35), "too narrow"},
		{"MCMC", 200, l.mcmc(0.5), l.mcmc(0.25), "too narrow"},
		{"VI", 200, l.vi(sampler.FullRank), l.vi(sampler.MeanField), "too narrow"},
		{"diffusion", 200, l.diffusion(exactGuidance), l.diffusion(noJacobian), "too narrow"},
		{"flow", 200, l.flow(t, 0.5), l.flow(t, 0.3), "too narrow"},
	} {
		if testing.Short() {
			if test.name != "exact" {
				continue
			}
			test.replications = 200
		}
		opt := &sbi.SBCOptions{Replications: test.replications, Draws: 63, Src: rng.New(11, 5)}
		right, err := sbi.SBC(context.Background(), l.model(t), test.right, opt)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !right.Pass() || !strings.Contains(right.String(), "no sign of error") {
			t.Errorf("%s that is right:\n%v", test.name, right)
		}
		opt.Src = rng.New(11, 5)
		wrong, err := sbi.SBC(context.Background(), l.model(t), test.wrong, opt)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if wrong.Pass() || !strings.Contains(wrong.String(), test.sign) {
			t.Errorf("%s that is wrong, want %q:\n%v", test.name, test.sign, wrong)
		}
	}
}

// prior as posterior: every parameter's ranks are uniform, and only a quantity
// that depends on the data shows it.
func TestSBCQuantity(t *testing.T) {
	l := newLinear(t)
	ignorant := func(y []float64) (inverse.Sampler, error) { return &drawer{l.pri, seedOf(y)}, nil }
	q := sbi.Quantity{Name: "log likelihood", Value: func(theta, y []float64) float64 {
		lik, err := l.likelihood(y, 0.5)
		if err != nil {
			return math.NaN()
		}
		return lik.LogProb(theta)
	}}
	opt := &sbi.SBCOptions{Replications: 100, Draws: 63, Src: rng.New(2, 1), Names: []string{"a", "b"}}
	res, err := sbi.SBC(context.Background(), l.model(t), ignorant, opt)
	if err != nil || !res.Pass() {
		t.Errorf("the prior passes as posterior: %v, %v", res, err)
	}
	opt.Quantities, opt.Src = []sbi.Quantity{q}, rng.New(2, 1)
	res, err = sbi.SBC(context.Background(), l.model(t), ignorant, opt)
	if err != nil || res.Pass() || !strings.Contains(res.String(), "log likelihood: ") {
		t.Errorf("the likelihood of the prior's draws: %v, %v", res, err)
	}
	opt.Src = rng.New(2, 1)
	if res, err = sbi.SBC(context.Background(), l.model(t), l.exact(0.5), opt); err != nil || !res.Pass() {
		t.Errorf("the likelihood of the posterior's draws: %v, %v", res, err)
	}
}

// drawer is the sampler of a prior.
type drawer struct {
	sbi.Prior
	src rand.Source
}

func (d *drawer) Sample(_ context.Context, dst *mat.Dense) error {
	d.Draw(dst, d.src)
	return nil
}

// sheared has the marginals of the exact posterior and another correlation.
type sheared struct{ *posterior.Gaussian }

func (s sheared) Sample(ctx context.Context, dst *mat.Dense) error {
	if err := s.Gaussian.Sample(ctx, dst); err != nil {
		return err
	}
	m := s.Mean(nil)
	n, _ := dst.Dims()
	for i := range n {
		dst.Set(i, 1, 2*m[1]-dst.At(i, 1))
	}
	return nil
}

func TestCoverageAndTARP(t *testing.T) {
	l := newLinear(t)
	ctx := context.Background()
	options := func() *sbi.SBCOptions {
		return &sbi.SBCOptions{Replications: 500, Draws: 63, Src: rng.New(3, 1)}
	}
	for _, sigma := range []float64{0.5, 0.3} {
		cov, err := sbi.ExpectedCoverage(ctx, l.model(t), l.exact(sigma), options())
		if err != nil {
			t.Fatal(err)
		}
		tarp, err := sbi.TARP(ctx, l.model(t), l.exact(sigma), options())
		if err != nil {
			t.Fatal(err)
		}
		if cov.Pass() != (sigma == 0.5) || tarp.Pass() != (sigma == 0.5) {
			t.Errorf("noise %g for 0.5:\n%v%v", sigma, cov, tarp)
		}
		// The exact probability of the region of credibility 0.8.
		got, se := cov.Coverage(0.8)
		if math.Abs(got[0]-0.8) > 3*se == (sigma == 0.5) {
			t.Errorf("noise %g for 0.5: regions of 80 %% cover %.3f ± %.3f", sigma, got[0], se)
		}
	}
	shear := func(y []float64) (inverse.Sampler, error) {
		s, err := l.exact(0.5)(y)
		if err != nil {
			return nil, err
		}
		return sheared{s.(*posterior.Gaussian)}, nil
	}
	sbc, err := sbi.SBC(ctx, l.model(t), shear, options())
	if err != nil || !sbc.Pass() {
		t.Errorf("SBC sees a correlation: %v, %v", sbc, err)
	}
	if tarp, err := sbi.TARP(ctx, l.model(t), shear, options()); err != nil || tarp.Pass() {
		t.Errorf("TARP does not see a correlation: %v, %v", tarp, err)
	}
	_, err = sbi.ExpectedCoverage(ctx, l.model(t), func([]float64) (inverse.Sampler, error) { return noDensity{}, nil }, options())
	if err == nil || !strings.Contains(err.Error(), "has no LogProb") {
		t.Errorf("without a density: %v", err)
	}
}

type noDensity struct{}

func (noDensity) Dim() int                                 { return 2 }
func (noDensity) Sample(context.Context, *mat.Dense) error { return nil }

// TestSBCIsReproducible: for any number of workers.
func TestSBCIsReproducible(t *testing.T) {
	l := newLinear(t)
	var want string
	for _, workers := range []int{1, 3} {
		res, err := sbi.SBC(context.Background(), l.model(t), l.exact(0.5), &sbi.SBCOptions{Replications: 50, Src: rng.New(4, 1), Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = res.String()
		} else if res.String() != want {
			t.Errorf("%d workers:\n%v, want\n%v", workers, res, want)
		}
	}
}

// taskPosterior is the reference posterior of a task.
type taskPosterior struct {
	task *tasks.Task
	y    []float64
}

func (p *taskPosterior) Dim() int { return p.task.Prior.Dim() }

func (p *taskPosterior) Sample(ctx context.Context, dst *mat.Dense) error {
	return p.SampleFrom(ctx, dst, nil)
}

func (p *taskPosterior) SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error {
	return p.task.Reference(ctx, dst, p.y, src)
}

// TestSBCOfTasks: simulators and exact posteriors of the benchmark belong
// together.
func TestSBCOfTasks(t *testing.T) {
	replications := 200
	if slow() {
		replications = 1000
	}
	for _, name := range tasks.Names() {
		task, err := tasks.New(name)
		if err != nil {
			t.Fatal(err)
		}
		if !task.Exact() {
			continue
		}
		res, err := sbi.SBC(context.Background(), sbi.Model{Prior: task.Prior, Simulator: task},
			func(y []float64) (inverse.Sampler, error) { return &taskPosterior{task, y}, nil },
			&sbi.SBCOptions{Replications: replications, Src: rng.New(5, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if !res.Pass() {
			t.Errorf("%s: %v", name, res)
		}
	}
}

// TestRankNull: of rank tests of uniform ranks 5 % have a p-value below 0.05,
// and leave the bands.
func TestRankNull(t *testing.T) {
	if testing.Short() {
		t.Skip("300 calibrations")
	}
	l := newLinear(t)
	const repeats = 300
	var low, out int
	for k := range repeats {
		// The prior as posterior has uniform ranks.
		res, err := sbi.SBC(context.Background(), l.model(t), func(y []float64) (inverse.Sampler, error) { return &drawer{l.pri, seedOf(y)}, nil },
			&sbi.SBCOptions{Replications: 50, Draws: 19, Src: rng.New(6, uint64(k))})
		if err != nil {
			t.Fatal(err)
		}
		test := res.Tests[0]
		if test.PECDF <= 0.05 {
			low++
		}
		left := false
		for c := range 20 {
			var f float64
			for _, r := range res.Ranks[0] {
				if r <= c {
					f += 1. / 50
				}
			}
			if f < test.Lower[c]-1e-9 || f > test.Upper[c]+1e-9 {
				left = true
			}
		}
		if left {
			out++
		}
	}
	// Ranks are discrete, so that the level is at most 5 %.
	for _, n := range []int{low, out} {
		if n > repeats/20+11 || n < 3 {
			t.Errorf("%d of %d below 0.05, %d outside of the bands, want about %d", low, repeats, out, repeats/20)
			break
		}
	}
}
