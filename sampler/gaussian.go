package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse"
)

// Gaussian is a normal distribution: a distmv.Normal, or a Gaussian of package
// prior. Besides these methods it must have the method
// Draw(dst *mat.Dense, src rand.Source) of the latter or TransformNormal of
// the former.
type Gaussian interface {
	inverse.Density
	// Mean stores the mean in dst and returns it.
	Mean(dst []float64) []float64
}

// PCN is the preconditioned Crank-Nicolson algorithm (Cotter, Roberts, Stuart
// and White, 2013) with proposals
//
//	y = m + √(1-β²) (x - m) + β (ξ - m),   ξ ~ N(m, C),
//
// which leave N(m, C) invariant, so that only the density of the target with
// respect to it decides on acceptance and the dimension does not matter. With
// the prior for N(m, C) this is the algorithm of the paper, for priors of any
// mean; with another Gaussian nearer to the posterior, such as Laplace's
// approximation, it is generalised pCN.
type PCN struct {
	// Reference is N(m, C), on the unconstrained space.
	Reference Gaussian
	// Likelihood is the log density of the target with respect to Reference,
	// up to a constant: the log likelihood if Reference is the prior. If
	// Likelihood is nil, it is the difference of the target's and
	// Reference's, which loses digits in many dimensions. If it is given, the
	// target is evaluated at the first point only, LogProb in the statistics
	// is that of Likelihood, and Settings.Transform must be nil.
	Likelihood inverse.Density
	// Beta is the step β in (0, 1] that warm-up begins with, and that of the
	// whole run without warm-up. If Beta is 0, it will be defaulted to 0.5.
	Beta float64
	// TargetAccept is the acceptance rate that warm-up adapts β to. If
	// TargetAccept is 0, it will be defaulted to 0.3.
	TargetAccept float64
}

// EllipticalSlice is elliptical slice sampling (Murray, Adams and MacKay,
// 2010) for a Gaussian prior. It has nothing to tune and never stays where it
// is.
type EllipticalSlice struct {
	// Prior is the Gaussian prior, on the unconstrained space.
	Prior Gaussian
	// Likelihood is the log likelihood, as in [PCN].
	Likelihood inverse.Density
}

var (
	_ Kernel = (*PCN)(nil)
	_ Kernel = (*EllipticalSlice)(nil)
)

// relative is a chain on a target that has the density exp(Phi) with respect
// to a Gaussian reference.
type relative struct {
	X   []float64
	Phi float64
	// LogProb is the target's, or Phi if only that is evaluated.
	LogProb float64

	target     *Target
	reference  inverse.Density
	likelihood *Target // or nil
	mean, y    []float64
	noise      []float64
	draw       func(x []float64, rnd *rand.Rand)
}

func newRelative(kernel, field string, t *Target, ref Gaussian, likelihood inverse.Density) (relative, error) {
	d := t.Dim()
	r := relative{
		X: make([]float64, d), target: t, reference: ref,
		y: make([]float64, d), noise: make([]float64, d), mean: make([]float64, d),
	}
	if err := t.needs(kernel, true, false); err != nil {
		return r, err
	}
	var err error
	if r.draw, err = drawer(kernel+": "+field, ref, d); err != nil {
		return r, err
	}
	copy(r.mean, ref.Mean(nil))
	if likelihood != nil {
		if t.tr != nil || t.derived {
			return r, fmt.Errorf("sampler: %s: Likelihood cannot be given together with a Transform, or within Gibbs or Tempering", kernel)
		}
		if r.likelihood, err = NewTarget(likelihood, d, nil); err != nil {
			return r, err
		}
	}
	return r, nil
}

// evaluate returns Phi and the log density at x.
func (r *relative) evaluate(x []float64) (phi, lp float64) {
	if r.likelihood != nil {
		phi = r.likelihood.LogProb(x)
		if err := r.likelihood.takeErr(); err != nil {
			r.target.fail(phi, err, x)
		}
		return phi, phi
	}
	lp = r.target.LogProb(x)
	return lp - r.reference.LogProb(x), lp
}

// Set implements State.
func (r *relative) Set(x []float64) error {
	copy(r.X, x)
	if lp := r.target.LogProb(x); math.IsInf(lp, -1) {
		return r.target.startError(lp)
	}
	if r.Phi, r.LogProb = r.evaluate(x); math.IsInf(r.Phi, 0) || math.IsNaN(r.Phi) {
		return fmt.Errorf("the log likelihood is %g", r.Phi)
	}
	return nil
}

// Position implements State.
func (r *relative) Position() []float64 { return r.X }

// drawNoise draws ξ - m.
func (r *relative) drawNoise(rnd *rand.Rand) {
	r.draw(r.noise, rnd)
	for i, m := range r.mean {
		r.noise[i] -= m
	}
}

// propose sets y to m + c (x - m) + s (ξ - m).
func (r *relative) propose(c, s float64) {
	for i, m := range r.mean {
		r.y[i] = m + c*(r.X[i]-m) + s*r.noise[i]
	}
}

func (r *relative) move(phi, lp float64) {
	copy(r.X, r.y)
	r.Phi, r.LogProb = phi, lp
}

// New implements Kernel.
func (k *PCN) New(t *Target, _ int) (State, error) {
	r, err := newRelative("PCN", "Reference", t, k.Reference, k.Likelihood)
	if err != nil {
		return nil, err
	}
	s := &pcn{relative: r, accept: k.TargetAccept}
	if s.accept == 0 {
		s.accept = 0.3
	}
	if !(s.accept > 0 && s.accept < 1) {
		return nil, fmt.Errorf("sampler: PCN: TargetAccept is %g, want a number in (0, 1)", k.TargetAccept)
	}
	beta := k.Beta
	if beta == 0 {
		beta = 0.5
	}
	if !(beta > 0 && beta <= 1) {
		return nil, fmt.Errorf("sampler: PCN: Beta is %g, want a number in (0, 1]", k.Beta)
	}
	s.Beta.LogScale = math.Log(beta)
	return s, nil
}

type pcn struct {
	relative
	Beta   robbinsMonro
	accept float64
}

// Step implements State.
func (s *pcn) Step(rnd *rand.Rand, info *Info) error {
	beta := s.Beta.scale()
	s.drawNoise(rnd)
	s.propose(math.Sqrt(1-beta*beta), beta)
	phi, lp := s.evaluate(s.y)
	a := acceptance(phi - s.Phi)
	if math.IsInf(phi, -1) {
		a = 0
	}
	if rnd.Float64() < a {
		s.move(phi, lp)
	}
	*info = Info{LogProb: s.LogProb, Accept: a, StepSize: beta}
	return nil
}

// Adapt implements Adapter.
func (s *pcn) Adapt(_, _ int, _ *rand.Rand, info *Info) error {
	s.Beta.update(info.Accept, s.accept)
	s.Beta.LogScale = min(s.Beta.LogScale, 0)
	return nil
}

// New implements Kernel.
func (k *EllipticalSlice) New(t *Target, _ int) (State, error) {
	r, err := newRelative("EllipticalSlice", "Prior", t, k.Prior, k.Likelihood)
	if err != nil {
		return nil, err
	}
	return &ellipticalSlice{r}, nil
}

type ellipticalSlice struct{ relative }

// maxShrink bounds the loops that shrink a bracket around the chain's point.
// Each halves it on average, so that this many mean that there is no slice.
const maxShrink = 200

// Step implements State.
func (s *ellipticalSlice) Step(rnd *rand.Rand, info *Info) error {
	s.drawNoise(rnd)
	level := s.Phi - rnd.ExpFloat64()
	theta := 2 * math.Pi * rnd.Float64()
	lo, hi := theta-2*math.Pi, theta
	for range maxShrink {
		s.propose(math.Cos(theta), math.Sin(theta))
		if phi, lp := s.evaluate(s.y); phi > level && !math.IsInf(phi, 1) {
			s.move(phi, lp)
			break
		}
		if theta < 0 {
			lo = theta
		} else {
			hi = theta
		}
		theta = lo + (hi-lo)*rnd.Float64()
	}
	*info = Info{LogProb: s.LogProb, Accept: 1, StepSize: math.Abs(theta)}
	return nil
}
