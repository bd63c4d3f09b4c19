package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

var errEnergy = errors.New("the error of the Hamiltonian exceeds MaxEnergyError")

// HMC is Hamiltonian Monte Carlo with trajectories of a fixed length (Neal,
// 2011). It needs an integration time that suits the target; NUTS does not.
type HMC struct {
	// Time is the integration time, in units of the metric. A trajectory has
	// ceil(Time/ε) leapfrogs, 1024 at most. If Time is 0, it will be
	// defaulted to π/2, which gives independent draws where the metric makes
	// the target round.
	Time float64
	// Jitter is the relative width of the uniform distribution that the step
	// size of each trajectory is drawn from, so that none returns to where it
	// began. If Jitter is 0, it will be defaulted to 0.2; a negative value
	// means none.
	Jitter float64
	// Metric is the kind of mass matrix. The default is Automatic.
	Metric Metric
	// TargetAccept is the acceptance probability that warm-up adapts the step
	// size to. If TargetAccept is 0, it will be defaulted to 0.8.
	TargetAccept float64
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

var _ Kernel = (*HMC)(nil)

// New implements Kernel.
func (k *HMC) New(t *Target, warmup int) (State, error) {
	o, err := hamiltonianOptions{metric: k.Metric, targetAccept: k.TargetAccept, stepSize: k.StepSize, maxEnergyError: k.MaxEnergyError}.withDefaults("HMC", 0.8)
	if err != nil {
		return nil, err
	}
	s := &hmc{time: k.Time, jitter: k.Jitter, o: o}
	if s.time == 0 {
		s.time = math.Pi / 2
	}
	if !(s.time > 0) || math.IsInf(s.time, 1) {
		return nil, fmt.Errorf("sampler: HMC: Time is %g, want a positive number", k.Time)
	}
	if s.jitter == 0 {
		s.jitter = 0.2
	}
	s.jitter = max(s.jitter, 0)
	if !(s.jitter < 2) {
		return nil, fmt.Errorf("sampler: HMC: Jitter is %g, want a number below 2", k.Jitter)
	}
	s.hamiltonian, err = newHamiltonian("HMC", t, o, warmup)
	if err != nil {
		return nil, err
	}
	return s, nil
}

type hmc struct {
	hamiltonian
	time, jitter float64
	o            hamiltonianOptions
	transition   transition
}

const maxHMCSteps = 1024

// Step implements State.
func (s *hmc) Step(rnd *rand.Rand, info *Info) error {
	if err := s.firstStep(rnd, s.o.targetAccept); err != nil {
		return err
	}
	defer s.pool.reset()
	root, q, next := s.pool.get(s.dim()), s.pool.get(s.dim()), s.pool.get(s.dim())
	s.start(root, rnd)
	eps := s.StepSize * (1 + s.jitter*(rnd.Float64()-0.5))
	steps := int(min(max(1, math.Ceil(s.time/s.StepSize)), maxHMCSteps))
	s.leapfrog(q, root, eps)
	n := 1
	for ; n < steps && q.energy-root.energy <= s.o.maxEnergyError; n++ {
		s.leapfrog(next, q, eps)
		q, next = next, q
	}
	d := root.energy - q.energy
	*info = Info{Accept: min(1, math.Exp(d)), StepSize: s.StepSize, Leapfrogs: n, Energy: root.energy}
	if -d > s.o.maxEnergyError {
		info.Divergent, info.Reason, info.Accept = true, errEnergy, 0
	}
	e := math.Exp(-math.Abs(d))
	s.transition = transition{accept: info.Accept, acceptSym: 2 * e / (1 + e), diverged: info.Divergent}
	if !info.Divergent && rnd.Float64() < info.Accept {
		s.finish(q)
		s.transition.index = q.index
		info.Energy = q.energy
	}
	info.LogProb = s.LogProb
	return nil
}

// Adapt implements Adapter.
func (s *hmc) Adapt(i, n int, rnd *rand.Rand, _ *Info) error {
	return s.Warmup.adapt(&s.hamiltonian, i, n, &s.transition, rnd)
}
