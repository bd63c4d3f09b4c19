package diffusion_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

// balance is a Gaussian of eight values with correlations of up to 0.7, the
// variances rising from 0.3 to 1.7, whose sum and first moment are known.
type balance struct {
	pri *prior.Gaussian
	c   *mat.Dense
	b   []float64
	// The conditional distribution.
	mean, sd []float64
}

func newBalance(t *testing.T) *balance {
	t.Helper()
	const n = 8
	mean, cov := make([]float64, n), mat.NewSymDense(n, nil)
	c := mat.NewDense(2, n, nil)
	sd := func(i int) float64 { return math.Sqrt(0.3 + 0.2*float64(i)) }
	for i := range n {
		mean[i] = 0.5 - 0.1*float64(i)
		for j := i; j < n; j++ {
			cov.SetSym(i, j, sd(i)*sd(j)*math.Exp(-float64(j-i)*0.35))
		}
		c.Set(0, i, 1)
		c.Set(1, i, float64(i))
	}
	b := []float64{3, 6}
	pri, err := prior.NewGaussian(mean, cov, nil)
	if err != nil {
		t.Fatal(err)
	}
	// S - S Cᵀ (C S Cᵀ)⁻¹ C S
	var sct, csct, inv, gain, less mat.Dense
	sct.Mul(cov, c.T())
	csct.Mul(c, &sct)
	if err := inv.Inverse(&csct); err != nil {
		t.Fatal(err)
	}
	gain.Mul(&sct, &inv)
	less.Mul(&gain, sct.T())
	q := &balance{pri: pri, c: c, b: b, mean: make([]float64, n), sd: make([]float64, n)}
	var r, m mat.VecDense
	r.MulVec(c, mat.NewVecDense(n, mean))
	r.SubVec(mat.NewVecDense(2, b), &r)
	m.MulVec(&gain, &r)
	for i := range n {
		q.mean[i] = mean[i] + m.AtVec(i)
		q.sd[i] = math.Sqrt(cov.At(i, i) - less.At(i, i))
	}
	return q
}

func (q *balance) score(t *testing.T, covariance bool) *diffusion.Constrained {
	t.Helper()
	score, err := diffusion.Diffuse(q.pri, diffusion.NewVP(0.1, 20))
	if err != nil {
		t.Fatal(err)
	}
	s, err := diffusion.Constrain(score, q.c, q.b, &diffusion.ConstrainOptions{Covariance: covariance})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leaves returns how far draws are from the constraint.
func (q *balance) leaves(draws *mat.Dense) float64 {
	var r mat.Dense
	r.Mul(draws, q.c.T())
	rows, _ := r.Dims()
	var worst float64
	for i := range rows {
		for j, b := range q.b {
			worst = max(worst, math.Abs(r.At(i, j)-b))
		}
	}
	return worst
}

// The score with the conditional covariance is that of the conditional
// Gaussian, which is singular: it is the limit of likelihoods of ever less
// noise.
func TestConstrainedScoreIsTheLimit(t *testing.T) {
	q := newBalance(t)
	s := q.score(t, true)
	x, got, want := mat.NewDense(5, 8, nil), mat.NewDense(5, 8, nil), mat.NewDense(5, 8, nil)
	rng.FillNormal(x.RawMatrix().Data, rng.New(1, 0))
	const noise = 1e-5
	post, _, err := q.pri.Condition(q.c, q.b, mat.NewDiagDense(2, []float64{noise * noise, noise * noise}))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []float64{0.02, 0.2, 0.5, 1} {
		alpha, sigma := s.Schedule().At(at)
		post.Denoise(want, x, alpha, sigma)
		s.Denoise(got, x, at)
		var d mat.Dense
		d.Sub(got, want)
		if e := mat.Norm(&d, math.Inf(1)); e > 1e-6 {
			t.Errorf("t = %g: the denoised mean differs by %g", at, e)
		}
		// Score and Denoise agree, by Tweedie's formula.
		s.Score(want, x, at)
		for i := range 5 {
			for j := range 8 {
				if e := (x.At(i, j)+sigma*sigma*want.At(i, j))/alpha - got.At(i, j); math.Abs(e) > 1e-9/alpha {
					t.Fatalf("t = %g: Score and Denoise differ by %g", at, e)
				}
			}
		}
	}
}

// The derivative against central differences of the score, in both metrics.
func TestConstrainedVJP(t *testing.T) {
	q := newBalance(t)
	for _, covariance := range []bool{false, true} {
		s := q.score(t, covariance)
		lin := s.LinearizeScore()
		const r, n, h = 3, 8, 1e-5
		x, u, v := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
		for k, m := range []*mat.Dense{x, u, v} {
			rng.FillNormal(m.RawMatrix().Data, rng.New(2, uint64(k)))
		}
		up, down, jtv, at := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil), mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
		for _, time := range []float64{0.1, 0.6} {
			at.Scale(h, u)
			at.Add(x, at)
			s.Score(up, at, time)
			at.Scale(-h, u)
			at.Add(x, at)
			s.Score(down, at, time)
			lin.Score(at, x, time)
			lin.VJP(jtv, v)
			for i := range r {
				ju := 0.0
				for j := range n {
					ju += v.At(i, j) * (up.At(i, j) - down.At(i, j)) / (2 * h)
				}
				if w := floats.Dot(u.RawRowView(i), jtv.RawRowView(i)); math.Abs(w-ju) > 1e-6*math.Max(1, math.Abs(ju)) {
					t.Errorf("covariance %v, t = %g: <v, Ju> %g, <Jᵀv, u> %g", covariance, time, ju, w)
				}
			}
		}
	}
}

// How far the draws are from the conditional distribution, and from the
// constraint, with each solver.
func TestConstrainedBias(t *testing.T) {
	if testing.Short() {
		t.Skip("24,000 draws take minutes under the race detector")
	}
	ctx := context.Background()
	q := newBalance(t)
	const rows = 4000
	for _, c := range []struct {
		name       string
		solver     diffusion.Solver
		covariance bool
		polish     bool
		steps      int
		mean, sd   float64 // the largest errors allowed, in standard deviations and relative
	}{
		{"DPM-Solver, projection", diffusion.DPMSolver{}, false, false, 50, 0.2, 0.2},
		{"DPM-Solver, covariance", diffusion.DPMSolver{}, true, false, 50, 0.05, 0.05},
		{"Heun, covariance", diffusion.Heun{}, true, false, 50, 0.05, 0.05},
		{"ancestral, covariance", diffusion.DDIM{Eta: 1}, true, false, 400, 0.05, 0.05},
		{"Euler-Maruyama, covariance, polished", diffusion.EulerMaruyama{}, true, true, 100, 0.05, 0.05},
		{"probability flow, covariance, polished", diffusion.ProbabilityFlow{Heun: true}, true, true, 50, 0.05, 0.05},
	} {
		reverse := &diffusion.Reverse{Score: q.score(t, c.covariance), Solver: c.solver, Steps: c.steps, Src: rng.New(3, 0)}
		var s inverse.Sampler = reverse
		if c.polish {
			var err error
			if s, err = posterior.Constrain(reverse, q.c, q.b, nil); err != nil {
				t.Fatal(err)
			}
		}
		draws := mat.NewDense(rows, 8, nil)
		if err := s.Sample(ctx, draws); err != nil {
			t.Fatal(err)
		}
		var meanError, sdError float64
		for j := range 8 {
			m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
			meanError = max(meanError, math.Abs(m-q.mean[j])/q.sd[j])
			sdError = max(sdError, math.Abs(sd/q.sd[j]-1))
		}
		left := q.leaves(draws)
		t.Logf("%s: mean off by %.3f sd, sd by %.1f %%, constraint kept to %.1g", c.name, meanError, 100*sdError, left)
		if left > 1e-6 {
			t.Errorf("%s: the constraint is kept to %g, want 1e-6", c.name, left)
		}
		if meanError > c.mean || sdError > c.sd {
			t.Errorf("%s: mean off by %g sd, sd by %g, want %g and %g", c.name, meanError, sdError, c.mean, c.sd)
		}
	}
}

// A posterior by guidance, under the equations, against the closed form.
func TestConstrainedPosterior(t *testing.T) {
	q := newBalance(t)
	a := mat.NewDense(3, 8, nil)
	rng.FillNormal(a.RawMatrix().Data, rng.New(4, 0))
	op, err := forward.NewDense(a)
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{1, -1, 0.5}, 0.4)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := posterior.NewGaussian(q.pri, lik)
	if err != nil {
		t.Fatal(err)
	}
	hard, err := posterior.Constrain(exact, q.c, q.b, nil)
	if err != nil {
		t.Fatal(err)
	}
	mean, err := hard.Mean(nil)
	if err != nil {
		t.Fatal(err)
	}
	variance, err := hard.Variance(nil)
	if err != nil {
		t.Fatal(err)
	}

	vp := diffusion.NewVP(0.1, 20)
	score, err := diffusion.Diffuse(q.pri, vp)
	if err != nil {
		t.Fatal(err)
	}
	guide, err := diffusion.NewMMPS(score, lik)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := posterior.Sum(score, guide)
	if err != nil {
		t.Fatal(err)
	}
	both, err := diffusion.NewScore(sum, vp)
	if err != nil {
		t.Fatal(err)
	}
	s, err := diffusion.Constrain(both, q.c, q.b, &diffusion.ConstrainOptions{Covariance: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := 2000
	if testing.Short() {
		rows = 300
	}
	draws := mat.NewDense(rows, 8, nil)
	if err := (&diffusion.Reverse{Score: s, Solver: diffusion.Heun{}, Steps: 40, Src: rng.New(5, 0)}).Sample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	if left := q.leaves(draws); left > 1e-6 {
		t.Errorf("the constraint is kept to %g", left)
	}
	for j := range 8 {
		m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
		want := math.Sqrt(variance[j])
		// Four standard errors, and what 40 steps leave.
		se := 1 / math.Sqrt(float64(rows))
		if math.Abs(m-mean[j]) > (0.01+4*se)*want || math.Abs(sd/want-1) > 0.017+4*se/math.Sqrt2 {
			t.Errorf("x[%d]: %.3f ± %.3f, closed form %.3f ± %.3f", j, m, sd, mean[j], want)
		}
	}
}

func TestConstrainOfBadInput(t *testing.T) {
	q := newBalance(t)
	score, err := diffusion.Diffuse(q.pri, diffusion.NewVP(0.1, 20))
	if err != nil {
		t.Fatal(err)
	}
	twice := mat.NewDense(2, 8, nil)
	twice.SetRow(0, q.c.RawRowView(0))
	twice.SetRow(1, q.c.RawRowView(0))
	for _, bad := range []struct {
		score diffusion.Score
		c     mat.Matrix
		b     []float64
		want  string
	}{
		{nil, q.c, q.b, "score is nil"},
		{score, nil, q.b, "c is nil"},
		{score, mat.NewDense(1, 3, nil), q.b, "c is 1×3, want 8 columns"},
		{score, q.c, q.b[:1], "b has length 1"},
		{score, q.c, []float64{math.NaN(), 1}, "right-hand side NaN"},
		{score, mat.NewDense(1, 8, nil), q.b[:1], "row of norm 0"},
		{score, twice, q.b, "not independent"},
	} {
		if _, err := diffusion.Constrain(bad.score, bad.c, bad.b, nil); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("error %v, want %q", err, bad.want)
		}
	}
}
