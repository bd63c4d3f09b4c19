package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sort"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

func allSolvers() map[string]Solver {
	return map[string]Solver{
		"EulerMaruyama": EulerMaruyama{}, "PredictorCorrector": PredictorCorrector{},
		"DDIM": DDIM{}, "DDIM 0.5": DDIM{Eta: .5}, "DDPM": DDIM{Eta: 1},
		"ProbabilityFlow": ProbabilityFlow{}, "ProbabilityFlow Heun": ProbabilityFlow{Heun: true},
		"Heun": Heun{}, "Heun churn": Heun{Churn: 40, Noise: 1.003, Max: 50},
		"DPM 1": DPMSolver{Order: 1}, "DPM 2M": DPMSolver{}, "DPM 3M": DPMSolver{Order: 3},
		"DPM 2S": DPMSolver{Single: true}, "DPM SDE": DPMSolver{Stochastic: true},
	}
}

// Every solver samples the prior, under every schedule, when its steps are
// many: the moments within four standard errors and a discretisation error of
// half a percent, and the distance small.
func TestSolversConverge(t *testing.T) {
	p := newBimodal(t)
	n, steps := 1500, 250
	if testing.Short() {
		n, steps = 128, 120
	}
	mean, cov := p.prior.Mean(nil)[0], mat.NewSymDense(1, nil)
	p.prior.CovarianceMatrix(cov)
	std := math.Sqrt(cov.At(0, 0))
	run := func(name string, s Schedule, solver Solver) {
		score, err := Diffuse(p.prior, s)
		check(t, err)
		r := &Reverse{Score: score, Solver: solver, Steps: steps, Src: src(3)}
		got := summarize(p.prior, draw(t, r, n))
		se := 4 / math.Sqrt(float64(n))
		if math.Abs(got.mean-mean) > std*(se+.01) || math.Abs(got.std-std) > std*(.6*se+.01) || got.w1 > std*(se+.01) {
			t.Errorf("%s under %T: mean %.4f, std %.4f, W1 %.4f, want %.4f, %.4f, 0", name, s, got.mean, got.std, got.w1, mean, std)
		}
	}
	for name, solver := range allSolvers() {
		run(name, NewVP(.1, 20), solver)
	}
	for name, s := range schedules(t) {
		if testing.Short() && name != "DDPM" && name != "SubVP" {
			continue
		}
		run("DPM 2M", s, DPMSolver{})
		run("DDPM", s, DDIM{Eta: 1})
		run("EulerMaruyama", s, EulerMaruyama{})
	}
}

// quantiles returns n quantiles of N(mean, sd²).
func quantiles(n int, mean, sd float64) *mat.Dense {
	x := mat.NewDense(n, 1, nil)
	for i := range n {
		x.Set(i, 0, distuv.Normal{Mu: mean, Sigma: sd}.Quantile((float64(i)+.5)/float64(n)))
	}
	return x
}

const flowDraws = 2000

// flowFrom runs a deterministic solver from quantiles of its start, and
// returns the Wasserstein distance to the prior, free of Monte Carlo error.
func flowFrom(t *testing.T, m *prior.Mixture, r *Reverse) float64 {
	t.Helper()
	p, solver, err := r.path()
	check(t, err)
	mean, variance := r.Start.at(0)
	a, s := p.alpha[0], p.sigma[0]
	x := quantiles(flowDraws, a*mean, math.Sqrt(a*a*variance+s*s))
	w := newWalk(p, x, 0, flowDraws, nil)
	step := solver.begin(w)
	for w.k = 0; w.k < w.steps(); w.k++ {
		step.step(w)
	}
	v := append([]float64(nil), x.RawMatrix().Data...)
	sort.Float64s(v)
	return wasserstein(m, v)
}

// The Wasserstein distances of few-step solvers to a mixture, against those
// of an independent program in the coordinates x/α. Its grid goes from
// σ/α = 80 to 0.01, or where the start is matched to the moments from 5 to
// 0.03.
func TestFewSteps(t *testing.T) {
	p := newBimodal(t)
	vp := NewVP(.1, 20)
	cov := mat.NewSymDense(1, nil)
	p.prior.CovarianceMatrix(cov)
	moments := Moments{p.prior.Mean(nil), []float64{cov.At(0, 0)}}
	level := func(v float64) float64 { return vp.Time(-2 * math.Log(v)) }
	for _, c := range []struct {
		name    string
		solver  Solver
		grid    Grid
		matched bool
		want    map[int]float64 // by steps
	}{
		{"DDIM, uniform t", DDIM{}, UniformTime, false, map[int]float64{5: .331, 10: .158, 50: .032}},
		{"DDIM, log-SNR", DDIM{}, UniformLogSNR, false, map[int]float64{5: .476, 10: .244, 50: .046}},
		{"2M, log-SNR", DPMSolver{}, nil, false, map[int]float64{5: .240, 8: .128, 10: .089, 20: .022, 50: .009}},
		{"2M, Karras", DPMSolver{}, Karras(7), false, map[int]float64{10: .170, 20: .035}},
		{"3M, log-SNR", DPMSolver{Order: 3}, nil, false, map[int]float64{10: .047, 20: .010}},
		{"2M, matched", DPMSolver{}, nil, true, map[int]float64{5: .094, 8: .037, 10: .021, 20: .0038}},
		{"3M, matched", DPMSolver{Order: 3}, nil, true, map[int]float64{5: .140, 8: .042, 10: .020}},
		{"DDIM, matched", DDIM{}, UniformLogSNR, true, map[int]float64{5: .29, 10: .13}},
	} {
		for steps, want := range c.want {
			if testing.Short() && steps > 10 {
				continue
			}
			r := &Reverse{Score: p.score, Solver: c.solver, Grid: c.grid, Steps: steps, From: level(80), To: level(.01)}
			if c.matched {
				r.From, r.To, r.Start = level(5), level(.03), moments
			}
			got := flowFrom(t, p.prior, r)
			t.Logf("%-18s %2d steps: W1 %.4f (%.4f)", c.name, steps, got, want)
			if got > 1.06*want+.001 {
				t.Errorf("%s, %d steps: W1 is %.4f, want %.4f", c.name, steps, got, want)
			}
		}
	}
	r := &Reverse{Score: p.score, Steps: 5, From: level(5), To: level(.03), Start: moments}
	if w1 := flowFrom(t, p.prior, r); w1 > .10 {
		t.Errorf("5 evaluations: W1 is %.4f, want at most 0.10", w1)
	}
	r.Steps = 10
	if w1 := flowFrom(t, p.prior, r); w1 > .022 {
		t.Errorf("10 evaluations: W1 is %.4f, want at most 0.022", w1)
	}
}

// For a Gaussian the flow is linear, so solvers have errors that can be
// measured exactly: the order of each is what it should be.
func TestSolverOrders(t *testing.T) {
	g, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, 1, []float64{1}), []float64{.5}, nil)
	check(t, err)
	edm := NewEDM(.05, 20)
	score, err := Diffuse(g, edm)
	check(t, err)
	for _, c := range []struct {
		name   string
		solver Solver
		order  float64
	}{
		{"Euler", ProbabilityFlow{}, 1}, {"Heun", ProbabilityFlow{Heun: true}, 2},
		{"DDIM", DPMSolver{Order: 1}, 1}, {"2M", DPMSolver{}, 2}, {"2S", DPMSolver{Single: true}, 2}, {"3M", DPMSolver{Order: 3}, 2},
		{"EDM Heun", Heun{}, 2},
	} {
		// The flow keeps (x - 1)/√(0.25 + σ²), and ends at σ = 0.05 or, by a last
		// denoising step, at D; the error before that step is measured.
		fail := func(steps int) float64 {
			r := &Reverse{Score: score, Solver: c.solver, Steps: steps, Grid: UniformLogSNR}
			p, solver, err := r.path()
			check(t, err)
			x := mat.NewDense(1, 1, []float64{31})
			w := newWalk(p, x, 0, 1, nil)
			step := solver.begin(w)
			for w.k = 0; w.k < w.steps() && p.t[w.k+1] > 0; w.k++ {
				step.step(w)
			}
			want := 1 + 30*math.Sqrt(.25+.05*.05)/math.Sqrt(.25+400)
			return math.Abs(x.At(0, 0) - want)
		}
		got := math.Log2(fail(161) / fail(321))
		if math.Abs(got-c.order) > .25 {
			t.Errorf("%s: order %.2f, want %v", c.name, got, c.order)
		}
	}
}

// DDIM with η = 1 is ancestral sampling: its transition is the exact one,
// N(x'; ...), if x₀ is known. The variance is that of Ho et al. (2020), eq. 7.
func TestAncestralVariance(t *testing.T) {
	betas := LinearBetas(50, 1e-3, .2)
	s, err := NewDDPM(betas)
	check(t, err)
	for i := 2; i <= 50; i++ {
		a, sd := s.At(float64(i) / 50)
		a2, sd2 := s.At(float64(i-1) / 50)
		old, v := ddimNoise(a, sd, a2, sd2, 1)
		want := (1 - a2*a2) / (1 - a*a) * betas[i-1]
		if math.Abs(v*v-want) > 1e-13 {
			t.Errorf("level %d: variance %v, want %v", i, v*v, want)
		}
		// Coefficient of x_t in the posterior mean: √α_t (1 - ᾱ')/(1 - ᾱ).
		if got, want := old/sd, math.Sqrt(1-betas[i-1])*(1-a2*a2)/(1-a*a); math.Abs(got-want) > 1e-12 {
			t.Errorf("level %d: coefficient %v, want %v", i, got, want)
		}
	}
}

// Draws of a Gaussian posterior by an exact guidance have its mean and
// covariance.
func TestGaussianPosteriorDraws(t *testing.T) {
	const n = 4
	p := newGaussianProblem(t, 20, n, 2)
	post, _, err := p.prior.Condition(p.a, p.lik.Data(), p.noise)
	check(t, err)
	draws, steps := 4000, 300
	if testing.Short() {
		draws, steps = 256, 150
	}
	want := mat.NewSymDense(n, nil)
	post.CovarianceMatrix(want)
	g, err := NewMMPS(p.score, p.lik)
	check(t, err)
	for name, solver := range map[string]Solver{"DPM": DPMSolver{}, "DDPM": DDIM{Eta: 1}} {
		r := &Reverse{Score: sumOf(t, p.score, g), Schedule: p.score.Schedule(), Solver: solver, Steps: steps, Src: src(5)}
		x := draw(t, r, draws)
		var cov mat.SymDense
		stat.CovarianceMatrix(&cov, x, nil)
		for i := range n {
			mean := stat.Mean(mat.Col(nil, i, x), nil)
			sd := math.Sqrt(want.At(i, i))
			if math.Abs(mean-post.Mean(nil)[i]) > sd*(4/math.Sqrt(float64(draws))+.01) {
				t.Errorf("%s: mean %d is %.4f, want %.4f ± %.4f", name, i, mean, post.Mean(nil)[i], sd/math.Sqrt(float64(draws)))
			}
			for j := range i + 1 {
				sdj := math.Sqrt(want.At(j, j))
				if math.Abs(cov.At(i, j)-want.At(i, j)) > sd*sdj*(4*math.Sqrt(2/float64(draws))+.02) {
					t.Errorf("%s: covariance (%d, %d) is %.4f, want %.4f", name, i, j, cov.At(i, j), want.At(i, j))
				}
			}
		}
	}
}

func TestReverseReproducible(t *testing.T) {
	p := newGaussianProblem(t, 21, 5, 3)
	g, err := NewPiGDM(p.score, p.lik)
	check(t, err)
	post := sumOf(t, p.score, g)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, solver := range allSolvers() {
		sample := func(procs, workers int) *mat.Dense {
			runtime.GOMAXPROCS(procs)
			return draw(t, &Reverse{Score: post, Schedule: p.score.Schedule(), Solver: solver, Steps: 3, Src: src(1), Workers: workers}, 600)
		}
		want := sample(1, 0)
		for _, c := range [][2]int{{2, 0}, {4, 3}} {
			if !mat.Equal(want, sample(c[0], c[1])) {
				t.Errorf("%s: GOMAXPROCS %d and %d workers change the draws", name, c[0], c[1])
			}
		}
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools")
	}
	pri, err := prior.NewIsotropicMixture(nil, gaussianMatrix(rand.New(src(1)), 5, 8), []float64{.3}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	for name, solver := range allSolvers() {
		r := &Reverse{Score: score, Solver: solver, Steps: 30}
		p, solver, err := r.path()
		check(t, err)
		w := newWalk(p, mat.NewDense(64, 8, nil), 0, 64, rng.New(1, 0))
		w.start(r.Start)
		step := solver.begin(w)
		step.step(w)
		w.k = 3
		if n := testing.AllocsPerRun(20, func() { step.step(w); w.diverged("") }); n >= 1 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
}

// The same of the samplers for inverse problems.
func TestRestorationStepDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools")
	}
	p := newMixture25(t, 8, 2, 1)
	for name, solver := range map[string]Solver{
		"DDRM": DDRM{Lik: p.lik}, "DiffPIR": DiffPIR{Lik: p.lik}, "DAPS": DAPS{Lik: p.lik}, "DAPS, by a chain": DAPS{Lik: nonlinearOnly{p.lik}, Chain: 3}, "REDDiff": REDDiff{Lik: p.lik}, "DPSStep": DPSStep{Lik: p.lik},
	} {
		r := &Reverse{Score: p.score, Solver: solver, Steps: 30}
		path, _, err := r.path()
		check(t, err)
		check(t, solver.check(path))
		w := newWalk(path, mat.NewDense(64, 8, nil), 0, 64, rng.New(1, 0))
		w.start(r.Start)
		step := solver.begin(w)
		step.step(w)
		if n := testing.AllocsPerRun(20, func() { step.step(w) }); n >= 1 {
			t.Errorf("%s: %v allocations a step", name, n)
		}
	}
	mmps, err := NewMMPS(p.score, p.lik)
	check(t, err)
	tds, err := NewTDS(mmps, p.lik)
	check(t, err)
	mcg, err := NewMCGDiff(p.score, p.lik)
	check(t, err)
	allocations := func(f runner, steps int) float64 {
		settings(f).Steps, settings(f).Src, settings(f).Workers = steps, src(1), 1
		x := mat.NewDense(64, 8, nil)
		return testing.AllocsPerRun(3, func() { check(t, f.Sample(context.Background(), x)) })
	}
	for name, f := range map[string]runner{"TDS": tds, "MCGDiff": mcg} {
		if few, many := allocations(f, 10), allocations(f, 110); many > few+20 {
			t.Errorf("%s: %v allocations in 10 steps, %v in 110", name, few, many)
		}
	}
}

func TestProgressAndCancel(t *testing.T) {
	p := newBimodal(t)
	var last, total int
	r := &Reverse{Score: p.score, Steps: 3, Progress: func(d, n int) {
		if d <= last {
			t.Errorf("progress %d after %d", d, last)
		}
		last, total = d, n
	}}
	draw(t, r, 1200)
	if last != 1200 || total != 1200 {
		t.Errorf("progress ended with %d of %d", last, total)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Sample(ctx, mat.NewDense(10, 1, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// explosive is a score that sends draws away.
type explosive struct{}

func (explosive) Dim() int { return 2 }
func (explosive) Score(dst, x *mat.Dense, _ float64) {
	dst.Scale(1e6, x)
}

func TestDivergence(t *testing.T) {
	r := &Reverse{Score: explosive{}, Schedule: NewVP(.1, 20), Solver: EulerMaruyama{}, Steps: 50, Src: src(1)}
	err := r.Sample(context.Background(), mat.NewDense(10, 2, nil))
	var d *DivergedError
	if !errors.As(err, &d) || d.Step < 2 || d.Step > 40 || d.Steps != 50 || d.Row != 0 {
		t.Fatalf("error %v", err)
	}
	if msg := err.Error(); !strings.Contains(msg, "more steps") {
		t.Errorf("no remedy in %q", msg)
	}
}

// broken is a score that is not a number from some time on.
type broken struct {
	inverse.ScoreFunc
	until float64
}

func (b broken) Score(dst, x *mat.Dense, t float64) {
	b.ScoreFunc.Score(dst, x, t)
	if t < b.until {
		dst.Set(0, 0, math.NaN())
	}
}

// A score that is not finite ends all samplers with an error that says so, and
// data without noise never reach one.
func TestNotFinite(t *testing.T) {
	p := newBimodal(t)
	score, err := NewScore(broken{p.score, .5}, p.score.Schedule())
	check(t, err)
	samplers := map[string]inverse.Sampler{"SplitGibbs": &SplitGibbs{Score: score, Lik: p.lik, Src: src(1)}}
	for name, solver := range allSolvers() {
		samplers[name] = &Reverse{Score: score, Solver: solver, Steps: 10, Src: src(1)}
	}
	for _, solver := range []Solver{DDRM{Lik: p.lik}, DiffPIR{Lik: p.lik}, DAPS{Lik: p.lik}, REDDiff{Lik: p.lik}, DPSStep{Lik: p.lik}} {
		samplers[fmt.Sprintf("%T", solver)] = &Reverse{Score: score, Solver: solver, Steps: 10, Src: src(1)}
	}
	mmps, err := NewMMPS(score, p.lik)
	check(t, err)
	tds, err := NewTDS(mmps, p.lik)
	check(t, err)
	mcg, err := NewMCGDiff(score, p.lik)
	check(t, err)
	samplers["MMPS"] = &Reverse{Score: sumOf(t, score, mmps), Schedule: score.Schedule(), Src: src(1)}
	samplers["TDS"], samplers["MCGDiff"] = tds, mcg
	for name, s := range samplers {
		err := s.Sample(context.Background(), mat.NewDense(64, 1, nil))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		var d *DivergedError
		if errors.As(err, &d) && (d.Step < 1 || d.Step > d.Steps || !strings.Contains(d.Remedy, "not finite")) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := LogProb(context.Background(), make([]float64, 3), mat.NewDense(3, 1, nil), score, nil); err == nil {
		t.Error("LogProb: no error")
	}
	if _, err := likelihood.NewGaussian(p.lik.Operator(), p.lik.Data(), 0); err == nil {
		t.Error("a likelihood without noise: no error")
	}
}

// DPS where the noise of the data is small: a draw that explodes and comes
// back as a large number is an error as well.
func TestDPSDivergence(t *testing.T) {
	id, err := forward.NewIdentity(2)
	check(t, err)
	lik, err := likelihood.NewGaussian(id, []float64{1, 1}, 1e-3)
	check(t, err)
	pri, err := prior.NewIsotropicMixture(nil, gaussianMatrix(rand.New(src(1)), 4, 2), []float64{.5}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	dps, err := NewDPS(score, lik)
	check(t, err)
	r := &Reverse{Score: sumOf(t, score, dps), Schedule: score.Schedule(), Solver: EulerMaruyama{}, Steps: 50, Src: src(1)}
	var d *DivergedError
	if err := r.Sample(context.Background(), mat.NewDense(10, 2, nil)); !errors.As(err, &d) {
		t.Fatalf("error %v", err)
	}
	// The remedies help.
	dps.Weight = 1e-4
	check(t, r.Sample(context.Background(), mat.NewDense(10, 2, nil)))
}

func TestReverseErrors(t *testing.T) {
	p := newBimodal(t)
	vp := NewVP(.1, 20)
	two := []float64{1, 2}
	for _, c := range []struct {
		r    Reverse
		want string
	}{
		{Reverse{}, "Score is nil"},
		{Reverse{Score: explosive{}}, "Schedule is nil"},
		{Reverse{Score: p.score, Schedule: NewVP(0, 0)}, "schedule"},
		{Reverse{Score: p.score, Steps: -1}, "Steps is -1"},
		{Reverse{Score: p.score, From: .5, To: .7}, "From"},
		{Reverse{Score: p.score, Start: Moments{Var: []float64{-1}}}, "Start.Var[0]"},
		{Reverse{Score: p.score, Start: Moments{Mean: two}}, "Start.Mean has length 2"},
		{Reverse{Score: p.score, Start: Moments{Mean: []float64{math.NaN()}}}, "Start.Mean[0]"},
		{Reverse{Score: p.score, Solver: DDIM{Eta: 2}}, "Eta is 2"},
		{Reverse{Score: p.score, Solver: DPMSolver{Order: 4}}, "Order is 4"},
		{Reverse{Score: p.score, Solver: DPMSolver{Order: 3, Stochastic: true}}, "Stochastic"},
		{Reverse{Score: p.score, Solver: DPMSolver{Order: 3, Single: true}}, "Single"},
		{Reverse{Score: p.score, Solver: Heun{Churn: -1}}, "negative"},
		{Reverse{Score: p.score, Solver: PredictorCorrector{SNR: -1}}, "SNR"},
		{Reverse{Score: p.score, Grid: func(Schedule, float64, float64, int) []float64 { return two }}, "grid has 2 times"},
		{Reverse{Score: p.score, Steps: 2, Grid: func(Schedule, float64, float64, int) []float64 { return two }}, "must fall"},
		{Reverse{Score: hidden{p.score}, Schedule: vp, Solver: DPSStep{Lik: p.lik}}, "NewScore"},
		{Reverse{Score: p.score, Solver: DPSStep{}}, "Lik is nil"},
	} {
		r := c.r
		err := r.Sample(context.Background(), mat.NewDense(3, max(1, dimOf(r.Score)), nil))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func dimOf(s inverse.ScoreFunc) int {
	if s == nil {
		return 0
	}
	return s.Dim()
}

// The paper's DPS step with its fixed length collapses on the datum or
// spreads, as the length is: standard deviations of an independent program
// (1000 steps) that steps along the gradient of the squared norm over the norm,
// which is twice as long.
func TestDPSStep(t *testing.T) {
	p := newBimodal(t)
	if testing.Short() {
		t.Skip("statistics of many draws")
	}
	const n = 600
	for zeta, want := range map[float64]float64{.002: 1.13, .006: .49, .2: .11, .6: .35} {
		r := &Reverse{Score: p.score, Solver: DPSStep{Lik: p.lik, Zeta: zeta}, Steps: 1000, Src: src(2)}
		x := draw(t, r, n).RawMatrix().Data
		std := stat.StdDev(x, nil)
		// A few draws in a far mode make a kurtosis κ of up to 20.
		se := std * math.Sqrt((2+stat.ExKurtosis(x, nil))/n) / 2
		t.Logf("zeta %v: std %.3f ± %.3f (%.2f)", zeta, std, se, want)
		if math.Abs(std-want) > .05*want+4*se {
			t.Errorf("zeta %v: standard deviation %.3f ± %.3f, want %.2f", zeta, std, se, want)
		}
	}
}
