package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// AdaptiveMetropolis is random-walk Metropolis whose proposal has the
// covariance of the chain so far (Haario, Saksman and Tamminen, 2001), kept as
// a Cholesky factor that each draw updates by rank one, and a scale adapted to
// the acceptance rate.
type AdaptiveMetropolis struct {
	// Covariance is that of the first proposals, up to a scale. If Covariance
	// is nil, it will be defaulted to the identity.
	Covariance mat.Symmetric
	// Forever goes on adapting after warm-up, as the paper does, with a gain
	// that vanishes. By default the proposal is that of the end of warm-up.
	Forever bool
}

// DRAM is AdaptiveMetropolis with delayed rejection (Haario, Laine, Mira and
// Saksman, 2006): when a proposal is rejected, a smaller one is tried.
type DRAM struct {
	// Covariance and Forever are those of AdaptiveMetropolis.
	Covariance mat.Symmetric
	Forever    bool
	// Shrink is the factor between the scales of the second and the first
	// proposal, in (0, 1). If Shrink is 0, it will be defaulted to 0.2.
	Shrink float64
}

var (
	_ Kernel = (*AdaptiveMetropolis)(nil)
	_ Kernel = (*DRAM)(nil)
)

// New implements Kernel.
func (k *AdaptiveMetropolis) New(t *Target, _ int) (State, error) {
	return newAdaptive("AdaptiveMetropolis", t, k.Covariance, k.Forever, 0)
}

// New implements Kernel.
func (k *DRAM) New(t *Target, _ int) (State, error) {
	shrink := k.Shrink
	if shrink == 0 {
		shrink = 0.2
	}
	if !(shrink > 0 && shrink < 1) {
		return nil, fmt.Errorf("sampler: DRAM: Shrink is %g, want a number in (0, 1)", k.Shrink)
	}
	return newAdaptive("DRAM", t, k.Covariance, k.Forever, shrink)
}

type adaptive struct {
	walker
	Scale robbinsMonro
	Mean  []float64
	L     []float64 // lower Cholesky factor of the covariance, row-major
	N     int       // draws that it has seen

	forever    bool
	shrink     float64 // 0: no second try
	first      float64 // acceptance probability of the first try
	z, z2, dev []float64
}

func newAdaptive(kernel string, t *Target, cov mat.Symmetric, forever bool, shrink float64) (State, error) {
	w, err := newWalker(kernel, t)
	if err != nil {
		return nil, err
	}
	d := t.Dim()
	s := &adaptive{
		walker: w, Mean: make([]float64, d), L: newDense(d).L, forever: forever, shrink: shrink,
		z: make([]float64, d), z2: make([]float64, d), dev: make([]float64, d),
	}
	if cov != nil {
		if s.L, err = choleskyRows(cov, d); err != nil {
			return nil, fmt.Errorf("sampler: %s: Covariance %w", kernel, err)
		}
	}
	s.Scale.LogScale, err = logScale(kernel, 0, d)
	return s, err
}

// Step implements State.
func (s *adaptive) Step(rnd *rand.Rand, info *Info) error {
	scale := s.Scale.scale()
	s.propose(s.z, scale, rnd)
	lp1 := s.target.LogProb(s.y)
	a1 := acceptance(lp1 - s.LogProb)
	s.first = a1
	total := a1
	switch {
	case rnd.Float64() < a1:
		copy(s.X, s.y)
		s.LogProb = lp1
	case s.shrink > 0:
		a2 := s.second(scale, lp1, a1, rnd)
		total += (1 - a1) * a2
	}
	*info = Info{Accept: total, StepSize: scale, LogProb: s.LogProb}
	if s.forever {
		s.learn()
	}
	return nil
}

// propose draws z and sets y to x + scale L z.
func (s *adaptive) propose(z []float64, scale float64, rnd *rand.Rand) {
	normals(z, rnd)
	mulLower(s.y, s.L, z)
	for i, x := range s.X {
		s.y[i] = x + scale*s.y[i]
	}
}

// second tries y₂ = x + γ scale L z₂ after y₁ was rejected. It is accepted
// with probability
//
//	min(1, π(y₂) q(y₁|y₂) (1 - α(y₂, y₁)) / (π(x) q(y₁|x) (1 - α(x, y₁))))
//
// (Haario et al., 2006, equation 5), where q(y₁|y₂)/q(y₁|x) needs no solve,
// because y₁ - y₂ = scale L (z₁ - γ z₂).
func (s *adaptive) second(scale, lp1, a1 float64, rnd *rand.Rand) float64 {
	s.propose(s.z2, s.shrink*scale, rnd)
	lp2 := s.target.LogProb(s.y)
	back := acceptance(lp1 - lp2) // α(y₂, y₁)
	if math.IsInf(lp2, -1) || back == 1 {
		return 0
	}
	var q float64
	for i, z := range s.z {
		v := z - s.shrink*s.z2[i]
		q += z*z - v*v
	}
	a := acceptance(lp2 - s.LogProb + q/2 + math.Log1p(-back) - math.Log1p(-a1))
	if rnd.Float64() < a {
		copy(s.X, s.y)
		s.LogProb = lp2
	}
	return a
}

// Adapt implements Adapter.
func (s *adaptive) Adapt(int, int, *rand.Rand, *Info) error {
	if !s.forever {
		s.learn()
	}
	return nil
}

// learn updates mean, covariance and scale with the gain 1/n^0.8, which
// forgets the way in faster than the paper's 1/n.
func (s *adaptive) learn() {
	s.N++
	d := len(s.X)
	s.Scale.update(s.first, targetRate(d))
	if s.N == 1 {
		copy(s.Mean, s.X)
		return
	}
	gain := math.Pow(float64(s.N), -0.8)
	// The covariance of the first draws has not full rank: the identity that
	// L begins with is forgotten as they come in, not before.
	gain = min(gain, 1/float64(d+1))
	for i, x := range s.X {
		s.dev[i] = x - s.Mean[i]
		s.Mean[i] += gain * s.dev[i]
	}
	root := math.Sqrt(1 - gain)
	for i := range s.L {
		s.L[i] *= root
	}
	root = math.Sqrt(gain)
	for i := range s.dev {
		s.dev[i] *= root
	}
	choleskyUpdate(s.L, s.dev)
	// A chain that stays where it is must not make the factor singular.
	for i := range d {
		if v := &s.L[i*d+i]; *v < 1e-12 {
			*v = 1e-12
		}
	}
}

// choleskyUpdate makes L the factor of L Lᵀ + v vᵀ by Givens rotations (Golub
// and Van Loan, section 6.5.4). It overwrites v.
func choleskyUpdate(l, v []float64) {
	d := len(v)
	for j := range d {
		r := math.Hypot(l[j*d+j], v[j])
		if r == 0 {
			continue
		}
		c, s := l[j*d+j]/r, v[j]/r
		l[j*d+j] = r
		for i := j + 1; i < d; i++ {
			t := l[i*d+j]
			l[i*d+j] = c*t + s*v[i]
			v[i] = c*v[i] - s*t
		}
	}
}
