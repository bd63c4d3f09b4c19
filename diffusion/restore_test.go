package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// The samplers that are not consistent miss the three-mode posterior by what
// an independent program found (W1, and standard deviations where known), from
// 20,000 draws.
func TestRestorationBimodal(t *testing.T) {
	p := newBimodal(t)
	if testing.Short() {
		t.Skip("statistics of many draws")
	}
	const n = 2000
	level := func(v float64) float64 { return p.score.Schedule().Time(-2 * math.Log(v)) }
	none := math.NaN()
	for _, c := range []struct {
		name    string
		solver  Solver
		steps   int
		w1, std float64
	}{
		{"DDRM", DDRM{Lik: p.lik}, 20, .205, .37},
		{"DDRM", DDRM{Lik: p.lik}, 100, .278, .29},
		{"DiffPIR", DiffPIR{Lik: p.lik}, 100, .372, 1.14},
		{"DiffPIR λ = 1, ζ = 1", DiffPIR{Lik: p.lik, Lambda: 1, Zeta: 1}, 100, .163, none},
		{"DAPS", DAPS{Lik: p.lik}, 200, .0895, .668},
	} {
		r := &Reverse{Score: p.score, Solver: c.solver, Steps: c.steps, Src: src(3)}
		if c.name == "DAPS" {
			r.From, r.To = level(100), level(.1)
		}
		got := summarize(p.post.Mixture, draw(t, r, n))
		t.Logf("%-20s %3d steps: mean %.3f std %.4f W1 %.4f", c.name, c.steps, got.mean, got.std, got.w1)
		se := 1 / math.Sqrt(n)
		if d := math.Abs(got.w1 - c.w1); d > 2*got.std*se+.01 {
			t.Errorf("%s, %d steps: W1 %.4f, want %.4f", c.name, c.steps, got.w1, c.w1)
		}
		if d := math.Abs(got.std - c.std); d > 4*got.std*se+.01 {
			t.Errorf("%s, %d steps: standard deviation %.4f, want %.4f", c.name, c.steps, got.std, c.std)
		}
	}
	for rho, want := range map[float64]float64{.5: .044, .1: .015} {
		g := &SplitGibbs{Score: p.score, Lik: p.lik, RhoMin: rho, Inner: 60, Src: src(4)}
		got := summarize(p.post.Mixture, draw(t, g, n))
		t.Logf("SplitGibbs, ρ = %v: std %.4f W1 %.4f (%.3f)", rho, got.std, got.w1, want)
		if got.w1 > want+.005+2*got.std/math.Sqrt(n) {
			t.Errorf("SplitGibbs, ρ = %v: W1 %.4f, want about %.3f", rho, got.w1, want)
		}
	}
}

// RED-diff seeks a mode: on the three-mode problem an independent program
// found 0.500 ± 0.010.
func TestREDDiff(t *testing.T) {
	p := newBimodal(t)
	r := &Reverse{Score: p.score, Solver: REDDiff{Lik: p.lik}, Steps: 1000, Src: src(1)}
	got := summarize(p.post.Mixture, draw(t, r, 200))
	t.Logf("mean %.3f std %.4f W1 %.3f", got.mean, got.std, got.w1)
	if math.Abs(got.mean-.5) > .02 || got.std > .05 {
		t.Errorf("draws %.3f ± %.3f, want 0.5 ± 0.01", got.mean, got.std)
	}
}

// The proximal draw has the mean and covariance of the product of the
// likelihood and N(x, r²I), by either way of solving.
func TestProximalDraw(t *testing.T) {
	const n, r = 3, .7
	gp := newGaussianProblem(t, 50, n, 2)
	white, err := likelihood.NewGaussian(gp.lik.Operator(), gp.lik.Data(), .5)
	check(t, err)
	at := []float64{1, -1, .5}
	for name, lik := range map[string]*likelihood.Gaussian{"correlated": gp.lik, "spectral": white} {
		pri, err := prior.NewGaussian(at, mat.NewDiagDense(n, []float64{r * r, r * r, r * r}), nil)
		check(t, err)
		noise := mat.NewSymDense(2, nil)
		lik.AddCovariance(noise)
		post, _, err := pri.Condition(gp.a, lik.Data(), noise)
		check(t, err)
		want := mat.NewSymDense(n, nil)
		post.CovarianceMatrix(want)
		p := &path{n: n}
		check(t, p.prepare("", lik))
		prox := &proximal{linearGaussian: p.lin}

		const draws = 20_000
		x := mat.NewDense(draws, n, nil)
		for i := range draws {
			x.SetRow(i, at)
		}
		prox.draw(x, mat.NewDense(draws, n, nil), r, src(2))
		var cov mat.SymDense
		stat.CovarianceMatrix(&cov, x, nil)
		for i := range n {
			mean := stat.Mean(mat.Col(nil, i, x), nil)
			if math.Abs(mean-post.Mean(nil)[i]) > 4*math.Sqrt(want.At(i, i)/draws) {
				t.Errorf("%s: mean %d is %.4f, want %.4f", name, i, mean, post.Mean(nil)[i])
			}
			for j := range i + 1 {
				if d := math.Abs(cov.At(i, j) - want.At(i, j)); d > 4*math.Sqrt(2*want.At(i, i)*want.At(j, j)/draws) {
					t.Errorf("%s: covariance (%d, %d) is %.4f, want %.4f", name, i, j, cov.At(i, j), want.At(i, j))
				}
			}
		}
		one := mat.NewDense(1, n, at)
		prox.move(one, r*r)
		for i, v := range post.Mean(nil) {
			if math.Abs(one.At(0, i)-v) > 1e-12 {
				t.Errorf("%s: the minimiser has coordinate %d %v, want %v", name, i, one.At(0, i), v)
			}
		}
	}
}

// For a Gaussian prior split Gibbs samples the posterior of data with noise
// covariance Σ + ρ²AAᵀ, up to the steps of its inner diffusion.
func TestSplitGibbsGaussian(t *testing.T) {
	if testing.Short() {
		t.Skip("statistics of many draws")
	}
	const n, rho = 3, .6
	r := rand.New(src(51))
	pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, n, []float64{1, 0, -1}), []float64{.9}, nil)
	check(t, err)
	a := gaussianMatrix(r, 2, n)
	op, err := forward.NewDense(a)
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{2, -1}, .4)
	check(t, err)
	var noise mat.SymDense
	noise.SymOuterK(rho*rho, a)
	for i := range 2 {
		noise.SetSym(i, i, noise.At(i, i)+.16)
	}
	post, _, err := pri.Condition(a, lik.Data(), &noise)
	check(t, err)
	want := mat.NewSymDense(n, nil)
	post.CovarianceMatrix(want)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	const draws = 4000
	x := draw(t, &SplitGibbs{Score: score, Lik: lik, RhoMin: rho, Iterations: 30, Inner: 60, Src: src(8)}, draws)
	for j := range n {
		mean, sd := stat.MeanStdDev(mat.Col(nil, j, x), nil)
		w := math.Sqrt(want.At(j, j))
		if math.Abs(mean-post.Mean(nil)[j]) > w*(4/math.Sqrt(draws)+.01) || math.Abs(sd/w-1) > 4/math.Sqrt(2*draws)+.02 {
			t.Errorf("coordinate %d: %.4f ± %.4f, want %.4f ± %.4f", j, mean, sd, post.Mean(nil)[j], w)
		}
	}
}

// A coordinate without a datum is sampled from the prior by DDRM with little
// new noise, and one with an exact datum is there.
func TestDDRMCoordinates(t *testing.T) {
	pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, 2, nil), []float64{1}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	op, err := forward.NewDense(mat.NewDense(1, 2, []float64{0, 2}))
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{3}, 1e-3)
	check(t, err)
	for name, solver := range map[string]Solver{"DDRM": DDRM{Lik: lik, Eta: .1}, "Travel": Travel{Solver: DDRM{Lik: lik, Eta: .1}, Repeat: 2}} {
		x := draw(t, &Reverse{Score: score, Solver: solver, Steps: 100, Src: src(1)}, 2000)
		mean, sd := stat.MeanStdDev(mat.Col(nil, 0, x), nil)
		if math.Abs(mean) > .09 || math.Abs(sd-1) > .09 {
			t.Errorf("%s: the free coordinate is %.3f ± %.3f, want 0 ± 1", name, mean, sd)
		}
		mean, sd = stat.MeanStdDev(mat.Col(nil, 1, x), nil)
		if math.Abs(mean-1.5) > 5e-3 || sd > .02 {
			t.Errorf("%s: the observed coordinate is %.5f ± %.5f, want 1.5 and next to no spread", name, mean, sd)
		}
	}
}

// Travel does not change what a solver converges to.
func TestTravel(t *testing.T) {
	if testing.Short() {
		t.Skip("statistics of many draws")
	}
	p := newBimodal(t)
	r := &Reverse{Score: p.score, Solver: Travel{Solver: DDIM{Eta: 1}, Repeat: 3}, Steps: 150, Src: src(2)}
	if got := summarize(p.prior, draw(t, r, 2000)); got.w1 > .08 {
		t.Errorf("W1 to the prior is %.4f", got.w1)
	}
}

func TestRestorationReproducible(t *testing.T) {
	p := newBimodal(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, s := range map[string]Solver{
		"DDRM": DDRM{Lik: p.lik}, "DiffPIR": DiffPIR{Lik: p.lik}, "DAPS": DAPS{Lik: p.lik}, "DAPS, by a chain": DAPS{Lik: nonlinearOnly{p.lik}, Chain: 3}, "REDDiff": REDDiff{Lik: p.lik},
		"DPSStep": DPSStep{Lik: p.lik}, "Travel": Travel{Solver: DDRM{Lik: p.lik}, Repeat: 2}, "SplitGibbs": nil,
	} {
		sample := func(procs int) *mat.Dense {
			runtime.GOMAXPROCS(procs)
			if s == nil {
				return draw(t, &SplitGibbs{Score: p.score, Lik: p.lik, RhoMin: 1, Iterations: 1, Inner: 2, Src: src(1)}, 1100)
			}
			return draw(t, &Reverse{Score: p.score, Solver: s, Steps: 4, Src: src(1)}, 1100)
		}
		if !mat.Equal(sample(1), sample(4)) {
			t.Errorf("%s: GOMAXPROCS changes the draws", name)
		}
	}
}

func TestRestorationErrors(t *testing.T) {
	gp := newGaussianProblem(t, 52, 3, 2)
	noSVD, err := likelihood.NewGaussian(linearOnly{gp.a}, gp.lik.Data(), 1)
	check(t, err)
	other := newGaussianProblem(t, 53, 4, 2)
	p := newBimodal(t)
	x := mat.NewDense(1, 3, nil)
	for _, c := range []struct {
		s    Solver
		want string
	}{
		{DDRM{}, "likelihood is nil"}, {DDRM{Lik: noSVD}, "inverse.Spectral"}, {DDRM{Lik: gp.lik}, "noise"}, {DDRM{Lik: p.lik}, "dimension"},
		{DiffPIR{}, "likelihood is nil"}, {DiffPIR{Lik: other.lik}, "dimension"}, {DiffPIR{Lik: gp.lik, Zeta: 2}, "Zeta 2"},
		{DAPS{}, "likelihood is nil"}, {DAPS{Lik: other.lik}, "dimension"}, {DAPS{Lik: gp.lik, Inner: -1}, "Inner is -1"},
		{DAPS{Lik: gp.lik, Chain: -1}, "Chain -1"}, {DAPS{Lik: nonlinearOnly{other.lik}}, "dimension"},
		{REDDiff{}, "Lik is nil"}, {REDDiff{Lik: other.lik}, "dimension"}, {REDDiff{Lik: gp.lik, Rate: -1}, "Rate is -1"},
		{Travel{}, "Solver is nil"}, {Travel{Solver: DPMSolver{}}, "multistep"}, {Travel{Solver: DDIM{}, Repeat: -1}, "Repeat is -1"},
	} {
		r := &Reverse{Score: gp.score, Solver: c.s}
		if err := r.Sample(context.Background(), x); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: error %v, want one with %q", c.s, err, c.want)
		}
	}
	for _, c := range []struct {
		g    SplitGibbs
		want string
	}{
		{SplitGibbs{}, "Score is nil"}, {SplitGibbs{Score: gp.score}, "likelihood is nil"}, {SplitGibbs{Score: gp.score, Lik: other.lik}, "dimension"},
		{SplitGibbs{Score: gp.score, Lik: gp.lik, Decay: 1}, "Decay 1"},
	} {
		if err := c.g.Sample(context.Background(), x); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
