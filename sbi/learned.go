package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// LearnedTarget is the prior times a learned likelihood or likelihood ratio,
// for given data: an unnormalised posterior density. It draws by itself, and is
// a target for the algorithms of package sampler. Its methods are safe for
// concurrent use.
//
//	run, err := sampler.Run(ctx, target, &sampler.NUTS{}, nil)
type LearnedTarget struct {
	// Src is the source of Sample. If Src is nil, a fresh seed is used.
	Src rand.Source

	prior     Prior
	transform prior.Transform
	logLik    logLikelihood
	err       error // why there is no likelihood of the data
}

// logLikelihood sets dst to a learned log likelihood at rows of unconstrained
// parameters, and score, unless it is nil, to its gradients. An error says that
// there are none.
type logLikelihood func(dst []float64, score, u *mat.Dense) error

var (
	_ SourceSampler   = (*LearnedTarget)(nil)
	_ inverse.Density = (*LearnedTarget)(nil)
)

func newLearnedTarget(pri Prior, logLik logLikelihood, err error) *LearnedTarget {
	return &LearnedTarget{prior: pri, transform: Coordinates(pri), logLik: logLik, err: err}
}

// Dim returns the number of parameters.
func (t *LearnedTarget) Dim() int { return t.prior.Dim() }

// Transform returns that of the prior's support.
func (t *LearnedTarget) Transform() prior.Transform { return t.transform }

// LogProb returns log p(theta) + Σ log q(y_i|theta) over the repeats, or with
// the logarithm of the ratio q(y_i|theta)/q(y_i), and -Inf if something is wrong
// with the data.
func (t *LearnedTarget) LogProb(theta []float64) float64 {
	var l [1]float64
	t.LogProbs(l[:], mat.NewDense(1, len(theta), theta))
	return l[0]
}

// LogProbs sets dst[i] to LogProb of row i of theta, many at a time.
func (t *LearnedTarget) LogProbs(dst []float64, theta *mat.Dense) {
	n, _ := theta.Dims()
	if t.err != nil {
		for i := range dst {
			dst[i] = math.Inf(-1)
		}
		return
	}
	_, k := t.transform.Dims()
	u := mat.NewDense(n, k, nil)
	outside := make([]bool, n)
	for i := range n {
		row := theta.RawRowView(i)
		outside[i] = !finite(row) || math.IsInf(t.prior.LogProb(row), -1) || t.transform.Unconstrain(u.RawRowView(i), row) != nil
		if outside[i] {
			clear(u.RawRowView(i))
		}
	}
	t.values(dst, u)
	for i := range dst {
		if dst[i] += t.prior.LogProb(theta.RawRowView(i)); outside[i] || math.IsNaN(dst[i]) {
			dst[i] = math.Inf(-1)
		}
	}
}

// values sets dst to the log likelihood, which needs no gradients.
func (t *LearnedTarget) values(dst []float64, u *mat.Dense) {
	if err := t.logLik(dst, nil, u); err != nil {
		panic(err) // unreachable
	}
}

// Evaluate returns LogProb and stores its gradient in score unless that is nil:
// what makes t a target for NUTS and the other kernels of package sampler that
// use gradients. The error says what is wrong with the data, that the prior has no
// score, or the architecture of the likelihood no gradient (see [flow.ConditionScorer]).
func (t *LearnedTarget) Evaluate(score, theta []float64) (float64, error) {
	if t.err != nil {
		return 0, t.err
	}
	if score == nil {
		return t.LogProb(theta), nil
	}
	d, k := t.transform.Dims()
	u := make([]float64, k)
	logPrior := t.prior.LogProb(theta)
	if !finite(theta) || math.IsInf(logPrior, -1) || t.transform.Unconstrain(u, theta) != nil {
		clear(score)
		return math.Inf(-1), nil
	}
	pri, ok := t.prior.(inverse.DifferentiableDensity)
	if !ok {
		return 0, fmt.Errorf("sbi: the prior %T has no ScoreInput, which gradients need", t.prior)
	}
	var l [1]float64
	g := mat.NewDense(1, k, nil)
	if err := t.logLik(l[:], g, mat.NewDense(1, k, u)); err != nil {
		return 0, err
	}
	pri.ScoreInput(score, theta)

	// The gradient in theta is one that J(u)ᵀ takes to that in u. Pullback
	// gives J(u)ᵀ column by column, plus the same vector in each.
	zero, e := make([]float64, k), make([]float64, d)
	t.transform.Pullback(zero, u, theta, e)
	jt, column := mat.NewDense(k, d, nil), make([]float64, k)
	for j := range d {
		e[j] = 1
		t.transform.Pullback(column, u, theta, e)
		e[j] = 0
		floats.Sub(column, zero)
		jt.SetCol(j, column)
	}
	var gx mat.VecDense
	if err := gx.SolveVec(jt, g.RowView(0)); err != nil && !errors.As(err, new(mat.Condition)) {
		return 0, fmt.Errorf("sbi: the transform at %v: %w", theta, err)
	}
	floats.Add(score, gx.RawVector().Data)
	return logPrior + l[0], nil
}

// Sample fills the rows of dst with draws, by tempered sequential Monte Carlo
// (Del Moral, Doucet and Jasra, 2006) from the prior: at least 1000 particles,
// which several modes share out among them, are reweighted, resampled and moved
// by differential evolution (ter Braak, 2006), one half by the differences
// between particles of the other: all coordinates by a part of a difference,
// and some of them by a whole one, which goes from mode to mode (Vrugt et al.,
// 2009). At the end they move until none of their coordinates tells where it
// began: until the correlations of both, and those of the distances from the
// mean, are below 0.05 or three standard errors, but 2000 times at most. All
// particles are evaluated together, which for a network is many times as fast as
// chains one by one.
//
// It is an error if the learned likelihood vanishes at all draws of the prior,
// or if it is so narrow that 500 temperatures do not reach it.
func (t *LearnedTarget) Sample(ctx context.Context, dst *mat.Dense) error {
	return t.SampleFrom(ctx, dst, t.Src)
}

// SampleFrom is Sample with draws from src.
func (t *LearnedTarget) SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error {
	if t.err != nil {
		return t.err
	}
	rows, d := dst.Dims()
	if d != t.Dim() {
		panic(fmt.Sprintf("sbi: dst is %d×%d, the target has %d parameters", rows, d, t.Dim()))
	}
	from := rng.New(rng.Seed(src), 0)
	start := mat.NewDense(particles(rows), d, nil)
	t.prior.Draw(start, from)
	p, err := newPopulation(t, start, from)
	if err != nil {
		return err
	}
	for p.beta < 1 {
		if p.stages++; p.stages > mostStages {
			return fmt.Errorf("sbi: after %d temperatures the particles are at %.2g of the learned likelihood: it is too narrow for the prior's draws; use a sequential method, or start chains of package sampler near the mode", mostStages, p.beta)
		}
		p.temper()
		for range stageSweeps {
			if err := p.sweep(ctx, true); err != nil {
				return err
			}
		}
	}
	if err := p.settle(ctx); err != nil {
		return err
	}
	p.draws(dst)
	return nil
}

// particles returns the number of particles that make so many draws.
func particles(rows int) int { return (max(rows, leastParticles) + 1) / 2 * 2 }

const (
	leastParticles = 1000
	mostStages     = 500
	stageSweeps    = 2
	mostSweeps     = 1000
)

// population are the particles of a LearnedTarget.
type population struct {
	t      *LearnedTarget
	n, k   int
	rnd    *rand.Rand
	u      *mat.Dense
	logPri []float64 // of the unconstrained particles
	logLik []float64
	beta   float64
	stages int
	scale  float64 // of the differences

	theta                  []float64
	proposal               *mat.Dense
	proposedPri, proposedL []float64
	weight                 []float64
}

// newPopulation returns particles at the rows of start, an even number.
func newPopulation(t *LearnedTarget, start *mat.Dense, src *rng.Source) (*population, error) {
	n, _ := start.Dims()
	_, k := t.transform.Dims()
	p := &population{
		t: t, n: n, k: k, rnd: rand.New(src), u: mat.NewDense(n, k, nil), logPri: make([]float64, n), logLik: make([]float64, n), scale: 1,
		theta: make([]float64, t.Dim()), proposal: mat.NewDense(n/2, k, nil),
		proposedPri: make([]float64, n/2), proposedL: make([]float64, n/2), weight: make([]float64, n),
	}
	for i := range n {
		if err := t.transform.Unconstrain(p.u.RawRowView(i), start.RawRowView(i)); err != nil {
			return nil, fmt.Errorf("sbi: a draw of the prior: %w", err)
		}
		p.logPri[i] = p.logPrior(p.u.RawRowView(i))
	}
	p.likelihood(p.logLik, p.u)
	if math.IsInf(floats.Max(p.logLik), -1) {
		return nil, errors.New("sbi: the learned likelihood vanishes at all draws of the prior: the data may be far from all simulations, see Misspecification")
	}
	return p, nil
}

// draws fills dst with as many of the particles, without replacement.
func (p *population) draws(dst *mat.Dense) {
	rows, _ := dst.Dims()
	for i, j := range p.rnd.Perm(p.n)[:rows] {
		p.t.transform.Constrain(dst.RawRowView(i), p.u.RawRowView(j))
	}
}

func (p *population) logPrior(u []float64) float64 {
	l := p.t.transform.Constrain(p.theta, u)
	l += p.t.prior.LogProb(p.theta)
	if math.IsNaN(l) {
		return math.Inf(-1)
	}
	return l
}

func (p *population) likelihood(dst []float64, u *mat.Dense) {
	p.t.values(dst, u)
	for i, v := range dst {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			dst[i] = math.Inf(-1)
		}
	}
}

// temper raises β until the effective sample size falls to a half, and
// resamples systematically.
func (p *population) temper() {
	step := 1 - p.beta
	if p.ess(step) < float64(p.n)/2 {
		lo, hi := 0.0, step
		for range 60 {
			if mid := (lo + hi) / 2; p.ess(mid) < float64(p.n)/2 {
				hi = mid
			} else {
				lo = mid
			}
		}
		step = hi
	}
	p.ess(step)
	if p.beta += step; 1-p.beta < 1e-9 {
		p.beta = 1
	}
	old, oldPri, oldL := mat.DenseCopyOf(p.u), append([]float64(nil), p.logPri...), append([]float64(nil), p.logLik...)
	total := floats.Sum(p.weight)
	at, sum, j := p.rnd.Float64(), p.weight[0], 0
	// Resampled particles are neighbours of their copies: put them in random
	// order, so that both halves have all of them.
	for _, i := range p.rnd.Perm(p.n) {
		for sum < at*total/float64(p.n) && j < p.n-1 {
			j++
			sum += p.weight[j]
		}
		at++
		p.u.SetRow(i, old.RawRowView(j))
		p.logPri[i], p.logLik[i] = oldPri[j], oldL[j]
	}
}

// ess sets the weights for a step of β and returns their effective sample size.
func (p *population) ess(step float64) float64 {
	top := floats.Max(p.logLik)
	var sum, square float64
	for i, l := range p.logLik {
		w := math.Exp(step * (l - top))
		p.weight[i] = w
		sum += w
		square += w * w
	}
	return sum * sum / square
}

// settle moves the particles until they have forgotten where they began.
func (p *population) settle(ctx context.Context) error {
	const sweeps = 10
	began := mat.DenseCopyOf(p.u)
	for i := range mostSweeps {
		if err := p.sweep(ctx, i < sweeps); err != nil {
			return err
		}
		if (i+1)%sweeps == 0 && p.forgotten(began) {
			break
		}
	}
	return nil
}

// sweep moves all particles twice: all coordinates by a part of a difference,
// and then some of them by a whole one. If it adapts, it adapts the part.
func (p *population) sweep(ctx context.Context, adapt bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	accepted := p.move(false)
	if adapt {
		p.scale *= math.Exp(accepted - 0.3)
		p.scale = min(max(p.scale, 1e-3), 1.5)
	}
	p.move(true)
	return nil
}

// move moves all particles, a half at a time, and returns the share of the
// proposals that it has accepted. A jump is a whole difference, of some
// coordinates.
func (p *population) move(jump bool) (accepted float64) {
	h := p.n / 2
	for half := range 2 {
		own, other := half*h, (1-half)*h
		for i := range h {
			a, b := p.rnd.IntN(h), p.rnd.IntN(h-1)
			if b >= a {
				b++
			}
			n, gamma := p.k, p.scale*2.38/math.Sqrt(2*float64(p.k))
			if jump {
				n, gamma = 1+p.rnd.IntN(p.k), 1
			}
			to := p.proposal.RawRowView(i)
			copy(to, p.u.RawRowView(own+i))
			p.shift(to, p.u.RawRowView(other+a), p.u.RawRowView(other+b), n, gamma)
			p.proposedPri[i] = p.logPrior(to)
		}
		p.likelihood(p.proposedL, p.proposal)
		for i := range h {
			k := own + i
			ratio := p.proposedPri[i] - p.logPri[k] + p.beta*(p.proposedL[i]-p.logLik[k])
			if ratio >= 0 || p.rnd.Float64() < math.Exp(ratio) {
				p.u.SetRow(k, p.proposal.RawRowView(i))
				p.logPri[k], p.logLik[k] = p.proposedPri[i], p.proposedL[i]
				accepted++
			}
		}
	}
	return accepted / float64(p.n)
}

// shift adds about gamma (a - b) to n coordinates of u at random.
func (p *population) shift(u, a, b []float64, n int, gamma float64) {
	for j := range u {
		if p.rnd.IntN(p.k-j) >= n {
			continue
		}
		n--
		diff := a[j] - b[j]
		u[j] += gamma*diff*(1+0.05*p.rnd.NormFloat64()) + 1e-4*diff*p.rnd.NormFloat64()
	}
}

// forgotten reports whether the coordinates of the particles are uncorrelated
// with those that they began with, but for 0.05 or three standard errors.
func (p *population) forgotten(began *mat.Dense) bool {
	least := math.Max(0.05, 3/math.Sqrt(float64(p.n)))
	now, then := make([]float64, p.n), make([]float64, p.n)
	for j := range p.k {
		mat.Col(now, j, p.u)
		mat.Col(then, j, began)
		if stat.Correlation(now, then, nil) > least {
			return false
		}
		for _, u := range [][]float64{now, then} {
			m := stat.Mean(u, nil)
			for i, v := range u {
				u[i] = math.Abs(v - m)
			}
		}
		if stat.Correlation(now, then, nil) > least {
			return false
		}
	}
	return true
}
