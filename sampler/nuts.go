package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/kernel"
)

// NUTS is the no-U-turn sampler (Hoffman and Gelman, 2014) as Stan has it:
// multinomial sampling of the trajectory (Betancourt, 2017) and a U-turn
// criterion that looks across the joints of the tree too. Unlike Stan's it
// shortens single leapfrogs where the step size is too large, so that it goes
// into the neck of a funnel, and a transition counts as divergent only if the
// shortest ones fail too.
type NUTS struct {
	// Metric is the kind of mass matrix. The default is Automatic.
	Metric Metric
	// TargetAccept is the acceptance statistic that warm-up adapts the step
	// size to, in (0, 1): larger is slower and diverges less. If TargetAccept
	// is 0, it will be defaulted to 0.72.
	TargetAccept float64
	// Halvings is the greatest number of times that the step size is halved
	// for those parts of a trajectory where it is too large, as in the neck of
	// a funnel. If Halvings is 0, it will be defaulted to 10; a negative value
	// means none, which is NUTS as Stan has it.
	Halvings int
	// MaxDepth limits a trajectory to 2^MaxDepth - 1 leapfrogs. If MaxDepth
	// is 0, it will be defaulted to 10.
	MaxDepth int
	// StepSize is the step size that warm-up begins with, and that of the
	// whole run if there is none, in units of the metric. If StepSize is 0, a
	// search for a step that is accepted with probability TargetAccept gives
	// it.
	StepSize float64
	// MaxEnergyError is the error of the Hamiltonian above which a trajectory
	// counts as divergent. If MaxEnergyError is 0, it will be defaulted to
	// 1000.
	MaxEnergyError float64
}

var _ Kernel = (*NUTS)(nil)

// New implements Kernel.
func (k *NUTS) New(t *Target, warmup int) (State, error) {
	o, err := hamiltonianOptions{
		metric: k.Metric, targetAccept: k.TargetAccept, stepSize: k.StepSize, maxEnergyError: k.MaxEnergyError,
	}.withDefaults("NUTS", defaultNUTSAccept)
	if err != nil {
		return nil, err
	}
	s := &nuts{depth: k.MaxDepth, halvings: k.Halvings, o: o}
	if s.depth == 0 {
		s.depth = 10
	}
	if s.depth < 0 || s.depth > 30 {
		return nil, fmt.Errorf("sampler: NUTS: MaxDepth is %d, want 1 to 30", k.MaxDepth)
	}
	if s.halvings == 0 {
		s.halvings = 10
	}
	s.halvings = max(s.halvings, 0)
	if s.halvings > 20 {
		return nil, fmt.Errorf("sampler: NUTS: Halvings is %d, want 20 at most", k.Halvings)
	}
	s.hamiltonian, err = newHamiltonian("NUTS", t, o, warmup)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Where a step of three leapfrogs just spans a trajectory, as it does for a
// target that the metric makes round, NUTS is at its best, and not at 0.8,
// where it often takes seven for little gain.
const defaultNUTSAccept = 0.72

type nuts struct {
	hamiltonian
	depth    int
	halvings int
	o        hamiltonianOptions

	// The trajectory under way.
	rnd        *rand.Rand
	energy     float64 // at its start
	eps        float64 // with the sign of the direction
	leapfrogs  int     // gradients
	leaves     int     // of the tree
	accept     float64 // sum over the leaves
	acceptSym  float64
	diverged   bool
	transition transition

	_ [cacheLine]byte // between this chain and the next
}

// tree is a part of a trajectory. Its ends are in the order of integration.
type tree struct {
	first, last *point
	draw        *point    // a sample of its points, in proportion to exp(-H)
	rho         []float64 // sum of its momenta; nil if it is one point or two
	weight      float64   // Σ exp(H₀ - H)
}

// Step implements State.
func (s *nuts) Step(rnd *rand.Rand, info *Info) error {
	if err := s.firstStep(rnd, s.o.targetAccept); err != nil {
		return err
	}
	defer s.pool.reset()
	root := s.pool.get(s.dim())
	root.refs = 3
	s.start(root, rnd)
	s.rnd, s.energy, s.leapfrogs, s.leaves, s.accept, s.acceptSym, s.diverged = rnd, root.energy, 0, 0, 0, 0, false

	t := tree{first: root, last: root, draw: root, weight: 1}
	s.eps = s.StepSize
	depth, turned := 0, false
	for depth < s.depth {
		eps := s.StepSize
		if rnd.Uint64()&1 == 0 {
			eps = -eps
		}
		if eps != s.eps {
			s.eps = eps
			t.first, t.last = t.last, t.first
		}
		next, ok := s.build(t.last, depth)
		if !ok {
			turned = true
			break
		}
		depth++
		// Biased progressive sampling prefers the new half.
		if !s.join(&t, &next, rnd.Float64()*t.weight < next.weight) {
			turned = true
			break
		}
	}
	s.finish(t.draw)

	n := float64(s.leaves)
	s.transition = transition{accept: s.accept / n, acceptSym: s.acceptSym / n, index: t.draw.index, diverged: s.diverged}
	*info = Info{
		LogProb: s.LogProb, Accept: s.accept / n, StepSize: s.StepSize, Depth: depth,
		Leapfrogs: s.leapfrogs, Divergent: s.diverged, Energy: t.draw.energy, Saturated: !turned,
	}
	if s.diverged {
		info.Reason = errEnergy
	}
	return nil
}

// build integrates 2^depth steps on from a point. It reports false if the
// trajectory is to end: it diverged, or one of its sub-trees made a U-turn.
func (s *nuts) build(from *point, depth int) (tree, bool) {
	if depth == 0 {
		return s.leaf(from)
	}
	t, ok := s.build(from, depth-1)
	if !ok {
		return t, false
	}
	next, ok := s.build(t.last, depth-1)
	if !ok {
		return t, false
	}
	// Uniform progressive sampling: w₂/(w₁+w₂).
	return t, s.join(&t, &next, s.rnd.Float64()*(t.weight+next.weight) < next.weight)
}

// maxLogWeight keeps the sum of weights within the range of a float64. Only a
// chain on its way in can gain so much energy, and it keeps to the best points
// all the same.
const maxLogWeight = 600

// leaf makes one leapfrog, or several short ones in its place.
func (s *nuts) leaf(from *point) (tree, bool) {
	q := s.pool.get(s.dim())
	q.refs = 3
	s.leapfrog(q, from, s.eps)
	s.leapfrogs++
	s.leaves++
	d := s.energy - q.energy
	e := math.Exp(-min(math.Abs(d), maxLogWeight))
	if local := math.Abs(q.energy - from.energy); local <= maxLocalError || s.halvings == 0 {
		s.count(d, e)
	} else {
		// The step size is judged by the leapfrog that it has made.
		s.count(from.energy-q.energy, 0)
		if !s.halve(q, from) {
			return tree{}, false
		}
		d = s.energy - q.energy
		e = math.Exp(-min(math.Abs(d), maxLogWeight))
	}
	if -d > s.o.maxEnergyError {
		s.diverged = true
		return tree{}, false
	}
	w := e
	if d > 0 {
		w = 1 / e
	}
	return tree{first: q, last: q, draw: q, weight: w}, true
}

// count adds min(1, exp(d)) to the acceptance statistic, and to the symmetric
// one of nuts-rs 2 min(1, exp(d))/(1 + exp(d)), with e = exp(-|d|).
func (s *nuts) count(d, e float64) {
	if d < 0 {
		s.accept += e
	} else {
		s.accept++
	}
	s.acceptSym += 2 * e / (1 + e)
}

// join appends next, which takes up where t ends, to t. It takes next's draw
// if take is true, and reports whether the trajectory has not made a U-turn.
func (s *nuts) join(t, next *tree, take bool) bool {
	var straight bool
	switch {
	case t.first == t.last:
		straight = straightPair(t.last.p, next.first.p)
	case t.rho == nil:
		t.rho = s.pool.vector(s.dim())
		straight = straightPairs(t, next)
	default:
		straight = straightTrees(t, next)
		s.pool.releaseVector(next.rho)
	}
	if take {
		t.draw, next.draw = next.draw, t.draw
	}
	s.pool.release(next.draw)
	s.pool.release(t.last)
	s.pool.release(next.first)
	t.last = next.last
	t.weight += next.weight
	return straight
}

// straightPair reports whether (a + b)·a > 0 and (a + b)·b > 0.
func straightPair(a, b []float64) bool {
	d := kernel.TurnPair(a, b)
	return d[0] > 0 && d[1] > 0
}

// straightTrees adds next.rho to t.rho and reports whether the sum makes an
// acute angle with the momenta at both ends, and likewise each part together
// with the nearest momentum of the other part.
func straightTrees(t, next *tree) bool {
	return acute(kernel.TurnTrees(t.rho, t.first.p, t.last.p, next.rho, next.first.p, next.last.p))
}

// straightPairs is straightTrees for trees of two points, and sets t.rho.
func straightPairs(t, next *tree) bool {
	return acute(kernel.TurnPairs(t.rho, t.first.p, t.last.p, next.first.p, next.last.p))
}

func acute(dots [6]float64) bool {
	for _, d := range dots {
		if !(d > 0) {
			return false
		}
	}
	return true
}

// Adapt implements Adapter.
func (s *nuts) Adapt(i, n int, rnd *rand.Rand, _ *Info) error {
	return s.Warmup.adapt(&s.hamiltonian, i, n, &s.transition, rnd)
}
