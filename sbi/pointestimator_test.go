package sbi

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
)

// exactMoments returns rows whose mean is 0 and whose covariance is the
// identity to rounding, so that the least-squares fit to a sample is that to
// the law.
func exactMoments(rows, d int, seed uint64) *mat.Dense {
	z := mat.NewDense(rows, d, nil)
	rng.FillNormal(z.RawMatrix().Data, rng.New(seed, 0))
	for j := range d {
		mean := stat.Mean(mat.Col(nil, j, z), nil)
		for i := range rows {
			z.Set(i, j, z.At(i, j)-mean)
		}
	}
	var qr mat.QR
	qr.Factorize(z)
	var q mat.Dense
	qr.QTo(&q)
	out := mat.NewDense(rows, d, nil)
	out.Scale(math.Sqrt(float64(rows)), q.Slice(0, rows, 0, d))
	return out
}

// pairs returns a table of θ ~ N(0, LLᵀ) and y = Aθ + σe.
func pairs(a, l *mat.Dense, sigma float64, rows int, seed uint64) *Table {
	m, n := a.Dims()
	z := exactMoments(rows, n+m, seed)
	var theta, y, e mat.Dense
	theta.Mul(z.Slice(0, rows, 0, n), l.T())
	y.Mul(&theta, a.T())
	e.Scale(sigma, z.Slice(0, rows, n, n+m))
	y.Add(&y, &e)
	t := newTable(rows, m, n)
	t.Theta.Copy(&theta)
	t.Y.Copy(&y)
	for i := range rows {
		t.Index[i] = i
	}
	return t
}

// linearProblem is a matrix with singular values from 2 to 0.05, and a factor
// of a covariance.
func linearProblem(m, n int) (a, l *mat.Dense) {
	u, v := exactMoments(40, m, 1), exactMoments(40, n, 2)
	uu, vv := orthogonal(u, m), orthogonal(v, n)
	s := mat.NewDense(m, n, nil)
	for i := range min(m, n) {
		s.Set(i, i, 2*math.Pow(0.05/2, float64(i)/float64(min(m, n)-1)))
	}
	a, l = mat.NewDense(m, n, nil), mat.NewDense(n, n, nil)
	a.Product(uu, s, vv.T())
	for i := range n {
		for j := range i + 1 {
			l.Set(i, j, 1/float64(1+2*(i-j)))
		}
	}
	return a, l
}

// orthogonal returns a d×d orthogonal matrix made of the first rows of z.
func orthogonal(z *mat.Dense, d int) *mat.Dense {
	var qr mat.QR
	qr.Factorize(z.Slice(0, d, 0, d))
	var q mat.Dense
	qr.QTo(&q)
	return &q
}

func linearOptions(seed uint64) *RegressionOptions {
	return &RegressionOptions{Hidden: []int{}, Validation: -1, Batch: 400, Epochs: 3000, Rate: 0.02, Src: rng.New(seed, 0)}
}

// matrixOf returns the matrix of a linear map, and fails where it is not one.
func matrixOf(t *testing.T, e *PointEstimator) *mat.Dense {
	n, m := e.Dims()
	at0 := e.Estimate(make([]float64, m))
	r := mat.NewDense(n, m, nil)
	unit := make([]float64, m)
	for j := range m {
		clear(unit)
		unit[j] = 1
		col := e.Estimate(unit)
		floats.Sub(col, at0)
		r.SetCol(j, col)
	}
	return r
}

// A linear network without noise converges to the inverse, and with noise to
// C Aᵀ(A C Aᵀ + σ²I)⁻¹.
func TestRegressionLinear(t *testing.T) {
	for _, c := range []struct {
		m, n  int
		sigma float64
	}{{6, 6, 0}, {9, 6, 0}, {6, 6, 0.1}, {9, 6, 0.3}, {5, 8, 0.2}} {
		if testing.Short() && c.m != 5 {
			continue
		}
		a, l := linearProblem(c.m, c.n)
		table := pairs(a, l, c.sigma, 400, 7)
		e, err := Regression(context.Background(), table, linearOptions(3))
		if err != nil {
			t.Fatal(err)
		}
		op, err := forward.NewDense(a)
		if err != nil {
			t.Fatal(err)
		}
		want := mat.NewDense(c.n, c.m, nil)
		if c.sigma == 0 {
			// The rows of y span the range of A: there it is the pseudo-inverse.
			pinv, err := forward.Regularized(op, 0)
			if err != nil {
				t.Fatal(err)
			}
			identity := mat.NewDense(c.m, c.m, nil)
			for i := range c.m {
				identity.Set(i, i, 1)
			}
			rows := mat.NewDense(c.m, c.n, nil)
			pinv.Apply(rows, identity)
			want.Copy(rows.T())
		} else {
			var cov, cat, s mat.Dense
			cov.Mul(l, l.T())
			cat.Mul(&cov, a.T())
			s.Mul(a, &cat)
			for i := range c.m {
				s.Set(i, i, s.At(i, i)+c.sigma*c.sigma)
			}
			var inv mat.Dense
			if err := inv.Inverse(&s); err != nil {
				t.Fatal(err)
			}
			want.Mul(&cat, &inv)
		}
		got := matrixOf(t, e)
		var d mat.Dense
		d.Sub(got, want)
		if rel := mat.Norm(&d, 2) / mat.Norm(want, 2); rel > 1e-3 {
			t.Errorf("%d×%d, σ = %g: differs from the closed form by %.2g, want 1e-3", c.m, c.n, c.sigma, rel)
		} else {
			t.Logf("%d×%d, σ = %g: relative difference %.2g", c.m, c.n, c.sigma, rel)
		}

		// Its worst-case gain is the norm of that matrix.
		var svd mat.SVD
		svd.Factorize(want, mat.SVDNone)
		norm := svd.Values(nil)[0]
		if sigma := op.SingularValues(); c.sigma == 0 && math.Abs(norm*sigma[len(sigma)-1]-1) > 1e-9 {
			t.Fatalf("the norm of the pseudo-inverse is %g, 1/σ_min %g", norm, 1/sigma[len(sigma)-1])
		}
		p, err := forward.WorstCase(context.Background(), e, table.Y.RawRowView(0), &forward.WorstCaseOptions{Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(p.Gain/norm-1) > 0.05 {
			t.Errorf("%d×%d, σ = %g: worst-case gain %g, want %g", c.m, c.n, c.sigma, p.Gain, norm)
		}
	}
}

// For a white prior the map with noise is Tikhonov's, with λ = σ.
func TestRegressionIsTikhonov(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds, under the race detector for a minute")
	}
	const m, n, sigma = 7, 7, 0.2
	a, _ := linearProblem(m, n)
	identity := mat.NewDense(n, n, nil)
	for i := range n {
		identity.Set(i, i, 1)
	}
	e, err := Regression(context.Background(), pairs(a, identity, sigma, 400, 8), linearOptions(4))
	if err != nil {
		t.Fatal(err)
	}
	op, err := forward.NewDense(a)
	if err != nil {
		t.Fatal(err)
	}
	want, gain := mat.NewDense(m, n, nil), 0.0
	r, err := forward.Regularized(op, sigma)
	if err != nil {
		t.Fatal(err)
	}
	r.Apply(want, identity)
	for _, s := range op.SingularValues() {
		gain = max(gain, s/(s*s+sigma*sigma))
	}
	var d mat.Dense
	d.Sub(matrixOf(t, e).T(), want)
	if rel := mat.Norm(&d, 2) / mat.Norm(want, 2); rel > 1e-3 {
		t.Errorf("differs from Tikhonov's map by %.2g", rel)
	}
	p, err := forward.WorstCase(context.Background(), e, make([]float64, m), &forward.WorstCaseOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(p.Gain/gain-1) > 0.05 || p.Gain > 1/(2*sigma)*1.01 {
		t.Errorf("worst-case gain %g, want %g, at most %g", p.Gain, gain, 1/(2*sigma))
	}
}

// Noise that is added in training does what noise in the table does.
func TestRegressionNoise(t *testing.T) {
	if testing.Short() {
		t.Skip("training to convergence takes long under the race detector")
	}
	a, l := linearProblem(6, 6)
	clean := pairs(a, l, 0, 400, 7)
	o := linearOptions(5)
	o.Noise = []float64{0.3}
	e, err := Regression(context.Background(), clean, o)
	if err != nil {
		t.Fatal(err)
	}
	table := pairs(a, l, 0.3, 400, 7)
	want, err := Regression(context.Background(), table, linearOptions(6))
	if err != nil {
		t.Fatal(err)
	}
	var d mat.Dense
	m := matrixOf(t, want)
	d.Sub(matrixOf(t, e), m)
	if rel := mat.Norm(&d, 2) / mat.Norm(m, 2); rel > 0.02 {
		t.Errorf("differs by %.2g", rel)
	}
}

// The conditional mean and quantiles of a nonlinear problem: θ ~ U(-1, 1),
// y = θ³ + 0.1 e, by quadrature.
func TestRegressionNonlinear(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds, under the race detector for a minute")
	}
	const rows, sigma = 20000, 0.1
	table := newTable(rows, 1, 1)
	src := rng.New(9, 0)
	for i := range rows {
		theta := 2*float64(src.Uint64()>>11)*0x1p-53 - 1
		e := make([]float64, 1)
		rng.FillNormal(e, src)
		table.Index[i] = i
		table.Theta.Set(i, 0, theta)
		table.Y.Set(i, 0, theta*theta*theta+sigma*e[0])
	}
	posterior := func(y float64) (mean, q90 float64) {
		const k = 4000
		w, x := make([]float64, k), make([]float64, k)
		for i := range k {
			x[i] = 2*(float64(i)+.5)/k - 1
			z := (y - x[i]*x[i]*x[i]) / sigma
			w[i] = math.Exp(-z * z / 2)
		}
		sum := floats.Sum(w)
		mean = floats.Dot(w, x) / sum
		c := 0.0
		for i := range w {
			if c += w[i] / sum; c >= 0.9 {
				return mean, x[i]
			}
		}
		return mean, 1
	}
	for _, q := range []float64{0, 0.9} {
		e, err := Regression(context.Background(), table, &RegressionOptions{
			Hidden: []int{32, 32}, Quantile: q, Epochs: 20, Batch: 200, Rate: 5e-3, Src: rng.New(2, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, y := range []float64{-0.6, -0.1, 0, 0.2, 0.7} {
			mean, q90 := posterior(y)
			want := mean
			if q > 0 {
				want = q90
			}
			if got := e.Estimate([]float64{y})[0]; math.Abs(got-want) > 0.05 {
				t.Errorf("level %g, y = %g: %.3f, by quadrature %.3f", q, y, got, want)
			}
		}
		if err := forward.CheckVJP(e, mat.NewDense(2, 1, []float64{0.3, -0.4}), rng.New(3, 0)); err != nil {
			t.Error(err)
		}
	}
}

func TestRegressionIsReproducible(t *testing.T) {
	a, l := linearProblem(6, 4)
	table := pairs(a, l, 0.1, 300, 7)
	run := func() []float64 {
		e, err := Regression(context.Background(), table, &RegressionOptions{Hidden: []int{16}, Epochs: 5, Noise: []float64{0.1}, Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if err := forward.CheckVJP(e, nil, rng.New(3, 0)); err != nil {
			t.Error(err)
		}
		return e.Estimate([]float64{1, 2, 3, 4, 5, 6})
	}
	first := run()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if second := run(); !slices.Equal(first, second) {
		t.Errorf("%v on many goroutines, %v on one", first, second)
	}
}

func TestRegressionOfBadInput(t *testing.T) {
	a, l := linearProblem(6, 4)
	table := pairs(a, l, 0.1, 50, 7)
	constant := pairs(a, l, 0.1, 50, 7)
	for i := range 50 {
		constant.Theta.Set(i, 2, 5)
	}
	for _, c := range []struct {
		name  string
		table *Table
		opt   *RegressionOptions
		want  string
	}{
		{"nil table", nil, nil, "empty"},
		{"constant parameter", constant, nil, "parameter 2 does not vary"},
		{"quantile", table, &RegressionOptions{Quantile: 1.5}, "Quantile is 1.5"},
		{"noise length", table, &RegressionOptions{Noise: []float64{1, 2}}, "Noise has length 2, want 1 or 6"},
		{"noise", table, &RegressionOptions{Noise: []float64{-1}}, "Noise[0] is -1"},
		{"hidden", table, &RegressionOptions{Hidden: []int{8, 0}}, "Hidden[1] is 0"},
		{"validation", table, &RegressionOptions{Validation: 1}, "Validation is 1"},
		{"rate", table, &RegressionOptions{Rate: -1}, "Rate is -1"},
	} {
		if _, err := Regression(context.Background(), c.table, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
