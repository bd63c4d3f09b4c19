package posterior

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

func TestGaussianAgainstTextbook(t *testing.T) {
	src := rng.New(11, 0)
	for _, d := range []struct{ m, n int }{{1, 1}, {1, 4}, {3, 7}, {7, 3}, {12, 12}} {
		p, a, y := randomProblem(t, d.m, d.n, src)
		cov := mat.NewSymDense(d.m, nil)
		for i := range d.m {
			cov.SetSym(i, i, .5+float64(i))
			if i > 0 {
				cov.SetSym(i, i-1, .3)
			}
		}
		lik, err := likelihood.NewGaussianCov(a, y, cov)
		if err != nil {
			t.Fatal(err)
		}
		ad := dense2(a)
		checkAgainst(t, fmt.Sprintf("%d×%d", d.m, d.n), p, lik, ad, y, cov)
	}
}

func TestSpectralAgainstTextbook(t *testing.T) {
	src := rng.New(12, 0)
	p, _, y := randomProblem(t, 9, 9, src)
	a := sameVectors{p, []float64{3, 0, 1, .5, 2, 1e-3, 4, 1, .1}}
	if err := forward.CheckAdjoint(a, src); err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(a, y, .3)
	if err != nil {
		t.Fatal(err)
	}
	cov := mat.NewDiagDense(9, nil)
	for i := range 9 {
		cov.SetDiag(i, .09)
	}
	if g, err := NewGaussian(p, lik); err != nil {
		t.Fatal(err)
	} else if _, ok := g.solver.(*spectral); !ok {
		t.Errorf("NewGaussian did not see the shared eigenvectors: %T", g.solver)
	}
	checkAgainst(t, "spectral", p, lik, dense2(a), y, cov)
}

func checkAgainst(t *testing.T, name string, p *eigenPrior, lik *likelihood.Gaussian, a mat.Matrix, y []float64, sigma mat.Matrix) {
	t.Helper()
	mean, cov, evidence := textbook(p, a, y, sigma)
	x := make([]float64, p.Dim())
	rng.FillNormal(x, rng.New(5, 5))
	exact, ok := distmv.NewNormal(mean.RawVector().Data, symmetric(cov), nil)
	if !ok {
		t.Fatal("posterior covariance is not positive definite")
	}
	for route, g := range solvers(t, p, lik) {
		name := name + " " + route
		tol := 1e-8
		if route == "iterative" {
			tol = 10 * meanTol
		}
		for i, m := range g.Mean(nil) {
			near(t, fmt.Sprintf("%s mean[%d]", name, i), m, mean.AtVec(i), tol)
		}
		want := exact.ScoreInput(nil, x)
		for i, s := range g.ScoreInput(nil, x) {
			near(t, fmt.Sprintf("%s score[%d]", name, i), s, want[i], 100*tol)
		}
		if route == "iterative" {
			if _, err := g.Variance(nil); !errors.Is(err, ErrIntractable) {
				t.Errorf("%s: Variance: %v", name, err)
			}
			if _, err := g.LogEvidence(); !errors.Is(err, ErrIntractable) {
				t.Errorf("%s: LogEvidence: %v", name, err)
			}
			near(t, name+" difference of LogProb", g.LogProb(x)-g.LogProb(p.mu), exact.LogProb(x)-exact.LogProb(p.mu), 100*tol)
			continue
		}
		near(t, name+" LogProb", g.LogProb(x), exact.LogProb(x), 1e-8)
		variance, err := g.Variance(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range variance {
			near(t, fmt.Sprintf("%s variance[%d]", name, i), v, cov.At(i, i), 1e-8)
		}
		got, err := g.LogEvidence()
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+" log evidence", got, evidence, 1e-8)
	}
}

func symmetric(a *mat.Dense) *mat.SymDense {
	n, _ := a.Dims()
	s := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			s.SetSym(i, j, (a.At(i, j)+a.At(j, i))/2)
		}
	}
	return s
}

// The posterior by Bayes' rule and quadrature alone, in one and two
// dimensions.
func TestGaussianAgainstQuadrature(t *testing.T) {
	one, a1, _ := randomProblem(t, 2, 1, rng.New(13, 0))
	lik, err := likelihood.NewGaussian(a1, []float64{.4, -1}, .7)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGaussian(one, lik)
	if err != nil {
		t.Fatal(err)
	}
	integral := func(f func(x float64) float64) float64 {
		return quad.Fixed(func(x float64) float64 {
			return f(x) * math.Exp(one.LogProb([]float64{x})+lik.LogProb([]float64{x}))
		}, -12, 12, 2000, nil, 0)
	}
	z := integral(func(float64) float64 { return 1 })
	mean := integral(func(x float64) float64 { return x }) / z
	variance := integral(func(x float64) float64 { return (x - mean) * (x - mean) }) / z
	near(t, "mean", g.Mean(nil)[0], mean, 1e-8)
	v, _ := g.Variance(nil)
	near(t, "variance", v[0], variance, 1e-8)
	ev, _ := g.LogEvidence()
	near(t, "log evidence", ev, math.Log(z), 1e-8)

	two, a2, y := randomProblem(t, 1, 2, rng.New(14, 0))
	lik, err = likelihood.NewGaussian(a2, y, .5)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = NewGaussian(two, lik); err != nil {
		t.Fatal(err)
	}
	z, m, c := moments(func(x []float64) float64 { return two.LogProb(x) + lik.LogProb(x) })
	near(t, "mean[0]", g.Mean(nil)[0], m[0], 1e-8)
	near(t, "mean[1]", g.Mean(nil)[1], m[1], 1e-8)
	v, _ = g.Variance(nil)
	near(t, "variance[1]", v[1], c.At(1, 1), 1e-8)
	ev, _ = g.LogEvidence()
	near(t, "log evidence in two dimensions", ev, math.Log(z), 1e-8)
}

// Draws of every route have the exact mean and covariance, at n = 64, within
// 4 Monte Carlo standard errors.
func TestDraws(t *testing.T) {
	const n = 64
	draws := 4000
	if testing.Short() {
		draws = 1000
	}
	p, _, y := randomProblem(t, n, n, rng.New(15, 0))
	s := make([]float64, n)
	for i := range s {
		s[i] = 8 / float64(i+1)
	}
	a := sameVectors{p, s}
	lik, err := likelihood.NewGaussian(a, y, .5)
	if err != nil {
		t.Fatal(err)
	}
	sigma := mat.NewDiagDense(n, nil)
	for i := range n {
		sigma.SetDiag(i, .25)
	}
	mean, cov, _ := textbook(p, dense2(a), y, sigma)
	for route, g := range solvers(t, p, lik) {
		g.Src = rng.New(16, 0)
		x := mat.NewDense(draws, n, nil)
		if err := g.Sample(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		checkMoments(t, route, x, mean.RawVector().Data, cov)
	}
}

// checkMoments holds the means and variances of the rows of x to 4 standard
// errors each, and the covariances, of which there may be thousands, to 5.
func checkMoments(t *testing.T, name string, x *mat.Dense, mean []float64, cov mat.Matrix) {
	t.Helper()
	rows, n := x.Dims()
	d := mat.NewDense(rows, n, nil)
	for i := range rows {
		for j := range n {
			d.Set(i, j, x.At(i, j)-mean[j])
		}
	}
	var c mat.Dense
	c.Mul(d.T(), d)
	c.Scale(1/float64(rows), &c)
	for j := range n {
		z := floats.Sum(mat.Col(nil, j, d)) / float64(rows) / math.Sqrt(cov.At(j, j)/float64(rows))
		if math.Abs(z) > 4 {
			t.Errorf("%s: mean[%d] is %.1f standard errors off", name, j, z)
		}
		for k := range j + 1 {
			se := math.Sqrt((cov.At(j, j)*cov.At(k, k) + cov.At(j, k)*cov.At(j, k)) / float64(rows))
			bound := 5.
			if j == k {
				bound = 4
			}
			if z := (c.At(j, k) - cov.At(j, k)) / se; math.Abs(z) > bound {
				t.Errorf("%s: cov[%d,%d] is %.1f standard errors off", name, j, k, z)
			}
		}
	}
}

func TestSameDrawsForEveryGOMAXPROCS(t *testing.T) {
	p, _, y := randomProblem(t, 30, 30, rng.New(17, 0))
	s := make([]float64, 30)
	for i := range s {
		s[i] = 1 / float64(i+1)
	}
	lik, err := likelihood.NewGaussian(sameVectors{p, s}, y, .5)
	if err != nil {
		t.Fatal(err)
	}
	for route, g := range solvers(t, p, lik) {
		var want *mat.Dense
		for _, procs := range []int{1, 2, 8} {
			func() {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				g.Src = rng.New(18, 0)
				x := mat.NewDense(150, 30, nil)
				if err := g.Sample(context.Background(), x); err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = x
				} else if !mat.Equal(x, want) {
					t.Errorf("%s: GOMAXPROCS %d gives other draws", route, procs)
				}
			}()
		}
	}
}

func TestProgressAndCancel(t *testing.T) {
	p, a, y := randomProblem(t, 5, 5, rng.New(19, 0))
	lik, err := likelihood.NewGaussian(a, y, .5)
	if err != nil {
		t.Fatal(err)
	}
	for route, g := range solvers(t, p, lik) {
		last := 0
		g.Progress = func(done, total int) {
			if done <= last || total != 100 {
				t.Errorf("%s: progress %d of %d after %d", route, done, total, last)
			}
			last = done
		}
		if err := g.Sample(context.Background(), mat.NewDense(100, 5, nil)); err != nil {
			t.Fatal(err)
		}
		if last != 100 {
			t.Errorf("%s: last progress %d", route, last)
		}
		g.Progress = nil
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := g.Sample(ctx, mat.NewDense(10, 5, nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", route, err)
		}
	}
}

// square is an operator that is not linear.
type square struct{}

func (square) Dims() (m, n int)        { return 1, 1 }
func (square) Apply(dst, x *mat.Dense) { dst.MulElem(x, x) }

// crooked has an adjoint of the wrong sign.
type crooked struct{ *forward.Dense }

func (a crooked) Adjoint(dst, y *mat.Dense) {
	a.Dense.Adjoint(dst, y)
	dst.Scale(-100, dst)
}

func TestNewGaussianErrors(t *testing.T) {
	p, a, y := randomProblem(t, 3, 3, rng.New(20, 0))
	lik, err := likelihood.NewGaussian(a, y, 1)
	if err != nil {
		t.Fatal(err)
	}
	p1, _, _ := randomProblem(t, 1, 1, rng.New(21, 0))
	nonlinear, err := likelihood.NewGaussian(square{}, []float64{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func() error{
		"prior is nil":      func() error { _, err := NewGaussian(nil, lik); return err },
		"likelihood is nil": func() error { _, err := NewGaussian(p, nil); return err },
		"dimension":         func() error { _, err := NewGaussian(p1, lik); return err },
		"square":            func() error { _, err := NewGaussian(p1, nonlinear); return err },
		"positive definite": func() error {
			bad, err := likelihood.NewGaussian(crooked{a}, y, 1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = newGaussian(p, bad, newIterative(p, bad, crooked{a}))
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestLaplaceOfGaussianIsExact(t *testing.T) {
	p, a, y := randomProblem(t, 4, 6, rng.New(22, 0))
	lik, err := likelihood.NewGaussian(a, y, .4)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := NewGaussian(p, lik)
	if err != nil {
		t.Fatal(err)
	}
	post, err := New(p, lik)
	if err != nil {
		t.Fatal(err)
	}
	mode, err := MAP(context.Background(), post, make([]float64, 6), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLaplace(post, mode)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range l.Mean(nil) {
		near(t, fmt.Sprintf("mean[%d]", i), m, exact.Mean(nil)[i], 1e-7)
	}
	want, _ := exact.LogEvidence()
	near(t, "log evidence", l.LogEvidence(), want, 1e-6)
	x := []float64{.1, -.2, .3, .4, 0, 1}
	near(t, "LogProb", l.LogProb(x), exact.LogProb(x), 1e-6)
	es := exact.ScoreInput(nil, x)
	for i, s := range l.ScoreInput(nil, x) {
		near(t, fmt.Sprintf("score[%d]", i), s, es[i], 1e-6)
	}
	var cov mat.SymDense
	l.CovarianceMatrix(&cov)
	l.Src = rng.New(23, 0)
	draws := mat.NewDense(20000, 6, nil)
	if err := l.Sample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	checkMoments(t, "Laplace", draws, l.Mean(nil), &cov)

	if _, err := NewLaplace(rosenbrock{}, &Mode{X: []float64{0, 5}}); err == nil {
		t.Error("Laplace at a point that is no mode: no error")
	}
}
