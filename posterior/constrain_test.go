package posterior

import (
	"context"
	"math"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// constrained is a Gaussian posterior of n values with a nonzero prior mean,
// and two equations.
func constrainedProblem(t *testing.T, n int) (*Gaussian, *mat.Dense, []float64) {
	t.Helper()
	mean := make([]float64, n)
	cov := mat.NewSymDense(n, nil)
	a := mat.NewDense(n/2, n, nil)
	rng.FillNormal(a.RawMatrix().Data, rng.New(1, 0))
	for i := range n {
		mean[i] = 1 + float64(i)/5
		for j := i; j < n; j++ {
			cov.SetSym(i, j, math.Exp(-float64(j-i)/3)*(1+float64(i)/10)*(1+float64(j)/10))
		}
	}
	pri, err := prior.NewGaussian(mean, cov, nil)
	if err != nil {
		t.Fatal(err)
	}
	op, err := forward.NewDense(a)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float64, n/2)
	rng.FillNormal(y, rng.New(2, 0))
	lik, err := likelihood.NewGaussian(op, y, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	post, err := NewGaussian(pri, lik)
	if err != nil {
		t.Fatal(err)
	}
	post.Src = rng.New(3, 0)
	c := mat.NewDense(2, n, nil)
	for j := range n {
		c.Set(0, j, 1)
		c.Set(1, j, float64(j*j)/10)
	}
	return post, c, []float64{4, -2}
}

// conditional returns the textbook mean and covariance of N(m, S) given
// C x = b.
func conditional(t *testing.T, post *Gaussian, c *mat.Dense, b []float64) (*mat.VecDense, *mat.Dense) {
	t.Helper()
	n := post.Dim()
	h := mat.NewDense(n, n, nil)
	identity := mat.NewDense(n, n, nil)
	for i := range n {
		identity.Set(i, i, 1)
	}
	post.mul(h, identity)
	var s, sct, csct, inv, gain mat.Dense
	if err := s.Inverse(h); err != nil {
		t.Fatal(err)
	}
	sct.Mul(&s, c.T())
	csct.Mul(c, &sct)
	if err := inv.Inverse(&csct); err != nil {
		t.Fatal(err)
	}
	gain.Mul(&sct, &inv)
	m := mat.NewVecDense(n, post.Mean(nil))
	var r, mean mat.VecDense
	r.MulVec(c, m)
	r.SubVec(mat.NewVecDense(len(b), b), &r)
	mean.MulVec(&gain, &r)
	mean.AddVec(m, &mean)
	var less, cov mat.Dense
	less.Mul(&gain, sct.T())
	cov.Sub(&s, &less)
	return &mean, &cov
}

// The conditional Gaussian in closed form: its mean and variances to rounding,
// its covariance by draws, and the constraint to 1e-10.
func TestConstrainedGaussian(t *testing.T) {
	ctx := context.Background()
	post, c, b := constrainedProblem(t, 10)
	q, err := Constrain(post, c, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantMean, wantCov := conditional(t, post, c, b)
	mean, err := q.Mean(nil)
	if err != nil {
		t.Fatal(err)
	}
	variance, err := q.Variance(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range mean {
		if d := mean[i] - wantMean.AtVec(i); math.Abs(d) > 1e-10 {
			t.Errorf("mean[%d] differs by %g", i, d)
		}
		if d := variance[i] - wantCov.At(i, i); math.Abs(d) > 1e-10 {
			t.Errorf("variance[%d] differs by %g", i, d)
		}
	}
	const rows = 20000
	draws := mat.NewDense(rows, 10, nil)
	if err := q.Sample(ctx, draws); err != nil {
		t.Fatal(err)
	}
	var worst float64
	for i := range rows {
		var r mat.VecDense
		r.MulVec(c, draws.RowView(i))
		for j, v := range b {
			worst = max(worst, math.Abs(r.AtVec(j)-v))
		}
	}
	t.Logf("the constraint is kept to %.1g", worst)
	if worst > 1e-10 {
		t.Errorf("the constraint is kept to %g, want 1e-10", worst)
	}
	for i := range 10 {
		for j := range i + 1 {
			var sum float64
			for r := range rows {
				sum += (draws.At(r, i) - wantMean.AtVec(i)) * (draws.At(r, j) - wantMean.AtVec(j)) / rows
			}
			cij := wantCov.At(i, j)
			if se := math.Sqrt((wantCov.At(i, i)*wantCov.At(j, j) + cij*cij) / rows); math.Abs(sum-cij) > 4.5*se {
				t.Errorf("covariance[%d, %d] of draws %g, want %g ± %g", i, j, sum, cij, se)
			}
		}
	}
}

// A constraint is an observation without noise: the limit of one with little.
func TestConstrainedIsTheLimitOfSoft(t *testing.T) {
	post, c, b := constrainedProblem(t, 10)
	q, err := Constrain(post, c, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	hard, err := q.Mean(nil)
	if err != nil {
		t.Fatal(err)
	}
	last := math.Inf(1)
	for _, sigma := range []float64{1e-1, 1e-2, 1e-3, 1e-4} {
		r := mat.NewDiagDense(2, []float64{sigma * sigma, sigma * sigma})
		soft, _, err := post.solver.(*dense).post.Condition(c, b, r)
		if err != nil {
			t.Fatal(err)
		}
		var d float64
		for i, v := range soft.Mean(nil) {
			d = max(d, math.Abs(v-hard[i]))
		}
		if d > last/50 { // it falls with σ²
			t.Errorf("σ = %g: differs by %g, after %g", sigma, d, last)
		}
		last = d
	}
}

// The three ways to solve for a Gaussian posterior have the same conditional
// distribution.
func TestConstrainedSolvers(t *testing.T) {
	const n = 32
	field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Order: 1, Precision: 2, Range: 10})
	if err != nil {
		t.Fatal(err)
	}
	psf := []float64{0.25, 0.5, 0.25}
	blur, err := forward.NewConv1D(n, psf, &forward.Conv1DOptions{Boundary: forward.Reflect})
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float64, n)
	rng.FillNormal(y, rng.New(2, 0))
	lik, err := likelihood.NewGaussian(blur, y, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	a, err := linear(lik)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDense(field, lik, a)
	if err != nil {
		t.Fatal(err)
	}
	s := newSpectral(field, lik, a)
	if s == nil {
		t.Fatal("the problem is not solved mode by mode")
	}
	c := mat.NewDense(1, n, nil)
	for j := range n {
		c.Set(0, j, 1)
	}
	var means, variances [][]float64
	for _, s := range []solver{d, s, newIterative(field, lik, a)} {
		g, err := newGaussian(field, lik, s)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Constrain(g, c, []float64{3}, nil)
		if err != nil {
			t.Fatal(err)
		}
		mean, err := q.Mean(nil)
		if err != nil {
			t.Fatal(err)
		}
		means = append(means, mean)
		if v, err := q.Variance(nil); err == nil {
			variances = append(variances, v)
		} else if err != ErrIntractable {
			t.Error(err)
		}
	}
	for k := 1; k < 3; k++ {
		for i := range n {
			if d := means[k][i] - means[0][i]; math.Abs(d) > 1e-6 {
				t.Errorf("solver %d: mean[%d] differs by %g", k, i, d)
			}
		}
	}
	for i := range n {
		if d := variances[1][i] - variances[0][i]; math.Abs(d) > 1e-10 {
			t.Errorf("variance[%d] differs by %g", i, d)
		}
	}
}

// cube draws from the uniform distribution on a cube: no Gaussian.
type cube struct{ n int }

func (c cube) Dim() int { return c.n }

func (c cube) Sample(_ context.Context, dst *mat.Dense) error {
	src := rng.New(5, 0)
	data := dst.RawMatrix().Data
	for i := range data {
		data[i] = float64(src.Uint64()>>11) * 0x1p-53
	}
	return nil
}

func TestConstrainAnySampler(t *testing.T) {
	ctx := context.Background()
	c := mat.NewDense(1, 4, []float64{1, 1, 1, 1})
	draws, plain := mat.NewDense(200, 4, nil), mat.NewDense(200, 4, nil)
	if err := (cube{4}).Sample(ctx, plain); err != nil {
		t.Fatal(err)
	}
	q, err := Constrain(cube{4}, c, []float64{2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Sample(ctx, draws); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		lack := (2 - mat.Sum(plain.Slice(i, i+1, 0, 4))) / 4
		for j := range 4 {
			if d := draws.At(i, j) - plain.At(i, j) - lack; math.Abs(d) > 1e-14 {
				t.Fatalf("draw %d is not the nearest point: element %d is off by %g", i, j, d)
			}
		}
	}
	if _, err := q.Mean(nil); err == nil {
		t.Error("a mean in closed form of an unknown distribution")
	}

	// With the covariance of a Gaussian, given, its conditional distribution.
	post, c, b := constrainedProblem(t, 10)
	wantMean, _ := conditional(t, post, c, b)
	identity, s := mat.NewDense(10, 10, nil), mat.NewDense(10, 10, nil)
	for i := range 10 {
		identity.Set(i, i, 1)
	}
	if err := post.covariance(s, identity); err != nil {
		t.Fatal(err)
	}
	w := mat.NewSymDense(10, nil)
	for i := range 10 {
		for j := i; j < 10; j++ {
			w.SetSym(i, j, s.At(i, j))
		}
	}
	atMean := fixed(post.Mean(nil))
	q, err = Constrain(atMean, c, b, w)
	if err != nil {
		t.Fatal(err)
	}
	one := mat.NewDense(1, 10, nil)
	if err := q.Sample(ctx, one); err != nil {
		t.Fatal(err)
	}
	for j := range 10 {
		if d := one.At(0, j) - wantMean.AtVec(j); math.Abs(d) > 1e-10 {
			t.Errorf("mean[%d] differs by %g", j, d)
		}
	}
}

// fixed draws one point.
type fixed []float64

func (f fixed) Dim() int { return len(f) }

func (f fixed) Sample(_ context.Context, dst *mat.Dense) error {
	rows, _ := dst.Dims()
	for i := range rows {
		dst.SetRow(i, f)
	}
	return nil
}

func TestConstrainIsReproducible(t *testing.T) {
	post, c, b := constrainedProblem(t, 10)
	run := func() *mat.Dense {
		post.Src = rng.New(3, 0)
		q, err := Constrain(post, c, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		draws := mat.NewDense(300, 10, nil)
		if err := q.Sample(context.Background(), draws); err != nil {
			t.Fatal(err)
		}
		return draws
	}
	first := run()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if !mat.Equal(first, run()) {
		t.Error("other draws on one goroutine")
	}
}

func TestConstrainOfBadInput(t *testing.T) {
	post, c, b := constrainedProblem(t, 10)
	twice := mat.NewDense(2, 10, nil)
	twice.SetRow(0, c.RawRowView(0))
	twice.SetRow(1, c.RawRowView(0))
	for _, bad := range []struct {
		name string
		s    inverse.Sampler
		c    mat.Matrix
		b    []float64
		w    mat.Symmetric
		want string
	}{
		{"sampler", nil, c, b, nil, "sampler is nil"},
		{"c", post, nil, b, nil, "c is nil"},
		{"columns", post, mat.NewDense(1, 9, nil), []float64{1}, nil, "c is 1×9, want 10 columns"},
		{"too many", post, mat.NewDense(11, 10, nil), make([]float64, 11), nil, "more equations"},
		{"b", post, c, b[:1], nil, "b has length 1"},
		{"NaN", post, c, []float64{1, math.NaN()}, nil, "equation 1"},
		{"zero row", post, mat.NewDense(1, 10, nil), []float64{1}, nil, "equation 0 has a row of norm 0"},
		{"dependent", post, twice, b, nil, "not independent"},
		{"w", post, c, b, mat.NewSymDense(3, nil), "w is 3×3"},
	} {
		if _, err := Constrain(bad.s, bad.c, bad.b, bad.w); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: error %v, want %q", bad.name, err, bad.want)
		}
	}
}
