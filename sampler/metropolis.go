package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse"
	"gonum.org/v1/gonum/mat"
)

// walker is the point of a chain that needs no gradient, and the proposal
// under way.
type walker struct {
	X       []float64
	LogProb float64

	target *Target
	y      []float64
}

func newWalker(kernel string, t *Target) (walker, error) {
	d := t.Dim()
	return walker{X: make([]float64, d), target: t, y: make([]float64, d)}, t.needs(kernel, true, false)
}

// Set implements State.
func (w *walker) Set(x []float64) error {
	copy(w.X, x)
	w.LogProb = w.target.LogProb(w.X)
	if math.IsInf(w.LogProb, -1) {
		return w.target.startError(w.LogProb)
	}
	return nil
}

// Position implements State.
func (w *walker) Position() []float64 { return w.X }

// metropolis evaluates the target at the proposal y and moves there with
// probability min(1, exp(log π(y) - log π(x) + correction)), which it returns.
func (w *walker) metropolis(correction float64, rnd *rand.Rand) (accept float64, moved bool) {
	lp := w.target.LogProb(w.y)
	accept = acceptance(lp - w.LogProb + correction)
	if moved = rnd.Float64() < accept; moved {
		copy(w.X, w.y)
		w.LogProb = lp
	}
	return accept, moved
}

// acceptance returns min(1, exp(r)), and 0 for NaN.
func acceptance(r float64) float64 {
	switch {
	case r >= 0:
		return 1
	case r < 0:
		return math.Exp(r)
	}
	return 0
}

// robbinsMonro adapts the logarithm of a scale until the acceptance
// probability averages to a target, with a gain that falls as n^-0.6.
type robbinsMonro struct {
	LogScale float64
	N        int
}

func (r *robbinsMonro) update(accept, target float64) {
	r.N++
	r.LogScale += (accept - target) / math.Pow(float64(r.N), 0.6)
	r.LogScale = min(max(r.LogScale, -40), 40)
}

func (r *robbinsMonro) scale() float64 { return math.Exp(r.LogScale) }

// targetRate returns the acceptance rate that a random-walk proposal is tuned
// to in d dimensions: 0.44 in one, 0.234 in many (Roberts and Rosenthal, 2001).
func targetRate(d int) float64 {
	return max(0.234, 0.44-0.0515*float64(d-1))
}

// RandomWalk is random-walk Metropolis with a normal proposal, whose scale
// warm-up adapts to an acceptance rate of 0.44 in one dimension falling to
// 0.234 in five and more.
type RandomWalk struct {
	// Covariance is that of the proposal, up to the scale. If Covariance is
	// nil, it will be defaulted to the identity.
	Covariance mat.Symmetric
	// Scale is the scale that warm-up begins with, and that of the whole run
	// without warm-up. If Scale is 0, it will be defaulted to 2.38/√d.
	Scale float64
}

var _ Kernel = (*RandomWalk)(nil)

type randomWalk struct {
	walker
	Scale robbinsMonro
	l     []float64 // Cholesky factor, or nil
	z     []float64
}

// New implements Kernel.
func (k *RandomWalk) New(t *Target, _ int) (State, error) {
	w, err := newWalker("RandomWalk", t)
	if err != nil {
		return nil, err
	}
	s := &randomWalk{walker: w, z: make([]float64, t.Dim())}
	if s.Scale.LogScale, err = logScale("RandomWalk", k.Scale, t.Dim()); err != nil {
		return nil, err
	}
	if k.Covariance != nil {
		if s.l, err = choleskyRows(k.Covariance, t.Dim()); err != nil {
			return nil, fmt.Errorf("sampler: RandomWalk: Covariance %w", err)
		}
	}
	return s, nil
}

// logScale returns the logarithm of the user's scale or of its default.
func logScale(kernel string, scale float64, d int) (float64, error) {
	if scale == 0 {
		scale = 2.38 / math.Sqrt(float64(d))
	}
	if !(scale > 0) || math.IsInf(scale, 1) {
		return 0, fmt.Errorf("sampler: %s: Scale is %g, want a positive number", kernel, scale)
	}
	return math.Log(scale), nil
}

// Step implements State.
func (s *randomWalk) Step(rnd *rand.Rand, info *Info) error {
	scale := s.Scale.scale()
	normals(s.z, rnd)
	if s.l != nil {
		mulLower(s.y, s.l, s.z)
	} else {
		copy(s.y, s.z)
	}
	for i, x := range s.X {
		s.y[i] = x + scale*s.y[i]
	}
	a, _ := s.metropolis(0, rnd)
	*info = Info{Accept: a, StepSize: scale, LogProb: s.LogProb}
	return nil
}

// Adapt implements Adapter.
func (s *randomWalk) Adapt(_, _ int, _ *rand.Rand, info *Info) error {
	s.Scale.update(info.Accept, targetRate(len(s.X)))
	return nil
}

// Independence is Metropolis-Hastings with proposals that do not depend on
// where the chain is: a good approximation of the target, such as Laplace's or
// a variational one, with tails that are not lighter.
type Independence struct {
	// Proposal is the distribution of the proposals. Besides LogProb it must
	// have the method Draw(dst *mat.Dense, src rand.Source) of the densities
	// of package prior, or the method TransformNormal of gonum's
	// distmv.Normal.
	Proposal inverse.Density
}

var _ Kernel = (*Independence)(nil)

type independence struct {
	walker
	LogProposal float64 // at X
	proposal    inverse.Density
	draw        func(x []float64, rnd *rand.Rand)
}

// New implements Kernel.
func (k *Independence) New(t *Target, _ int) (State, error) {
	w, err := newWalker("Independence", t)
	if err != nil {
		return nil, err
	}
	draw, err := drawer("Independence: Proposal", k.Proposal, t.Dim())
	if err != nil {
		return nil, err
	}
	return &independence{walker: w, proposal: k.Proposal, draw: draw}, nil
}

// Set implements State.
func (s *independence) Set(x []float64) error {
	if err := s.walker.Set(x); err != nil {
		return err
	}
	if s.LogProposal = s.proposal.LogProb(x); math.IsInf(s.LogProposal, 0) || math.IsNaN(s.LogProposal) {
		return fmt.Errorf("the log density of the proposal is %g", s.LogProposal)
	}
	return nil
}

// Step implements State.
func (s *independence) Step(rnd *rand.Rand, info *Info) error {
	s.draw(s.y, rnd)
	lq := s.proposal.LogProb(s.y)
	a, moved := s.metropolis(s.LogProposal-lq, rnd)
	if moved {
		s.LogProposal = lq
	}
	*info = Info{Accept: a, StepSize: 1, LogProb: s.LogProb}
	return nil
}

// drawer returns a function that draws from d.
func drawer(what string, d any, dim int) (func(x []float64, rnd *rand.Rand), error) {
	if d == nil {
		return nil, fmt.Errorf("sampler: %s is nil", what)
	}
	if n, ok := d.(interface{ Dim() int }); ok && n.Dim() != dim {
		return nil, fmt.Errorf("sampler: %s has dimension %d, the target %d", what, n.Dim(), dim)
	}
	switch d := d.(type) {
	case interface {
		Draw(dst *mat.Dense, src rand.Source)
	}:
		row := mat.NewDense(1, dim, nil)
		return func(x []float64, rnd *rand.Rand) {
			d.Draw(row, rnd)
			copy(x, row.RawRowView(0))
		}, nil
	case interface {
		TransformNormal(dst, x []float64) []float64
	}:
		z := make([]float64, dim)
		return func(x []float64, rnd *rand.Rand) {
			normals(z, rnd)
			d.TransformNormal(x, z)
		}, nil
	}
	return nil, fmt.Errorf("sampler: %s: %T has neither the method Draw(dst *mat.Dense, src rand.Source) nor TransformNormal(dst, x []float64) []float64", what, d)
}

func normals(z []float64, rnd *rand.Rand) {
	for i := range z {
		z[i] = rnd.NormFloat64()
	}
}

// choleskyRows returns the lower Cholesky factor of c, row-major.
func choleskyRows(c mat.Symmetric, d int) ([]float64, error) {
	if n := c.SymmetricDim(); n != d {
		return nil, fmt.Errorf("has dimension %d, the target %d", n, d)
	}
	m := newDense(d)
	if !m.setCovariance(c) {
		return nil, errors.New("is not positive definite")
	}
	return m.L, nil
}

// mulLower sets dst to L z for the row-major lower triangle l.
func mulLower(dst, l, z []float64) {
	d := len(z)
	for i := range dst {
		row := l[i*d : i*d+i+1]
		var s float64
		for j, v := range row {
			s += v * z[j]
		}
		dst[i] = s
	}
}

// logAddExp returns log(exp(a) + exp(b)).
func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(a, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}
