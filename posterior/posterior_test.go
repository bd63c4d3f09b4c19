package posterior

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/prior"
)

// normal is a gonum density, used as it is.
func normal(t *testing.T, mu []float64, cov ...float64) *distmv.Normal {
	t.Helper()
	n, ok := distmv.NewNormal(mu, mat.NewSymDense(len(mu), cov), nil)
	if !ok {
		t.Fatal("covariance is not positive definite")
	}
	return n
}

// halfPlane is a density with a support and without a score.
type halfPlane struct{}

func (halfPlane) Dim() int { return 2 }
func (halfPlane) LogProb(x []float64) float64 {
	if x[0] < 0 {
		return math.Inf(-1)
	}
	return 0
}

func TestProductOfGaussians(t *testing.T) {
	a := normal(t, []float64{1, -2}, 2, .3, .3, 1)
	b := normal(t, []float64{0, 3}, 1, -.4, -.4, 3)
	p, err := New(a, b)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{.7, .1}
	if got, want := p.LogProb(x), a.LogProb(x)+b.LogProb(x); math.Abs(got-want) > 1e-14 {
		t.Errorf("LogProb = %g, want %g", got, want)
	}
	score := p.ScoreInput(nil, x)
	for i, want := range fd.Gradient(nil, p.LogProb, x, &fd.Settings{Formula: fd.Central}) {
		if math.Abs(score[i]-want) > 1e-6 {
			t.Errorf("score[%d] = %g, central difference %g", i, score[i], want)
		}
	}
	fused := make([]float64, 2)
	if lp := p.LogProbScore(fused, x); lp != p.LogProb(x) || fused[0] != score[0] || fused[1] != score[1] {
		t.Errorf("LogProbScore gives %g, %v; apart they are %g, %v", lp, fused, p.LogProb(x), score)
	}

	// The mode solves (A⁻¹ + B⁻¹) x = A⁻¹a + B⁻¹b.
	var pa, pb, h, m mat.Dense
	if err := pa.Inverse(mat.NewDense(2, 2, []float64{2, .3, .3, 1})); err != nil {
		t.Fatal(err)
	}
	if err := pb.Inverse(mat.NewDense(2, 2, []float64{1, -.4, -.4, 3})); err != nil {
		t.Fatal(err)
	}
	h.Add(&pa, &pb)
	var ra, rb mat.Dense
	ra.Mul(&pa, mat.NewDense(2, 1, []float64{1, -2}))
	rb.Mul(&pb, mat.NewDense(2, 1, []float64{0, 3}))
	ra.Add(&ra, &rb)
	if err := m.Solve(&h, &ra); err != nil {
		t.Fatal(err)
	}
	mode, err := MAP(context.Background(), p, []float64{10, -10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range mode.X {
		if math.Abs(got-m.At(i, 0)) > 1e-6 {
			t.Errorf("mode[%d] = %g, want %g", i, got, m.At(i, 0))
		}
	}
}

func TestSupport(t *testing.T) {
	p, err := New(halfPlane{}, normal(t, []float64{0, 0}, 1, 0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	if lp := p.LogProb([]float64{-1, 0}); !math.IsInf(lp, -1) {
		t.Errorf("LogProb outside the support = %g", lp)
	}
	err = p.Differentiable()
	if err == nil || !strings.Contains(err.Error(), "halfPlane") {
		t.Errorf("Differentiable() = %v, want an error that names the part", err)
	}
	if _, err := MAP(context.Background(), p, []float64{1}, nil); err == nil || !strings.Contains(err.Error(), "init has length 1") {
		t.Errorf("error is %v", err)
	}
	if _, err := MAP(context.Background(), p, []float64{1, 1}, nil); err == nil {
		t.Error("MAP without a score: no error")
	}
}

func TestNewErrors(t *testing.T) {
	n1, n2 := normal(t, []float64{0}, 1), normal(t, []float64{0, 0}, 1, 0, 0, 1)
	for name, parts := range map[string][]inverse.Density{
		"prior":          {nil},
		"likelihoods[0]": {n1, nil},
		"likelihoods[1]": {n2, n2, n1},
		"Dim":            {flat{}},
	} {
		if _, err := New(parts[0], parts[1:]...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

type flat struct{}

func (flat) LogProb([]float64) float64 { return 0 }

func TestNoAllocation(t *testing.T) {
	p, err := New(quadratic{}, quadratic{})
	if err != nil {
		t.Fatal(err)
	}
	x, g := []float64{1, 2}, make([]float64, 2)
	if a := testing.AllocsPerRun(100, func() { p.LogProbScore(g, x) }); a > 0 {
		t.Errorf("LogProbScore allocates %g times", a)
	}
}

// quadratic is the standard normal density up to a constant, in R².
type quadratic struct{}

func (quadratic) Dim() int                    { return 2 }
func (quadratic) LogProb(x []float64) float64 { return -(x[0]*x[0] + x[1]*x[1]) / 2 }
func (quadratic) ScoreInput(g, x []float64) []float64 {
	g[0], g[1] = -x[0], -x[1]
	return g
}

func TestMAPErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := MAP(ctx, quadratic{}, []float64{3, 4}, nil); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := MAP(context.Background(), quadratic{}, []float64{math.NaN(), 0}, nil); err == nil {
		t.Error("NaN init: no error")
	}
	if _, err := MAP(context.Background(), rosenbrock{}, []float64{-3, 5}, &MAPOptions{MaxIter: 3}); err == nil {
		t.Error("MaxIter: no error")
	}
	if _, err := MAP(context.Background(), bomb{}, []float64{-3, 5}, nil); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("panic: %v", err)
	}
	mode, err := MAP(context.Background(), rosenbrock{}, []float64{-3, 5}, nil)
	if err != nil || math.Hypot(mode.X[0]-1, mode.X[1]-1) > 1e-5 {
		t.Errorf("Rosenbrock: %v, %v", mode, err)
	}
}

// bomb goes off on the way to the mode.
type bomb struct{ quadratic }

func (b bomb) LogProb(x []float64) float64 {
	if x[0] > -1 {
		panic("boom")
	}
	return b.quadratic.LogProb(x)
}

type rosenbrock struct{ quadratic }

func (rosenbrock) LogProb(x []float64) float64 {
	a, b := 1-x[0], x[1]-x[0]*x[0]
	return -(a*a + 100*b*b)
}
func (rosenbrock) ScoreInput(g, x []float64) []float64 {
	a, b := 1-x[0], x[1]-x[0]*x[0]
	g[0], g[1] = 2*a+400*x[0]*b, -200*b
	return g
}

// shift is the score of N(mu, I), or a guidance of it.
type shift struct {
	mu    float64
	prior inverse.ScoreFunc
	calls *int
}

func (s *shift) Dim() int { return 1 }
func (s *shift) Score(dst, x *mat.Dense, t float64) {
	*s.calls++
	dst.Apply(func(_, _ int, v float64) float64 { return s.mu - v + t }, x)
}

type guided struct{ shift }

func (g *guided) Prior() inverse.ScoreFunc { return g.prior }
func (g *guided) ScoreSum(dst, x *mat.Dense, t float64) {
	g.prior.Score(dst, x, t)
	dst.Apply(func(_, _ int, v float64) float64 { return 2 * v }, dst)
}

func TestSum(t *testing.T) {
	var calls int
	a := &shift{mu: 1, calls: &calls}
	b := &shift{mu: 3, calls: &calls}
	s, err := Sum(a, b)
	if err != nil {
		t.Fatal(err)
	}
	x, dst := mat.NewDense(2, 1, []float64{.5, 7}), mat.NewDense(2, 1, nil)
	s.Score(dst, x, .25)
	for i := range 2 {
		if got, want := dst.At(i, 0), 4.5-2*x.At(i, 0); got != want {
			t.Errorf("row %d: %g, want %g", i, got, want)
		}
	}

	g := &guided{shift{prior: a, calls: &calls}}
	s, err = Sum(b, g, a)
	if err != nil {
		t.Fatal(err)
	}
	calls = 0
	s.Score(dst, x, 0)
	if calls != 2 {
		t.Errorf("%d evaluations, want 2: the guidance and its prior share one", calls)
	}
	if got, want := dst.At(0, 0), 2*(1-.5)+(3-.5); got != want {
		t.Errorf("fused sum %g, want %g", got, want)
	}
	if _, err := Sum(); err == nil {
		t.Error("empty Sum: no error")
	}
	if _, err := Sum(a, nil); err == nil {
		t.Error("nil score: no error")
	}
}

// A bounded prior's transform reaches the sampler through the posterior.
func TestTransform(t *testing.T) {
	box, err := prior.NewBox([]float64{0, 0}, []float64{1, 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(box, quadratic{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Transform() == nil {
		t.Error("no transform for a box")
	}
	if p, err = New(quadratic{}, quadratic{}); err != nil {
		t.Fatal(err)
	}
	if p.Transform() != nil {
		t.Error("a transform for a prior without bounds")
	}
	x := make([]float64, 2)
	if prior.TransformOf(p).Constrain(x, []float64{3, -4}); x[0] != 3 || x[1] != -4 {
		t.Errorf("TransformOf maps (3, -4) to %v", x)
	}
}
