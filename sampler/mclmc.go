package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// MCLMC is microcanonical Langevin Monte Carlo (Robnik, De Luca, Silverstein
// and Seljak, 2023): a particle of constant speed whose direction turns with
// the score and is partly refreshed. Nothing is rejected, so that the draws
// are biased in proportion to the variance of the energy error, which warm-up
// sets; in many dimensions it needs far fewer gradients than NUTS.
type MCLMC struct {
	// EnergyVariance is the variance of the energy error of a step, for each
	// dimension, that warm-up adapts the step size to. If EnergyVariance is
	// 0, it will be defaulted to 5e-4.
	EnergyVariance float64
	// StepSize is the step size that warm-up begins with, and that of the
	// whole run without warm-up, in units of the metric. If StepSize is 0, it
	// will be defaulted to √d/4.
	StepSize float64
	// Length is the distance in which the momentum decoheres, in units of the
	// metric. If Length is 0, it will be defaulted to √d.
	Length float64
	// Steps is the number of steps made for each draw. If Steps is 0, as many
	// are made as go the distance Length, 1024 at most.
	Steps int
}

var _ Kernel = (*MCLMC)(nil)

// New implements Kernel.
func (k *MCLMC) New(t *Target, warmup int) (State, error) {
	d := t.Dim()
	if d < 2 {
		return nil, errors.New("sampler: MCLMC needs two dimensions or more: in one it cannot turn")
	}
	root := math.Sqrt(float64(d))
	variance, step, length := k.EnergyVariance, k.StepSize, k.Length
	for _, o := range []struct {
		name  string
		value *float64
		def   float64
	}{{"EnergyVariance", &variance, 5e-4}, {"StepSize", &step, root / 4}, {"Length", &length, root}} {
		if *o.value == 0 {
			*o.value = o.def
		}
		if !(*o.value > 0) || math.IsInf(*o.value, 1) {
			return nil, fmt.Errorf("sampler: MCLMC: %s is %g, want a positive number", o.name, *o.value)
		}
	}
	if k.Steps < 0 {
		return nil, fmt.Errorf("sampler: MCLMC: Steps is %d, want 1 or more", k.Steps)
	}
	h, err := newHamiltonian("MCLMC", t, hamiltonianOptions{stepSize: step}, warmup)
	if err != nil {
		return nil, err
	}
	return &mclmc{hamiltonian: h, P: make([]float64, d), variance: variance, length: length, steps: k.Steps}, nil
}

type mclmc struct {
	hamiltonian
	P []float64 // direction of motion, of unit length; zero at the start
	// The averages of equation 15 of the paper, with which the step adapts.
	SumSixth, SumWeight float64

	variance, length float64
	steps            int
	transition       transition
}

// Coefficients of McLachlan's minimal-norm integrator of second order.
const (
	mclachlanB = 0.1931833275037836
	mclachlanA = 0.5
)

// Step implements State.
func (s *mclmc) Step(rnd *rand.Rand, info *Info) error {
	defer s.pool.reset()
	d := float64(s.dim())
	q, next := s.pool.get(s.dim()), s.pool.get(s.dim())
	copy(q.x, s.X)
	copy(q.g, s.G)
	copy(q.p, s.P)
	q.logp = s.LogProb
	s.Metric.pull(q.w, q.g)
	if dotUnit(q.p) == 0 {
		s.refresh(q.p, math.Inf(1), rnd)
	}
	steps := s.steps
	if steps == 0 {
		steps = int(min(max(1, math.Round(s.length/s.StepSize)), 1024))
	}
	*info = Info{StepSize: s.StepSize, Accept: 1}
	var square float64
	for range steps {
		info.Leapfrogs += 2
		err, ok := s.advance(next, q)
		if !ok {
			info.Divergent, info.Accept = true, 0
			// Turn round, so as not to run into the same wall again.
			for i := range q.p {
				q.p[i] = -q.p[i]
			}
			square += 100 * s.variance * d
			s.refresh(q.p, s.StepSize, rnd)
			continue
		}
		square += err * err
		q, next = next, q
		s.refresh(q.p, s.StepSize, rnd)
	}
	s.finish(q)
	copy(s.P, q.p)
	info.LogProb = s.LogProb
	// A mean square error per dimension, which Adapt uses.
	info.Energy = square / (float64(steps) * d)
	s.transition = transition{accept: 1, acceptSym: 1, index: 1, diverged: info.Divergent}
	if info.Divergent {
		s.transition.index = 0
	}
	return nil
}

// advance sets to to the point one step beyond from and returns the error of
// the energy. It reports false where the target is zero or fails.
func (s *mclmc) advance(to, from *point) (float64, bool) {
	eps := s.StepSize
	copy(to.p, from.p)
	kinetic := s.turn(to.p, from.w, mclachlanB*eps)
	s.Metric.move(to.x, from.x, to.p, mclachlanA*eps)
	lp := s.target.LogProbScore(to.g, to.x)
	if math.IsInf(lp, -1) {
		return 0, false
	}
	s.Metric.pull(to.w, to.g)
	kinetic += s.turn(to.p, to.w, (1-2*mclachlanB)*eps)
	s.Metric.move(to.x, to.x, to.p, mclachlanA*eps)
	to.logp = s.target.LogProbScore(to.g, to.x)
	if math.IsInf(to.logp, -1) {
		return 0, false
	}
	s.Metric.pull(to.w, to.g)
	kinetic += s.turn(to.p, to.w, mclachlanB*eps)
	err := kinetic - (to.logp - from.logp)
	return err, !math.IsNaN(err) && !math.IsInf(err, 0)
}

// turn rotates the direction u towards the force g for a time eps and returns
// the change of the kinetic energy. With e = g/|g| and δ = ε|g|/(d-1),
//
//	u' = (u + e (sinh δ + (e·u)(cosh δ - 1))) / (cosh δ + (e·u) sinh δ)
//	ΔK = (d-1) log(cosh δ + (e·u) sinh δ),
//
// here multiplied out by exp(-δ), which cannot overflow.
func (s *mclmc) turn(u, g []float64, eps float64) float64 {
	d := float64(len(u) - 1)
	norm := math.Sqrt(dotUnit(g))
	if norm == 0 {
		return 0
	}
	delta := eps * norm / d
	var eu float64
	for i, v := range u {
		eu += v * g[i]
	}
	eu /= norm
	zeta := math.Exp(-delta)
	a := (1 - zeta) * (1 + zeta + eu*(1-zeta)) / norm
	var square float64
	for i, v := range u {
		v = a*g[i] + 2*zeta*v
		u[i] = v
		square += v * v
	}
	inv := 1 / math.Sqrt(square)
	for i := range u {
		u[i] *= inv
	}
	return d * (delta - math.Ln2 + math.Log(1+eu+(1-eu)*zeta*zeta))
}

// refresh mixes u with a random direction, so that it decoheres over Length:
// u' ~ u + ν z with ν² = (exp(2ε/L) - 1)/d.
func (s *mclmc) refresh(u []float64, eps float64, rnd *rand.Rand) {
	nu := math.Sqrt(math.Expm1(2*eps/s.length) / float64(len(u)))
	fresh := math.IsInf(eps, 1)
	var square float64
	for i := range u {
		z := rnd.NormFloat64()
		if fresh {
			u[i] = z
		} else {
			u[i] += nu * z
		}
		square += u[i] * u[i]
	}
	inv := 1 / math.Sqrt(square)
	for i := range u {
		u[i] *= inv
	}
}

func dotUnit(u []float64) float64 {
	var s float64
	for _, v := range u {
		s += v * v
	}
	return s
}

// Adapt implements Adapter. The metric adapts as that of NUTS does, and the
// step size so that the mean square of the energy error is EnergyVariance for
// each dimension, by its being proportional to ε⁶ (equation 15 of the paper).
func (s *mclmc) Adapt(i, n int, _ *rand.Rand, info *Info) error {
	restart, _ := s.Warmup.Plan.adapt(&s.hamiltonian, i, n, &s.transition)
	if restart {
		s.SumSixth, s.SumWeight = 0, 0
	}
	xi := info.Energy/s.variance + 1e-8
	const trust, memory = 1.5, 0.98
	z := math.Log(xi) / (6 * trust)
	w := math.Exp(-z * z / 2)
	s.SumSixth = memory*s.SumSixth + w*xi/math.Pow(s.StepSize, 6)
	s.SumWeight = memory*s.SumWeight + w
	if s.SumSixth > 0 {
		step := math.Pow(s.SumSixth/s.SumWeight, -1.0/6)
		// A step that goes beyond Length would forget its direction within it.
		s.StepSize = min(max(step, s.StepSize/2), 2*s.StepSize, s.length)
	}
	return nil
}
