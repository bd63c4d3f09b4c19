package diffusion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// gaussianProblem is a random linear problem with a Gaussian prior N(mu, S).
type gaussianProblem struct {
	mu    []float64
	s     *mat.SymDense
	a     *mat.Dense
	noise *mat.SymDense
	lik   *likelihood.Gaussian
	prior *prior.Gaussian
	score *Diffused
}

func newGaussianProblem(t testing.TB, seed uint64, n, m int) *gaussianProblem {
	t.Helper()
	r := rand.New(src(seed))
	p := &gaussianProblem{mu: make([]float64, n), s: new(mat.SymDense), a: gaussianMatrix(r, m, n), noise: new(mat.SymDense)}
	y := make([]float64, m)
	for i := range p.mu {
		p.mu[i] = r.NormFloat64()
	}
	for i := range y {
		y[i] = 3 * r.NormFloat64()
	}
	spd := func(dst *mat.SymDense, n int, scale float64) {
		dst.SymOuterK(scale/float64(n), gaussianMatrix(r, n, n))
		for i := range n {
			dst.SetSym(i, i, dst.At(i, i)+.1*scale)
		}
	}
	spd(p.s, n, 1)
	spd(p.noise, m, .2)
	op, err := forward.NewDense(p.a)
	check(t, err)
	p.lik, err = likelihood.NewGaussianCov(op, y, p.noise)
	check(t, err)
	p.prior, err = prior.NewGaussian(p.mu, p.s, nil)
	check(t, err)
	p.score, err = Diffuse(p.prior, NewVP(0.1, 20))
	check(t, err)
	return p
}

// want is ∇ log p(y|x_t) and log p(y|x_t) in closed form: with
// K = αS(α²S + σ²I)⁻¹, m = μ + K(x - αμ) and C = S - αKS, it is
// KᵀAᵀ(ACAᵀ + Σ)⁻¹(y - Am).
func (p *gaussianProblem) want(x []float64, tm float64) (score []float64, logp float64) {
	n, m := len(p.mu), len(p.lik.Data())
	alpha, sigma := p.score.Schedule().At(tm)
	var v, k, c, cov, back, ka mat.Dense
	v.Scale(alpha*alpha, p.s)
	for i := range n {
		v.Set(i, i, v.At(i, i)+sigma*sigma)
	}
	if err := k.Solve(&v, p.s); err != nil { // V⁻¹S = (SV⁻¹)ᵀ, and they commute
		panic(err)
	}
	k.Scale(alpha, &k)
	c.Mul(&k, p.s)
	c.Scale(-alpha, &c)
	c.Add(&c, p.s)
	d, mean := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
	d.AddScaledVec(mat.NewVecDense(n, x), -alpha, mat.NewVecDense(n, p.mu))
	mean.MulVec(&k, d)
	mean.AddVec(mean, mat.NewVecDense(n, p.mu))
	cov.Product(p.a, &c, p.a.T())
	cov.Add(&cov, p.noise)
	r := mat.NewVecDense(m, nil)
	r.MulVec(p.a, mean)
	r.SubVec(mat.NewVecDense(m, p.lik.Data()), r)
	var w mat.VecDense
	if err := w.SolveVec(&cov, r); err != nil {
		panic(err)
	}
	ka.Mul(p.a, &k)
	back.Mul(ka.T(), &w)
	logDet, _ := mat.LogDet(&cov)
	return back.RawMatrix().Data, -0.5 * (mat.Dot(r, &w) + logDet + float64(m)*math.Log(2*math.Pi))
}

func maxAbs(x []float64) float64 { return floats.Norm(x, math.Inf(1)) }

// For Gaussian priors the exact guidance and MMPS, direct and iterated, are
// the closed form.
func TestGuidanceGaussian(t *testing.T) {
	for _, dims := range [][2]int{{2, 1}, {2, 2}, {3, 5}, {5, 3}, {10, 4}, {20, 12}, {50, 20}, {50, 60}} {
		n, m := dims[0], dims[1]
		if testing.Short() && n > 20 {
			continue
		}
		p := newGaussianProblem(t, uint64(100*n+m), n, m)
		exact, err := NewExact(p.score, p.lik)
		check(t, err)
		direct, err := NewMMPS(p.score, p.lik)
		check(t, err)
		direct.MaxIter = 64
		iterated, err := NewMMPS(p.score, p.lik)
		check(t, err)
		iterated.MaxIter, iterated.Tol, iterated.units = 10*(m+1), 1e-14, nil
		guides := map[string]Guidance{"exact": exact, "MMPS": direct, "MMPS by CG": iterated}
		x := gaussianMatrix(rand.New(src(1)), 3, n)
		got, sum, prior := mat.NewDense(3, n, nil), mat.NewDense(3, n, nil), mat.NewDense(3, n, nil)
		for _, tm := range []float64{.01, .1, .3, .6, 1} {
			p.score.Score(prior, x, tm)
			for name, g := range guides {
				g.Score(got, x, tm)
				sumOf(t, p.score, g).Score(sum, x, tm)
				logp := make([]float64, 3)
				g.twist(mat.NewDense(3, n, nil), logp, x, tm, newPoint(p.score))
				_, logp0 := p.want(x.RawRowView(0), tm)
				for i := range 3 {
					want, wantLog := p.want(x.RawRowView(i), tm)
					scale := maxAbs(want)
					if d := floats.Distance(want, got.RawRowView(i), math.Inf(1)); d > 1e-9*scale {
						t.Errorf("n = %d, m = %d, t = %v, %s: off by %.2g of %.2g", n, m, tm, name, d, scale)
					}
					floats.Add(want, prior.RawRowView(i))
					if d := floats.Distance(want, sum.RawRowView(i), math.Inf(1)); d > 1e-9*(scale+maxAbs(want)) {
						t.Errorf("n = %d, m = %d, t = %v, %s: the sum is off by %.2g", n, m, tm, name, d)
					}
					if name == "MMPS" {
						if d := math.Abs(logp[i] - wantLog); d > 1e-9*math.Abs(wantLog) {
							t.Errorf("n = %d, m = %d, t = %v, %s: log p(y|x) is %v, want %v", n, m, tm, name, logp[i], wantLog)
						}
					} else if d := math.Abs(logp[i] - logp[0] - wantLog + logp0); name == "exact" && d > 1e-8*math.Abs(wantLog) {
						t.Errorf("n = %d, m = %d, t = %v, %s: log p(y|x) differs by %v", n, m, tm, name, d)
					}
				}
			}
		}
	}
}

// TMPD is exact for one datum, and for a diagonal A C Aᵀ.
func TestTMPDExact(t *testing.T) {
	p := newGaussianProblem(t, 3, 7, 1)
	g, err := NewTMPD(p.score, p.lik)
	check(t, err)
	x, got := gaussianMatrix(rand.New(src(2)), 4, 7), mat.NewDense(4, 7, nil)
	for _, tm := range []float64{.05, .4, 1} {
		g.Score(got, x, tm)
		for i := range 4 {
			want, _ := p.want(x.RawRowView(i), tm)
			if d := floats.Distance(want, got.RawRowView(i), math.Inf(1)); d > 1e-9*maxAbs(want) {
				t.Errorf("t = %v: off by %.2g of %.2g", tm, d, maxAbs(want))
			}
		}
	}

	sd := []float64{.5, 2, 1}
	diagonal, err := prior.NewMixture(nil, mat.NewDense(1, 3, []float64{1, 2, 3}), []mat.Symmetric{mat.NewDiagDense(3, []float64{.25, 4, 1})}, nil)
	check(t, err)
	score, err := Diffuse(diagonal, NewVP(.1, 20))
	check(t, err)
	id, err := forward.NewIdentity(3)
	check(t, err)
	lik, err := likelihood.NewGaussianDiag(id, []float64{1, -1, 0}, sd)
	check(t, err)
	tmpd, err := NewTMPD(score, lik)
	check(t, err)
	exact, err := NewExact(score, lik)
	check(t, err)
	compareScores(t, tmpd, exact, gaussianMatrix(rand.New(src(2)), 5, 3), 1e-9)
}

// PiGDM is exact for the prior N(mu, vI), by either way of solving; Flat is
// the limit of a wide prior.
func TestIsotropicGuidances(t *testing.T) {
	r := rand.New(src(4))
	const n, m, v = 6, 4, 2.5
	dense, err := forward.NewDense(gaussianMatrix(r, m, n))
	check(t, err)
	y := []float64{1, 2, -1, .5}
	white, err := likelihood.NewGaussian(dense, y, .3)
	check(t, err)
	correlated := newGaussianProblem(t, 5, n, m).lik
	for name, lik := range map[string]*likelihood.Gaussian{"spectral": white, "correlated": correlated} {
		for _, wide := range []bool{false, true} {
			variance := v
			if wide {
				variance = 1e9
			}
			pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, n, []float64{1, 0, 2, 0, -1, 0}), []float64{math.Sqrt(variance)}, nil)
			check(t, err)
			score, err := Diffuse(pri, NewVP(.1, 20))
			check(t, err)
			exact, err := NewExact(score, lik)
			check(t, err)
			var g Guidance
			if wide {
				g, err = NewFlat(score, lik)
			} else {
				var pi *PiGDM
				pi, err = NewPiGDM(score, lik)
				pi.Variance = v
				g = pi
			}
			check(t, err)
			tol := 1e-9
			if wide {
				tol = 1e-3 // σ²/α² is at most 2·10⁴
			}
			t.Run(fmt.Sprintf("%s/wide=%v", name, wide), func(t *testing.T) {
				compareScores(t, g, exact, gaussianMatrix(r, 5, n), tol)
			})
		}
	}
}

func compareScores(t *testing.T, g, want inverse.ScoreFunc, x *mat.Dense, tol float64) {
	t.Helper()
	r, n := x.Dims()
	a, b := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	for _, tm := range []float64{.02, .1, .3, .6, 1} {
		g.Score(a, x, tm)
		want.Score(b, x, tm)
		scale := mat.Norm(b, math.Inf(1))
		a.Sub(a, b)
		if d := mat.Norm(a, math.Inf(1)); !(d <= tol*scale) {
			t.Errorf("t = %v: off by %.3g of %.3g", tm, d, scale)
		}
	}
}

// For a mixture, the exact guidance is the gradient of
// log Σ r_k(x_t) N(y; A m_k, A C_k Aᵀ + Σ), here by central differences.
func TestExactMixture(t *testing.T) {
	r := rand.New(src(6))
	const n, m = 3, 2
	means := gaussianMatrix(r, 4, n)
	covs := make([]mat.Symmetric, 4)
	for k := range covs {
		c := new(mat.SymDense)
		c.SymOuterK(.3, gaussianMatrix(r, n, n))
		for i := range n {
			c.SetSym(i, i, c.At(i, i)+.1)
		}
		covs[k] = c
	}
	weights := []float64{.1, .2, .3, .4}
	pri, err := prior.NewMixture(weights, means, covs, nil)
	check(t, err)
	p := newGaussianProblem(t, 8, n, m) // its operator and noise
	score, err := Diffuse(pri, p.score.Schedule())
	check(t, err)
	exact, err := NewExact(score, p.lik)
	check(t, err)
	x, got := gaussianMatrix(r, 3, n), mat.NewDense(3, n, nil)
	for _, tm := range []float64{.1, .4, .9} {
		logp := func(x []float64) float64 {
			logr, logs := make([]float64, 4), make([]float64, 4)
			alpha, sigma := score.Schedule().At(tm)
			for k := range 4 {
				c := *p
				c.mu, c.s = means.RawRowView(k), covs[k].(*mat.SymDense)
				_, l := c.want(x, tm)
				one, err := prior.NewGaussian(c.mu, c.s, nil)
				check(t, err)
				d := make([]float64, 1)
				one.DiffusedLogProb(d, mat.NewDense(1, n, x), alpha, sigma)
				logr[k] = math.Log(weights[k]) + d[0]
				logs[k] = logr[k] + l
			}
			return floats.LogSumExp(logs) - floats.LogSumExp(logr)
		}
		exact.Score(got, x, tm)
		for i := range 3 {
			compareGradient(t, fmt.Sprintf("t = %v", tm), got.RawRowView(i), x.RawRowView(i), logp, 1e-6)
		}
	}
}

func compareGradient(t *testing.T, what string, got, x []float64, f func([]float64) float64, tol float64) {
	t.Helper()
	at := append([]float64(nil), x...)
	for j := range x {
		const h = 1e-4
		at[j] = x[j] + h
		plus := f(at)
		at[j] = x[j] - h
		minus := f(at)
		at[j] = x[j] + 2*h
		plus2 := f(at)
		at[j] = x[j] - 2*h
		minus2 := f(at)
		at[j] = x[j]
		want := (8*(plus-minus) - (plus2 - minus2)) / (12 * h)
		if math.Abs(got[j]-want) > tol*(1+math.Abs(want)) {
			t.Errorf("%s: derivative %d is %v, by differences %v", what, j, got[j], want)
		}
	}
}

// The guidances that freeze nothing but the covariance are gradients of the
// log p(y|x_t) that they report, for a mixture and, DPS, a nonlinear operator.
func TestTwistGradients(t *testing.T) {
	r := rand.New(src(9))
	pri, err := prior.NewIsotropicMixture([]float64{1, 2}, gaussianMatrix(r, 2, 3), []float64{.5, .8}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	p := newGaussianProblem(t, 10, 3, 2)
	square, err := forward.NewFunc(2, 3, func(dst, x []float64) { dst[0], dst[1] = x[0]*x[1], x[2]*x[2] }, nil)
	check(t, err)
	nonlinear, err := likelihood.NewGaussian(square, []float64{1, .5}, .4)
	check(t, err)
	guides := map[string]Guidance{}
	guides["DPS"], err = NewDPS(score, p.lik)
	check(t, err)
	guides["DPS, nonlinear"], err = NewDPS(score, nonlinear)
	check(t, err)
	guides["PiGDM"], err = NewPiGDM(score, p.lik)
	check(t, err)
	guides["Flat"], err = NewFlat(score, p.lik)
	check(t, err)
	guides["Exact"], err = NewExact(score, p.lik)
	check(t, err)
	for name, g := range guides {
		for _, tm := range []float64{.1, .4, .9} {
			x := gaussianMatrix(r, 1, 3)
			got := mat.NewDense(1, 3, nil)
			g.Score(got, x, tm)
			compareGradient(t, fmt.Sprintf("%s at %v", name, tm), got.RawRowView(0), x.RawRowView(0), func(at []float64) float64 {
				logp := make([]float64, 1)
				g.twist(mat.NewDense(1, 3, nil), logp, mat.NewDense(1, 3, at), tm, newPoint(score))
				return logp[0]
			}, 1e-6)
		}
	}
}

// hidden hides everything of a score but its being one.
type hidden struct{ s inverse.ScoreFunc }

func (h hidden) Dim() int                           { return h.s.Dim() }
func (h hidden) Score(dst, x *mat.Dense, t float64) { h.s.Score(dst, x, t) }

// A user's score without a derivative gives the same guidance by differences.
func TestDirectionalDifferences(t *testing.T) {
	p := newGaussianProblem(t, 11, 6, 3)
	plain, err := NewScore(hidden{p.score}, p.score.Schedule())
	check(t, err)
	exact, err := NewExact(p.score, p.lik)
	check(t, err)
	g, err := NewMMPS(plain, p.lik)
	check(t, err)
	x := gaussianMatrix(rand.New(src(3)), 5, 6)
	// An error of 10⁻¹⁰ in the Hessian is one of 10⁻¹⁰/α² in C, and α = 0.0066 at t = 1.
	compareScores(t, g, exact, x, 1e-5)

	same, err := NewScore(p.score, p.score.Schedule())
	check(t, err)
	d, want := mat.NewDense(5, 6, nil), mat.NewDense(5, 6, nil)
	for _, s := range []Score{plain, same} {
		s.Denoise(d, x, .5)
		p.score.Denoise(want, x, .5)
		if !mat.EqualApprox(d, want, 1e-12) {
			t.Errorf("%T: the denoised mean is off", s)
		}
	}
	zero := plain.LinearizeScore()
	zero.Score(d, x, .5)
	if zero.VJP(d, mat.NewDense(5, 6, nil)); mat.Norm(d, 1) != 0 {
		t.Error("the product with zero is not zero")
	}
}

// counting counts evaluations.
type counting struct {
	*Diffused
	scores, vjps int
}

func (c *counting) Score(dst, x *mat.Dense, t float64) { c.scores++; c.Diffused.Score(dst, x, t) }
func (c *counting) LinearizeScore() inverse.ScoreLinearization {
	return &countingAt{c, c.Diffused.LinearizeScore()}
}

type countingAt struct {
	c *counting
	l inverse.ScoreLinearization
}

func (c *countingAt) Score(dst, x *mat.Dense, t float64) { c.c.scores++; c.l.Score(dst, x, t) }
func (c *countingAt) VJP(dst, v *mat.Dense)              { c.c.vjps++; c.l.VJP(dst, v) }

// A step of DPS or PiGDM, and one of MMPS with one datum, costs one forward
// and one backward pass, prior included.
func TestNothingTwice(t *testing.T) {
	p := newBimodal(t)
	score := &counting{Diffused: p.score}
	guides := map[string]Guidance{}
	var err error
	guides["DPS"], err = NewDPS(score, p.lik)
	check(t, err)
	guides["PiGDM"], err = NewPiGDM(score, p.lik)
	check(t, err)
	guides["MMPS"], err = NewMMPS(score, p.lik)
	check(t, err)
	x, dst := mat.NewDense(4, 1, nil), mat.NewDense(4, 1, nil)
	for name, g := range guides {
		score.scores, score.vjps = 0, 0
		sumOf(t, score, g).Score(dst, x, .5)
		if score.scores != 1 || score.vjps != 1 {
			t.Errorf("%s: %d evaluations and %d products, want 1 and 1", name, score.scores, score.vjps)
		}
	}
}

func TestGuidanceDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector empties pools")
	}
	r := rand.New(src(12))
	means := gaussianMatrix(r, 5, 8)
	pri, err := prior.NewIsotropicMixture(nil, means, []float64{.3}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	op, err := forward.NewDense(gaussianMatrix(r, 3, 8))
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{1, 2, 3}, .5)
	check(t, err)
	x, dst := gaussianMatrix(r, 64, 8), mat.NewDense(64, 8, nil)
	for name, g := range allGuidances(t, score, lik) {
		s := sumOf(t, score, g)
		s.Score(dst, x, .3)
		if n := testing.AllocsPerRun(20, func() { s.Score(dst, x, .3) }); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func allGuidances(t testing.TB, score *Diffused, lik *likelihood.Gaussian) map[string]Guidance {
	t.Helper()
	exact, err := NewExact(score, lik)
	check(t, err)
	flat, err := NewFlat(score, lik)
	check(t, err)
	dps, err := NewDPS(score, lik)
	check(t, err)
	pigdm, err := NewPiGDM(score, lik)
	check(t, err)
	tmpd, err := NewTMPD(score, lik)
	check(t, err)
	mmps, err := NewMMPS(score, lik)
	check(t, err)
	cg, err := NewMMPS(score, lik)
	check(t, err)
	cg.MaxIter = 2
	return map[string]Guidance{"Exact": exact, "Flat": flat, "DPS": dps, "PiGDM": pigdm, "TMPD": tmpd, "MMPS": mmps, "MMPS by CG": cg}
}

func TestGuidanceConcurrent(t *testing.T) {
	p := newGaussianProblem(t, 13, 5, 3)
	white, err := likelihood.NewGaussian(p.lik.Operator(), p.lik.Data(), .7)
	check(t, err)
	x, want := gaussianMatrix(rand.New(src(1)), 9, 5), mat.NewDense(9, 5, nil)
	for name, g := range allGuidances(t, p.score, white) {
		s := sumOf(t, p.score, g)
		s.Score(want, x, .3)
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				got := mat.NewDense(9, 5, nil)
				for range 5 {
					if s.Score(got, x, .3); !mat.Equal(got, want) {
						t.Errorf("%s: not the same score", name)
					}
				}
			}()
		}
		wg.Wait()
	}
}

// A learned score's Jacobian may be anything: the guidance stays finite and
// the system is solved for the raised diagonal.
func TestSolveShifted(t *testing.T) {
	gram := []float64{-5, 3, 3, -5}
	w, r := make([]float64, 2), []float64{1, 2}
	logDet := solveShifted(w, gram, r, 2)
	// The diagonal of I + M is raised to max(-4, 1) + 3.
	if want := math.Log(16 - 9); math.Abs(logDet-want) > 1e-12 {
		t.Errorf("log determinant %v, want %v", logDet, want)
	}
	if math.Abs(4*w[0]+3*w[1]-1) > 1e-12 || math.Abs(3*w[0]+4*w[1]-2) > 1e-12 {
		t.Errorf("w = %v", w)
	}
}

func TestGuidanceErrors(t *testing.T) {
	p := newGaussianProblem(t, 14, 3, 2)
	square, err := forward.NewFunc(2, 3, func(dst, x []float64) { dst[0], dst[1] = x[0]*x[1], x[2]*x[2] }, nil)
	check(t, err)
	nonlinear, err := likelihood.NewGaussian(square, []float64{1, .5}, .4)
	check(t, err)
	other := newGaussianProblem(t, 15, 4, 2)
	field, err := prior.NewGMRF1D(3, nil)
	check(t, err)
	smooth, err := Diffuse(field, NewVP(.1, 20))
	check(t, err)
	blind, err := likelihood.NewGaussian(onlyApply{p.a}, p.lik.Data(), 1)
	check(t, err)
	for _, c := range []struct {
		err  func() error
		want string
	}{
		{func() error { _, err := NewTMPD(p.score, nonlinear); return err }, "inverse.Linear"},
		{func() error { _, err := NewMMPS(p.score, blind); return err }, "no derivative"},
		{func() error { _, err := NewPiGDM(p.score, nonlinear); return err }, "DPS"},
		{func() error { _, err := NewMMPS(p.score, other.lik); return err }, "dimension 3"},
		{func() error { _, err := NewDPS(p.score, other.lik); return err }, "dimension 3"},
		{func() error { _, err := NewMMPS(nil, p.lik); return err }, "score is nil"},
		{func() error { _, err := NewMMPS(p.score, nil); return err }, "likelihood is nil"},
		{func() error { _, err := NewDPS(p.score, nil); return err }, "likelihood is nil"},
		{func() error { _, err := NewDPS(p.score, blind); return err }, "no derivative"},
		{func() error { _, err := NewTMPD(p.score, p.lik); return err }, "correlated"},
		{func() error { _, err := NewExact(smooth, p.lik); return err }, "GMRF"},
		{func() error { _, err := NewExact(nil, p.lik); return err }, "nil"},
		{func() error { _, err := Diffuse(nil, NewVP(.1, 20)); return err }, "prior is nil"},
		{func() error { _, err := Diffuse(p.prior, nil); return err }, "schedule is nil"},
		{func() error { _, err := NewScore(nil, NewVP(.1, 20)); return err }, "score is nil"},
		{func() error { _, err := NewScore(p.score, NewVP(0, 0)); return err }, "schedule"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// onlyApply is an operator without a derivative.
type onlyApply struct{ a *mat.Dense }

func (o onlyApply) Dims() (m, n int)        { return o.a.Dims() }
func (o onlyApply) Apply(dst, x *mat.Dense) { dst.Mul(x, o.a.T()) }
