package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// MALA is the Metropolis-adjusted Langevin algorithm (Roberts and Tweedie,
// 1996), preconditioned by the metric: one leapfrog of HMC.
type MALA struct {
	// Metric is the kind of preconditioner. The default is Automatic.
	Metric Metric
	// TargetAccept is the acceptance probability that warm-up adapts the step
	// size to. If TargetAccept is 0, it will be defaulted to 0.574.
	TargetAccept float64
	// StepSize is the step size that warm-up begins with, and that of the
	// whole run if there is none: ε in x + ε²/2 C∇log π + ε C^½ z. If
	// StepSize is 0, a search gives it.
	StepSize float64
}

var _ Kernel = (*MALA)(nil)

// New implements Kernel.
func (k *MALA) New(t *Target, warmup int) (State, error) {
	o, err := hamiltonianOptions{metric: k.Metric, targetAccept: k.TargetAccept, stepSize: k.StepSize}.withDefaults("MALA", 0.574)
	if err != nil {
		return nil, err
	}
	o.maxEnergyError = math.Inf(1) // a rejection is not a divergence
	s := &hmc{o: o}
	if s.hamiltonian, err = newHamiltonian("MALA", t, o, warmup); err != nil {
		return nil, err
	}
	return s, nil
}

// Barker is the Barker proposal (Livingstone and Zanella, 2022), which turns
// each coordinate's step towards larger density with the probability of a
// logistic function of the gradient. It is as fast as MALA and does not break
// down where the step size is wrong.
type Barker struct {
	// Metric is the kind of preconditioner. The default is Automatic.
	Metric Metric
	// TargetAccept is the acceptance probability that warm-up adapts the step
	// size to. If TargetAccept is 0, it will be defaulted to 0.4.
	TargetAccept float64
	// StepSize is the step size that warm-up begins with, and that of the
	// whole run if there is none. If StepSize is 0, a search gives it.
	StepSize float64
}

var _ Kernel = (*Barker)(nil)

// New implements Kernel.
func (k *Barker) New(t *Target, warmup int) (State, error) {
	o, err := hamiltonianOptions{metric: k.Metric, targetAccept: k.TargetAccept, stepSize: k.StepSize}.withDefaults("Barker", 0.4)
	if err != nil {
		return nil, err
	}
	s := &barker{accept: o.targetAccept}
	if s.hamiltonian, err = newHamiltonian("Barker", t, o, warmup); err != nil {
		return nil, err
	}
	return s, nil
}

type barker struct {
	hamiltonian
	accept     float64
	transition transition
}

// Step implements State.
func (s *barker) Step(rnd *rand.Rand, info *Info) error {
	if err := s.firstStep(rnd, s.accept); err != nil {
		return err
	}
	defer s.pool.reset()
	from, to := s.pool.get(s.dim()), s.pool.get(s.dim())
	s.Metric.pull(from.w, s.G)
	for i, w := range from.w {
		step := s.StepSize * rnd.NormFloat64()
		if rnd.Float64()*(1+math.Exp(-step*w)) > 1 {
			step = -step
		}
		to.p[i] = step
	}
	s.Metric.move(to.x, s.X, to.p, 1)
	to.logp = s.target.LogProbScore(to.g, to.x)
	a := 0.0
	if !math.IsInf(to.logp, -1) {
		s.Metric.pull(to.w, to.g)
		r := to.logp - s.LogProb
		for i, step := range to.p {
			r += log1pExp(-step*from.w[i]) - log1pExp(step*to.w[i])
		}
		a = acceptance(r)
	}
	s.transition = transition{accept: a, acceptSym: a}
	if rnd.Float64() < a {
		s.finish(to)
		s.transition.index = 1
	}
	*info = Info{LogProb: s.LogProb, Accept: a, StepSize: s.StepSize, Leapfrogs: 1}
	return nil
}

// Adapt implements Adapter.
func (s *barker) Adapt(i, n int, rnd *rand.Rand, _ *Info) error {
	return s.Warmup.adapt(&s.hamiltonian, i, n, &s.transition, rnd)
}

// log1pExp returns log(1 + exp(x)).
func log1pExp(x float64) float64 {
	return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

// ULA is the unadjusted Langevin algorithm x + h∇log π(x) + √(2h) z. It needs
// the score alone, nothing is rejected, and the draws are biased in proportion
// to the step h.
type ULA struct {
	// StepSize is h. It must be positive; for a normal target below twice the
	// smallest variance, and much below for a small bias.
	StepSize float64
}

// MYULA is the Moreau-Yosida regularised unadjusted Langevin algorithm
// (Durmus, Moulines and Pereyra, 2018) for a density proportional to
// exp(-f - g) with a smooth f, the target, and a g that is convex but need not
// have a gradient, such as a total variation, given by its proximal operator:
//
//	x + h∇log π_f(x) - (h/λ)(x - prox_λg(x)) + √(2h) z
type MYULA struct {
	// StepSize is h. It must be positive, and below λ/(λL + 1) for an f whose
	// gradient has the Lipschitz constant L.
	StepSize float64
	// Prox stores argmin_u g(u) + |u - x|²/2λ in dst. It may not change x,
	// and must be safe for concurrent use.
	Prox func(dst, x []float64, lambda float64)
	// Lambda is λ. If Lambda is 0, it will be defaulted to StepSize.
	Lambda float64
}

var (
	_ Kernel = (*ULA)(nil)
	_ Kernel = (*MYULA)(nil)
)

// New implements Kernel.
func (k *ULA) New(t *Target, _ int) (State, error) {
	return newLangevin("ULA", t, k.StepSize, nil, 1)
}

// New implements Kernel.
func (k *MYULA) New(t *Target, _ int) (State, error) {
	if k.Prox == nil {
		return nil, errors.New("sampler: MYULA: Prox is nil")
	}
	lambda := k.Lambda
	if lambda == 0 {
		lambda = k.StepSize
	}
	if !(lambda > 0) || math.IsInf(lambda, 1) {
		return nil, fmt.Errorf("sampler: MYULA: Lambda is %g, want a positive number", lambda)
	}
	return newLangevin("MYULA", t, k.StepSize, k.Prox, lambda)
}

func newLangevin(kernel string, t *Target, h float64, prox func(dst, x []float64, lambda float64), lambda float64) (State, error) {
	if err := t.needs(kernel, false, true); err != nil {
		return nil, err
	}
	if !(h > 0) || math.IsInf(h, 1) {
		return nil, fmt.Errorf("sampler: %s: StepSize is %g, want a positive number", kernel, h)
	}
	d := t.Dim()
	return &langevin{
		X: make([]float64, d), G: make([]float64, d), target: t, h: h, prox: prox, lambda: lambda,
		y: make([]float64, d), gy: make([]float64, d), p: make([]float64, d),
	}, nil
}

type langevin struct {
	X, G    []float64
	LogProb float64 // 0 if the target has only a score

	target   *Target
	h        float64
	prox     func(dst, x []float64, lambda float64)
	lambda   float64
	y, gy, p []float64
}

// Set implements State.
func (s *langevin) Set(x []float64) error {
	copy(s.X, x)
	s.LogProb = s.target.LogProbScore(s.G, s.X)
	if math.IsInf(s.LogProb, -1) {
		return s.target.startError(s.LogProb)
	}
	return nil
}

// Position implements State.
func (s *langevin) Position() []float64 { return s.X }

// Step implements State. Where the target fails the chain stays.
func (s *langevin) Step(rnd *rand.Rand, info *Info) error {
	if s.prox != nil {
		s.prox(s.p, s.X, s.lambda)
	}
	noise := math.Sqrt(2 * s.h)
	for i, x := range s.X {
		drift := s.G[i]
		if s.prox != nil {
			drift -= (x - s.p[i]) / s.lambda
		}
		s.y[i] = x + s.h*drift + noise*rnd.NormFloat64()
	}
	lp := s.target.LogProbScore(s.gy, s.y)
	*info = Info{Accept: 1, StepSize: s.h, Leapfrogs: 1}
	if math.IsInf(lp, -1) {
		info.Accept = 0
	} else {
		s.X, s.y = s.y, s.X
		s.G, s.gy = s.gy, s.G
		s.LogProb = lp
	}
	info.LogProb = s.LogProb
	return nil
}
