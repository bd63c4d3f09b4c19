package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// SMCSettings are the options of [SMC]. The zero value of a field, and a nil
// *SMCSettings, stand for the default.
type SMCSettings struct {
	// Particles is their number. If Particles is 0, it will be defaulted to
	// 1000.
	Particles int
	// ESS is the fraction of the particles that the effective sample size may
	// fall to between two temperatures, in (0, 1). If ESS is 0, it will be
	// defaulted to 0.5.
	ESS float64
	// Moves is the number of transitions of the kernel for each particle at
	// each temperature. If Moves is 0, it will be defaulted to 10.
	Moves int
	// Kernel moves the particles, without warm-up. If Kernel is nil it is a
	// random walk with the covariance of the particles, whose scale adapts
	// from one temperature to the next.
	Kernel Kernel
	// MaxStages limits the number of temperatures. If MaxStages is 0, it will
	// be defaulted to 1000.
	MaxStages int
	// Transform and Names are as in [Settings].
	Transform prior.Transform
	Names     []string
	// Workers is the number of goroutines. If Workers is 0, it will be
	// defaulted to GOMAXPROCS.
	Workers int
	// Src seeds the random streams. If Src is nil, they are seeded afresh.
	Src rand.Source
	// Progress, if not nil, is called after each temperature.
	Progress func(SMCProgress)
}

// SMCProgress says how far an [SMC] is.
type SMCProgress struct {
	Stage  int
	Beta   float64 // 1 at the end
	Accept float64 // mean acceptance probability of the moves
}

// SMCResult is what [SMC] has drawn.
type SMCResult struct {
	// Names names the columns of Draws.
	Names []string
	// Draws are the particles at β = 1, equally weighted, one a row, in the
	// target's own space.
	Draws *mat.Dense
	// LogEvidence is the logarithm of the ratio of the normalising constants
	// of target and base: the log evidence, if the base is a normalised prior
	// and the target prior times likelihood.
	LogEvidence float64
	// LogEvidenceSE is its standard error as far as the weights tell. It is
	// too small if the moves do not mix.
	LogEvidenceSE float64
	// Betas are the temperatures, from 0 to 1.
	Betas []float64
	// Accept is the mean acceptance probability at each temperature after the
	// first.
	Accept []float64

	pool Result
}

var _ inverse.Sampler = (*SMCResult)(nil)

// Dim returns the number of parameters.
func (r *SMCResult) Dim() int { return len(r.Names) }

// Sample fills the rows of dst with particles chosen at random, with
// replacement.
func (r *SMCResult) Sample(ctx context.Context, dst *mat.Dense) error { return r.pool.Sample(ctx, dst) }

const smcBlock = 32 // particles that one unit of work moves

// SMC draws from target by tempered sequential Monte Carlo (Del Moral, Doucet
// and Jasra, 2006): particles go from base to target along
//
//	π_β ∝ base^(1-β) target^β,
//
// at each β weighted, resampled (systematically) and moved by a kernel that
// leaves π_β invariant. Each β is the one at which the effective sample size
// of the weights falls to SMCSettings.ESS.
//
// Besides LogProb, base must have the method Draw(dst *mat.Dense, src
// rand.Source) of the priors of package prior, or TransformNormal of gonum's
// distmv.Normal. Both densities must be safe for concurrent use unless Workers
// is 1.
func SMC(ctx context.Context, base, target inverse.Density, settings *SMCSettings) (*SMCResult, error) {
	s, err := newSMC(base, target, settings)
	if err != nil {
		return nil, err
	}
	err = par.Each(context.WithoutCancel(ctx), 1, 1, func(int) error { return s.drawBase() })
	for err == nil && s.beta < 1 {
		err = s.stage(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s.result(), nil
}

type smc struct {
	SMCSettings
	target, base inverse.Density
	names        []string
	dim          int // of the particles, on the unconstrained space
	seed         uint64
	rnd          *rand.Rand // of the resampling

	beta       float64
	x, y       *mat.Dense // particles
	ratio      []float64  // log target - log base
	weight     []float64
	ancestor   []int
	blocks     []*smcBlockState
	scale      robbinsMonro
	res        SMCResult
	seVariance float64
}

// smcBlockState is what a block of particles is moved with.
type smcBlockState struct {
	target *Target
	bridge *bridge
	accept float64
}

func newSMC(base, target inverse.Density, settings *SMCSettings) (*smc, error) {
	s := &smc{target: target, base: base}
	if settings != nil {
		s.SMCSettings = *settings
	}
	if target == nil {
		return nil, errors.New("sampler: SMC: target is nil")
	}
	if base == nil {
		return nil, errors.New("sampler: SMC: base is nil")
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{{"Particles", &s.Particles, 1000}, {"Moves", &s.Moves, 10}, {"MaxStages", &s.MaxStages, 1000}} {
		if *f.value < 0 {
			return nil, fmt.Errorf("sampler: SMC: %s is %d, want 1 or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if s.ESS == 0 {
		s.ESS = 0.5
	}
	if !(s.ESS > 0 && s.ESS < 1) {
		return nil, fmt.Errorf("sampler: SMC: ESS is %g, want a number in (0, 1)", s.ESS)
	}
	if s.Transform == nil {
		if t, ok := target.(interface{ Transform() prior.Transform }); ok {
			s.Transform = t.Transform()
		}
	}
	dim, err := dimOf(target, &Settings{Transform: s.Transform})
	if err != nil {
		if b, ok := base.(interface{ Dim() int }); ok {
			dim, err = b.Dim(), nil
		}
	}
	if err != nil {
		return nil, err
	}
	if s.names, err = names(target, s.Names, dim); err != nil {
		return nil, err
	}
	for range (s.Particles + smcBlock - 1) / smcBlock {
		t, err := NewTarget(target, dim, s.Transform)
		if err != nil {
			return nil, err
		}
		if err := t.needs("SMC", true, false); err != nil {
			return nil, err
		}
		p, err := newBridge(t, base)
		if err != nil {
			return nil, err
		}
		s.blocks = append(s.blocks, &smcBlockState{target: t, bridge: p})
		s.dim = t.Dim()
	}
	s.seed = rng.Seed(s.Src)
	s.rnd = rand.New(rng.New(s.seed, 0))
	s.x, s.y = mat.NewDense(s.Particles, s.dim, nil), mat.NewDense(s.Particles, s.dim, nil)
	s.ratio, s.weight = make([]float64, s.Particles), make([]float64, s.Particles)
	s.ancestor = make([]int, s.Particles)
	s.scale.LogScale, err = logScale("SMC", 0, s.dim)
	s.res.Betas = []float64{0}
	return s, err
}

// drawBase draws the particles of β = 0.
func (s *smc) drawBase() error {
	t := s.blocks[0].target
	draw, err := drawer("SMC: base", s.base, t.userDim)
	if err != nil {
		return err
	}
	x := make([]float64, t.userDim)
	alive := 0
	for i := range s.Particles {
		draw(x, s.rnd)
		u := s.x.RawRowView(i)
		if s.Transform == nil {
			copy(u, x)
		} else if err := s.Transform.Unconstrain(u, x); err != nil {
			return fmt.Errorf("sampler: SMC: a draw of base: %w", err)
		}
		s.ratio[i] = s.blocks[0].bridge.ratio(u)
		if !math.IsInf(s.ratio[i], -1) {
			alive++
		}
	}
	if alive == 0 {
		return fmt.Errorf("sampler: SMC: none of %d draws of base can be used: %w", s.Particles, t.startError(math.Inf(-1)))
	}
	t.takeErr()
	return nil
}

// stage goes to the next temperature.
func (s *smc) stage(ctx context.Context) error {
	if len(s.res.Betas) > s.MaxStages {
		return fmt.Errorf("sampler: SMC: β is %g after %d temperatures", s.beta, s.MaxStages)
	}
	next := s.nextBeta()
	if !(next > s.beta) {
		return fmt.Errorf("sampler: SMC: β cannot go beyond %g: the likelihood of a few particles is too much above that of the others", s.beta)
	}
	logMean, variance := s.reweigh(next - s.beta)
	s.res.LogEvidence += logMean
	s.seVariance += variance
	s.beta = next
	kernel, err := s.kernel()
	if err != nil {
		return err
	}
	s.resample()
	stage := len(s.res.Betas)
	err = par.For(ctx, s.Workers, s.Particles, smcBlock, func(lo, hi int) error {
		b := lo / smcBlock
		src := rng.New(s.seed, uint64(stage)<<32|uint64(b+1))
		return s.move(s.blocks[b], kernel, rand.New(src), lo, hi)
	})
	if err != nil {
		return err
	}
	var accept float64
	for _, b := range s.blocks {
		accept += b.accept
	}
	accept /= float64(s.Particles)
	s.res.Betas = append(s.res.Betas, s.beta)
	s.res.Accept = append(s.res.Accept, accept)
	// One stage is one look at the acceptance rate: a long step.
	s.scale.LogScale += 2 * (accept - targetRate(s.dim))
	if s.Progress != nil {
		s.Progress(SMCProgress{Stage: stage, Beta: s.beta, Accept: accept})
	}
	return nil
}

// reweigh sets the weights to those of a step δ of β, normalised, and returns
// the logarithm of their mean and its variance.
func (s *smc) reweigh(delta float64) (logMean, variance float64) {
	top := math.Inf(-1)
	for _, r := range s.ratio {
		top = max(top, delta*r)
	}
	var sum, square float64
	for i, r := range s.ratio {
		w := math.Exp(delta*r - top)
		s.weight[i] = w
		sum += w
		square += w * w
	}
	floats.Scale(1/sum, s.weight)
	n := float64(s.Particles)
	return top + math.Log(sum/n), (n*square/(sum*sum) - 1) / n
}

// nextBeta returns the β at which the effective sample size falls to the
// fraction ESS, or 1 if it does not.
func (s *smc) nextBeta() float64 {
	ess := func(delta float64) float64 {
		s.reweigh(delta)
		return 1 / (floats.Dot(s.weight, s.weight) * float64(s.Particles))
	}
	// Particles outside the support of the target have no weight at any β > 0
	// and do not count.
	alive := 0
	for _, r := range s.ratio {
		if !math.IsInf(r, -1) {
			alive++
		}
	}
	want := s.ESS * float64(alive) / float64(s.Particles)
	rest := 1 - s.beta
	if ess(rest) >= want {
		return 1
	}
	// The effective sample size falls with δ. The logarithm of δ is bisected,
	// because the first step may be tiny.
	lo, hi := math.Log(rest)-60, math.Log(rest)
	for range 60 {
		mid := (lo + hi) / 2
		if ess(math.Exp(mid)) >= want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return s.beta + math.Exp(lo)
}

// kernel returns what moves the particles, which the weights have just been
// set for.
func (s *smc) kernel() (Kernel, error) {
	if s.Kernel != nil {
		return s.Kernel, nil
	}
	cov := mat.NewSymDense(s.dim, nil)
	weight := append([]float64(nil), s.weight...)
	floats.Scale(float64(s.Particles), weight)
	stat.CovarianceMatrix(cov, s.x, weight)
	var trace float64
	for i := range s.dim {
		trace += cov.At(i, i)
	}
	if !(trace > 0) || math.IsInf(trace, 1) {
		return nil, fmt.Errorf("sampler: SMC: the particles have degenerated at β = %g", s.beta)
	}
	for i := range s.dim {
		cov.SetSym(i, i, cov.At(i, i)+1e-10*trace/float64(s.dim))
	}
	return &RandomWalk{Covariance: cov, Scale: s.scale.scale()}, nil
}

// resample draws the ancestors systematically: one uniform u, and for particle
// k the first i with w₀ + ... + w_i > (k + u)/N.
func (s *smc) resample() {
	systematic(s.ancestor, s.weight, s.rnd.Float64())
	for i, a := range s.ancestor {
		copy(s.y.RawRowView(i), s.x.RawRowView(a))
	}
	s.x, s.y = s.y, s.x
}

// systematic stores in ancestor, sorted, the indices that the weights, which
// sum to 1, give to the points (k + u)/N.
func systematic(ancestor []int, weight []float64, u float64) {
	n := float64(len(ancestor))
	last := len(weight) - 1 // with a weight: sums of weights round
	for weight[last] == 0 {
		last--
	}
	i, sum := 0, weight[0]
	for k := range ancestor {
		for sum <= (float64(k)+u)/n && i < last {
			i++
			sum += weight[i]
		}
		ancestor[k] = i
	}
}

// move makes the transitions of particles lo to hi.
func (s *smc) move(b *smcBlockState, kernel Kernel, rnd *rand.Rand, lo, hi int) error {
	beta := s.beta
	state, err := kernel.New(b.bridge.at(&beta), 0)
	if err != nil {
		return err
	}
	b.accept = 0
	for i := lo; i < hi; i++ {
		x := s.x.RawRowView(i)
		if err := state.Set(x); err != nil {
			return fmt.Errorf("sampler: SMC: particle %d at β = %g: %w", i, s.beta, err)
		}
		for range s.Moves {
			var info Info
			if err := state.Step(rnd, &info); err != nil {
				return fmt.Errorf("sampler: SMC: particle %d at β = %g: %w", i, s.beta, err)
			}
			b.accept += info.Accept / float64(s.Moves)
		}
		copy(x, state.Position())
		s.ratio[i] = b.bridge.ratio(x)
		b.target.takeErr() // a failure has been a rejection
	}
	return nil
}

func (s *smc) result() *SMCResult {
	r := &s.res
	t := s.blocks[0].target
	r.Names, r.LogEvidenceSE = s.names, math.Sqrt(s.seVariance)
	r.Draws = mat.NewDense(s.Particles, t.userDim, nil)
	for i := range s.Particles {
		copy(r.Draws.RawRowView(i), t.point(s.x.RawRowView(i)))
	}
	r.pool.Names, r.pool.Chains, r.pool.seed = r.Names, []*mat.Dense{r.Draws}, s.seed
	return r
}
