package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// point is a state of the Hamiltonian system in the coordinates that the
// metric whitens: x = L z with p ~ N(0, I), the inverse mass matrix being L Lᵀ.
// What classical notation calls p# = M⁻¹p is then p itself.
type point struct {
	x, p   []float64
	g      []float64 // score at x
	w      []float64 // Lᵀg, the score in z, for metrics that are not diagonal
	logp   float64
	energy float64 // H = -log π(x) + pᵀp/2
	index  int     // position in the trajectory, 0 at its start
	refs   int
}

// pool keeps points and vectors for reuse, so that a transition does not
// allocate.
type pool struct {
	points, freePoints   []*point
	vectors, freeVectors [][]float64
}

func (s *pool) get(d int) *point {
	if n := len(s.freePoints); n > 0 {
		q := s.freePoints[n-1]
		s.freePoints = s.freePoints[:n-1]
		return q
	}
	b := make([]float64, 4*d)
	q := &point{x: b[:d:d], p: b[d : 2*d : 2*d], g: b[2*d : 3*d : 3*d], w: b[3*d:]}
	s.points = append(s.points, q)
	return q
}

// release gives up one reference to q.
func (s *pool) release(q *point) {
	if q.refs--; q.refs == 0 {
		s.put(q)
	}
}

// put gives back a point that nothing refers to.
func (s *pool) put(q *point) { s.freePoints = append(s.freePoints, q) }

func (s *pool) vector(d int) []float64 {
	if n := len(s.freeVectors); n > 0 {
		v := s.freeVectors[n-1]
		s.freeVectors = s.freeVectors[:n-1]
		return v
	}
	v := make([]float64, d)
	s.vectors = append(s.vectors, v)
	return v
}

func (s *pool) releaseVector(v []float64) { s.freeVectors = append(s.freeVectors, v) }

// reset takes everything back.
func (s *pool) reset() {
	s.freePoints = append(s.freePoints[:0], s.points...)
	s.freeVectors = append(s.freeVectors[:0], s.vectors...)
	for _, q := range s.points {
		q.refs = 0
	}
}

// hamiltonian is what HMC and NUTS have in common: the chain's point, the
// metric, the step size, and how they adapt.
type hamiltonian struct {
	X, G     []float64 // position and score
	LogProb  float64
	StepSize float64
	Metric   metric
	Warmup   *adaptation // nil if there is none

	target *Target
	pool   pool
}

// hamiltonianOptions are the settings that HMC and NUTS share.
type hamiltonianOptions struct {
	metric                                 Metric
	targetAccept, stepSize, maxEnergyError float64
}

func (o hamiltonianOptions) withDefaults(kernel string, accept float64) (hamiltonianOptions, error) {
	if o.targetAccept == 0 {
		o.targetAccept = accept
	}
	if !(o.targetAccept > 0 && o.targetAccept < 1) {
		return o, fmt.Errorf("sampler: %s: TargetAccept is %g, want a number in (0, 1)", kernel, o.targetAccept)
	}
	if !(o.stepSize >= 0) || math.IsInf(o.stepSize, 1) {
		return o, fmt.Errorf("sampler: %s: StepSize is %g, want a positive number", kernel, o.stepSize)
	}
	if o.maxEnergyError == 0 {
		o.maxEnergyError = 1000
	}
	if !(o.maxEnergyError > 0) {
		return o, fmt.Errorf("sampler: %s: MaxEnergyError is %g, want a positive number", kernel, o.maxEnergyError)
	}
	return o, nil
}

func newHamiltonian(kernel string, t *Target, o hamiltonianOptions, warmup int) (hamiltonian, error) {
	h := hamiltonian{target: t, StepSize: o.stepSize}
	if err := t.needs(kernel, true, true); err != nil {
		return h, err
	}
	d := t.Dim()
	h.X, h.G = make([]float64, d), make([]float64, d)
	o.metric = o.metric.of(d)
	var err error
	if h.Metric, err = newMetric(o.metric, d); err != nil {
		return h, fmt.Errorf("sampler: %s: %w", kernel, err)
	}
	if warmup > 0 {
		h.Warmup = newAdaptation(o, d)
	}
	return h, nil
}

// maxScore is the steepest score that a chain can start from: beyond it a step
// is lost in the rounding of the point.
const maxScore = 1e20

func (h *hamiltonian) dim() int { return len(h.X) }

// Set implements State.
func (h *hamiltonian) Set(x []float64) error {
	copy(h.X, x)
	h.LogProb = h.target.LogProbScore(h.G, h.X)
	if math.IsInf(h.LogProb, -1) {
		return h.target.startError(h.LogProb)
	}
	for _, g := range h.G {
		if math.Abs(g) > maxScore {
			return fmt.Errorf("the score is %g, too steep for any step size", g)
		}
	}
	if h.Warmup != nil {
		h.Warmup.begin(h)
	}
	return nil
}

// Position implements State.
func (h *hamiltonian) Position() []float64 { return h.X }

// start sets q to the chain's point with a fresh momentum.
func (h *hamiltonian) start(q *point, rnd *rand.Rand) {
	copy(q.x, h.X)
	copy(q.g, h.G)
	h.Metric.pull(q.w, q.g)
	kinetic := 0.0
	for i := range q.p {
		v := rnd.NormFloat64()
		q.p[i] = v
		kinetic += v * v
	}
	q.logp, q.energy, q.index = h.LogProb, kinetic/2-h.LogProb, 0
}

// finish makes q the chain's point.
func (h *hamiltonian) finish(q *point) {
	copy(h.X, q.x)
	copy(h.G, q.g)
	h.LogProb = q.logp
}

// leapfrog sets q to the point one step of size eps, which may be negative,
// beyond from:
//
//	p½ = p + ε/2 ∇log π(z),   z' = z + ε p½,   p' = p½ + ε/2 ∇log π(z')
//
// Where the target is zero or fails the energy is +Inf.
func (h *hamiltonian) leapfrog(q, from *point, eps float64) {
	h.Metric.drift(q, from, eps)
	q.logp = h.target.unchecked(q.g, q.x)
	if math.IsInf(q.logp, -1) {
		q.energy = math.Inf(1)
		return
	}
	q.energy = h.Metric.kick(q, eps)/2 - q.logp
	// A score that is not finite makes an energy that is not.
	if !(q.energy < math.Inf(1)) {
		h.target.checkScore(q.g, q.x)
		q.energy = math.Inf(1)
	}
	q.index = from.index + 1
	if eps < 0 {
		q.index = from.index - 1
	}
}
