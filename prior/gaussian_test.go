package prior

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// gaussians returns the same density by its covariance, precision and
// Cholesky factor, and one with a diagonal covariance by both.
func gaussians(t *testing.T, n int) (full, diagonal map[string]*Gaussian, mean []float64, cov *mat.SymDense, variances *mat.DiagDense) {
	t.Helper()
	mean = make([]float64, n)
	variances = mat.NewDiagDense(n, nil)
	inverse := mat.NewDiagDense(n, nil)
	for i := range mean {
		mean[i] = float64(i) - 1.5
		variances.SetDiag(i, 0.5+float64(i))
		inverse.SetDiag(i, 1/(0.5+float64(i)))
	}
	cov = randomCovariance(n, 1)
	var chol mat.Cholesky
	chol.Factorize(cov)
	var prec mat.SymDense
	if err := chol.InverseTo(&prec); err != nil {
		t.Fatal(err)
	}
	must := func(g *Gaussian, err error) *Gaussian {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	full = map[string]*Gaussian{
		"covariance": must(NewGaussian(mean, cov, nil)),
		"precision":  must(NewGaussianPrecision(mean, &prec, nil)),
		"factor":     must(NewGaussianChol(mean, &chol, nil)),
	}
	diagonal = map[string]*Gaussian{
		"covariance": must(NewGaussian(mean, variances, nil)),
		"precision":  must(NewGaussianPrecision(mean, inverse, nil)),
	}
	return full, diagonal, mean, cov, variances
}

func TestGaussianAgreesWithGonum(t *testing.T) {
	const n = 4
	full, diagonal, mean, cov, variances := gaussians(t, n)
	x := []float64{0.3, -2, 1.1, 0.7}
	compare := func(gs map[string]*Gaussian, cov mat.Symmetric) {
		want, ok := distmv.NewNormal(mean, cov, nil)
		if !ok {
			t.Fatal("gonum's covariance")
		}
		logDet, _ := mat.LogDet(cov)
		for name, g := range gs {
			if got, want := g.LogProb(x), want.LogProb(x); !closeTo(got, want, 1e-12) {
				t.Errorf("%s: LogProb %v, gonum %v", name, got, want)
			}
			if i := differ(want.ScoreInput(nil, x), g.ScoreInput(nil, x), 1e-11); i >= 0 {
				t.Errorf("%s: score %v, gonum %v", name, g.ScoreInput(nil, x), want.ScoreInput(nil, x))
			}
			if !closeTo(g.LogDet(), logDet, 1e-12) {
				t.Errorf("%s: LogDet %v, want %v", name, g.LogDet(), logDet)
			}
			var s mat.SymDense
			g.CovarianceMatrix(&s)
			if !mat.EqualApprox(&s, cov, 1e-12) {
				t.Errorf("%s: covariance\n%v, want\n%v", name, mat.Formatted(&s), mat.Formatted(cov))
			}
			for i, v := range g.Variance(nil) {
				if !closeTo(v, cov.At(i, i), 1e-12) {
					t.Errorf("%s: variance[%d] %v, want %v", name, i, v, cov.At(i, i))
				}
			}
			b := randomDense(3, n, 2)
			var sb, back mat.Dense
			sb.Mul(b, cov)
			got := mat.NewDense(3, n, nil)
			if g.MulCovariance(got, b); !mat.EqualApprox(got, &sb, 1e-12) {
				t.Errorf("%s: MulCovariance", name)
			}
			back.CloneFrom(&sb)
			if g.MulPrecision(&back, &back); !mat.EqualApprox(&back, b, 1e-11) {
				t.Errorf("%s: MulPrecision", name)
			}
			testPrior(t, g, x)
			testCovariance(t, g, mean, cov)
		}
	}
	compare(full, cov)
	compare(diagonal, variances)
}

// The conjugate update against quadrature: the posterior mean, covariance and
// evidence of a density in two dimensions, with a prior mean that is not 0
// and more, as many, and fewer data than unknowns.
func TestGaussianConditionAgainstQuadrature(t *testing.T) {
	full, diagonal, _, _, _ := gaussians(t, 2)
	for _, g := range []*Gaussian{full["covariance"], full["precision"], diagonal["covariance"]} {
		for _, m := range []int{1, 2, 4} {
			a := randomDense(m, 2, 3)
			r := randomCovariance(m, 4)
			y := randomDense(1, m, 5).RawRowView(0)
			post, evidence, err := g.Condition(a, y, r)
			if err != nil {
				t.Fatal(err)
			}
			noise, err := NewGaussian(nil, r, nil)
			if err != nil {
				t.Fatal(err)
			}
			joint := func(x []float64) float64 {
				e := make([]float64, m)
				for i := range e {
					e[i] = y[i] - a.At(i, 0)*x[0] - a.At(i, 1)*x[1]
				}
				return g.LogProb(x) + noise.LogProb(e)
			}
			comparePosterior(t, post, evidence, joint)
		}
	}
}

// comparePosterior compares the mean, covariance and log evidence of post
// with sums over a grid, which converge exponentially for such a density.
func comparePosterior(t *testing.T, post *Gaussian, evidence float64, joint func(x []float64) float64) {
	t.Helper()
	const points, width = 161, 9.0
	centre, variance := post.Mean(nil), post.Variance(nil)
	var z, mean, second [3]float64
	h0, h1 := 2*width/(points-1)*math.Sqrt(variance[0]), 2*width/(points-1)*math.Sqrt(variance[1])
	for i := range points {
		for j := range points {
			d0, d1 := float64(i-points/2)*h0, float64(j-points/2)*h1
			p := math.Exp(joint([]float64{centre[0] + d0, centre[1] + d1})) * h0 * h1
			z[0] += p
			mean[0] += p * d0
			mean[1] += p * d1
			second[0] += p * d0 * d0
			second[1] += p * d0 * d1
			second[2] += p * d1 * d1
		}
	}
	if got := math.Log(z[0]); !closeTo(evidence, got, 1e-8) {
		t.Errorf("log evidence %v, by quadrature %v", evidence, got)
	}
	var s mat.SymDense
	post.CovarianceMatrix(&s)
	for i := range 2 {
		if !closeTo(mean[i]/z[0], 0, 1e-8) {
			t.Errorf("mean[%d] is off by %v", i, mean[i]/z[0])
		}
	}
	for i, want := range []float64{s.At(0, 0), s.At(0, 1), s.At(1, 1)} {
		if got := second[i] / z[0]; math.Abs(got-want) > 1e-8 {
			t.Errorf("covariance %v, by quadrature %v", want, got)
		}
	}
}

// The textbook formulas in both shapes, in higher dimension.
func TestGaussianConditionAgainstFormula(t *testing.T) {
	for _, dims := range [][2]int{{3, 7}, {7, 7}, {12, 5}} {
		m, n := dims[0], dims[1]
		full, _, mean, cov, _ := gaussians(t, n)
		a, r := randomDense(m, n, 6), randomCovariance(m, 7)
		y := randomDense(1, m, 8).RawRowView(0)
		var sa, s, gain, res, want, shrink mat.Dense
		sa.Mul(cov, a.T())
		s.Mul(a, &sa)
		s.Add(&s, r)
		if err := gain.Solve(&s, sa.T()); err != nil { // (A S Aᵀ + R)⁻¹A S
			t.Fatal(err)
		}
		res.Mul(a, mat.NewDense(n, 1, mean))
		res.Sub(mat.NewDense(m, 1, y), &res)
		want.Mul(gain.T(), &res)
		want.Add(&want, mat.NewDense(n, 1, mean))
		shrink.Mul(&sa, &gain)
		shrink.Sub(cov, &shrink)
		sym := mat.NewSymDense(m, nil)
		for i := range m {
			for j := i; j < m; j++ {
				sym.SetSym(i, j, s.At(i, j))
			}
		}
		marginal, _ := distmv.NewNormal(make([]float64, m), sym, nil)
		wantEvidence := marginal.LogProb(res.RawMatrix().Data)
		for name, g := range full {
			post, evidence, err := g.Condition(a, y, r)
			if err != nil {
				t.Fatal(err)
			}
			if !mat.EqualApprox(mat.NewDense(n, 1, post.Mean(nil)), &want, 1e-10) {
				t.Errorf("%d×%d, %s: mean", m, n, name)
			}
			var c mat.SymDense
			post.CovarianceMatrix(&c)
			if !mat.EqualApprox(&c, &shrink, 1e-10) {
				t.Errorf("%d×%d, %s: covariance", m, n, name)
			}
			if !closeTo(evidence, wantEvidence, 1e-10) {
				t.Errorf("%d×%d, %s: log evidence %v, want %v", m, n, name, evidence, wantEvidence)
			}
		}
	}
}

// Data that are 1e7 times more precise than the prior leave the right small
// variance where the textbook difference would leave rounding errors.
func TestGaussianConditionOnPreciseData(t *testing.T) {
	const tiny = 1e-14
	g, err := NewGaussian(nil, mat.NewDiagDense(2, []float64{1, 1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*mat.Dense{
		mat.NewDense(1, 2, []float64{1, 0}),
		mat.NewDense(2, 2, []float64{1, 0, 0, 1e-3}),
	} {
		m, _ := a.Dims()
		r := mat.NewDiagDense(m, nil)
		for i := range m {
			r.SetDiag(i, tiny)
		}
		post, _, err := g.Condition(a, make([]float64, m), r)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := post.Variance(nil)[0], tiny/(1+tiny); math.Abs(got/want-1) > 1e-8 {
			t.Errorf("m = %d: variance %v, want %v", m, got, want)
		}
	}
}

func TestGaussianErrors(t *testing.T) {
	eye := mat.NewDiagDense(2, []float64{1, 1})
	full := mat.NewSymDense(2, []float64{1, 0, 0, 1})
	good, err := NewGaussian(nil, full, nil)
	if err != nil {
		t.Fatal(err)
	}
	gaussian := func(mean []float64, cov mat.Symmetric) error {
		_, err := NewGaussian(mean, cov, nil)
		return err
	}
	condition := func(a mat.Matrix, y []float64, r mat.Symmetric) error {
		_, _, err := good.Condition(a, y, r)
		return err
	}
	nan := math.NaN()
	for _, c := range []struct {
		err  error
		want string
	}{
		{gaussian(nil, nil), "cov is nil"},
		{gaussian(nil, &mat.SymDense{}), "cov is empty"},
		{gaussian([]float64{1}, full), "mean has length 1, want 2"},
		{gaussian([]float64{1, nan}, full), "mean[1] is NaN"},
		{gaussian(nil, mat.NewSymDense(2, []float64{1, 2, 2, 1})), "cov (2×2) is not positive definite"},
		{gaussian(nil, mat.NewSymDense(2, []float64{1, nan, nan, 1})), "cov: element (0, 1) is NaN"},
		{gaussian(nil, mat.NewDiagDense(2, []float64{1, -1})), "element (1, 1) is -1"},
		{condition(mat.NewDense(1, 3, nil), []float64{1}, eye), "a is 1×3, want 2 columns"},
		{condition(nil, []float64{1}, eye), "a is nil"},
		{condition(eye, []float64{1}, eye), "y has length 1"},
		{condition(eye, []float64{1, nan}, eye), "y[1] is NaN"},
		{condition(mat.NewDense(1, 2, []float64{1, nan}), []float64{1}, mat.NewDiagDense(1, []float64{1})), "a: element (0, 1) is NaN"},
		{condition(eye, []float64{1, 2}, mat.NewDiagDense(2, []float64{1, 0})), "r is not positive definite"},
		{condition(eye, []float64{1, 2}, mat.NewDiagDense(1, []float64{1})), "r is 1×1"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, want %q", c.err, c.want)
		}
	}
	if _, err := NewGaussianPrecision(nil, mat.NewSymDense(1, []float64{-1}), nil); err == nil || !strings.Contains(err.Error(), "prec (1×1)") {
		t.Errorf("NewGaussianPrecision: %v", err)
	}
	if _, err := NewGaussianChol(nil, &mat.Cholesky{}, nil); err == nil || !strings.Contains(err.Error(), "chol is empty") {
		t.Errorf("NewGaussianChol: %v", err)
	}
}
