package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

const (
	datum = 0.5
	noise = 0.8
	steps = 1000
)

// problem is a mixture in one dimension, seen once with noise.
type problem struct {
	pri    *prior.Mixture
	lik    *likelihood.Gaussian
	post   *posterior.Mixture
	score  *diffusion.Diffused // of the prior
	target *diffusion.Diffused // of the posterior
}

func newProblem() (*problem, error) {
	pri, err := prior.NewIsotropicMixture([]float64{.3, .5, .2}, mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}), []float64{.3, .4, .3}, nil)
	if err != nil {
		return nil, err
	}
	identity, err := forward.NewIdentity(1)
	if err != nil {
		return nil, err
	}
	lik, err := likelihood.NewGaussian(identity, []float64{datum}, noise)
	if err != nil {
		return nil, err
	}
	post, err := posterior.NewMixture(pri, lik)
	if err != nil {
		return nil, err
	}
	vp := diffusion.NewVP(0.1, 20)
	score, err := diffusion.Diffuse(pri, vp)
	if err != nil {
		return nil, err
	}
	target, err := diffusion.Diffuse(post, vp)
	return &problem{pri, lik, post, score, target}, err
}

// method is a way to draw from the posterior.
type method struct {
	Name     string
	sampler  func(o options) (inverse.Sampler, error)
	guidance diffusion.Guidance // if it is that, else nil
}

// options are what all samplers take.
type options struct {
	src      rand.Source
	progress func(done, total int)
	watch    *evolution // of guidances
}

// methods returns all of them: guidances of the prior's diffusion, in many
// small steps, and samplers of their own.
func (p *problem) methods() ([]method, error) {
	var methods []method
	var err error
	guide := func(name string, g diffusion.Guidance, newErr error) {
		err = errors.Join(err, newErr)
		methods = append(methods, method{name, func(o options) (inverse.Sampler, error) {
			sum, err := posterior.Sum(p.score, g)
			o.watch.ScoreFunc = sum
			return &diffusion.Reverse{
				Score: o.watch, Schedule: p.score.Schedule(), Solver: diffusion.EulerMaruyama{}, Steps: steps,
				Src: o.src, Progress: o.progress,
			}, err
		}, g})
	}
	dps := func(name string, until float64, noJacobian bool) {
		g, err := diffusion.NewDPS(p.score, p.lik)
		if err == nil {
			g.Until, g.NoJacobian = until, noJacobian
		}
		guide(name, g, err)
	}
	exact, newErr := diffusion.NewExact(p.score, p.lik)
	guide("exact", exact, newErr)
	dps("DPS", 0, false)
	dps("DPS, 1/α", 0, true)
	dps(delayed, until, true)
	dps("DPS, for t < 0.275", .275, false)
	flat, newErr := diffusion.NewFlat(p.score, p.lik)
	guide("flat prior", flat, newErr)
	pigdm, newErr := diffusion.NewPiGDM(p.score, p.lik)
	guide("PiGDM", pigdm, newErr)
	tmpd, newErr := diffusion.NewTMPD(p.score, p.lik)
	guide("TMPD", tmpd, newErr)
	mmps, newErr := diffusion.NewMMPS(p.score, p.lik)
	guide("MMPS", mmps, newErr)

	own := func(name string, sampler func(o options) (inverse.Sampler, error)) {
		methods = append(methods, method{name, sampler, nil})
	}
	own(twisted, func(o options) (inverse.Sampler, error) {
		s, err := diffusion.NewTDS(mmps, p.lik)
		if err == nil {
			s.Src, s.Progress = o.src, o.progress
		}
		return s, err
	})
	own("MCGDiff, 64 particles", func(o options) (inverse.Sampler, error) {
		s, err := diffusion.NewMCGDiff(p.score, p.lik)
		if err == nil {
			s.Src, s.Progress = o.src, o.progress
		}
		return s, err
	})
	own("split Gibbs", func(o options) (inverse.Sampler, error) {
		return &diffusion.SplitGibbs{Score: p.score, Lik: p.lik, Inner: 60, Src: o.src, Progress: o.progress}, nil
	})
	solver := func(name string, s diffusion.Solver, from, to float64) {
		own(name, func(o options) (inverse.Sampler, error) {
			return &diffusion.Reverse{Score: p.score, Solver: s, From: from, To: to, Src: o.src, Progress: o.progress}, nil
		})
	}
	level := func(v float64) float64 { return p.score.Schedule().Time(-2 * math.Log(v)) } // where σ/α is v
	solver("DAPS", diffusion.DAPS{Lik: p.lik}, level(100), level(.1))
	solver("DDRM", diffusion.DDRM{Lik: p.lik}, 0, 0)
	solver("DiffPIR", diffusion.DiffPIR{Lik: p.lik}, 0, 0)
	own("RED-diff, 500 steps", func(o options) (inverse.Sampler, error) {
		return &diffusion.Reverse{Score: p.score, Solver: diffusion.REDDiff{Lik: p.lik}, Steps: 500, Src: o.src, Progress: o.progress}, nil
	})
	return methods, err
}

const (
	delayed = "DPS, 1/α, for t < 0.21"
	until   = 0.21
	twisted = "TDS, 64 particles"
)

// figures are what draws are judged by: moments, masses of the intervals
// (-3, -1.5), (-1.5, 0.8) and (0.8, 3) about the modes of the prior, and the
// Wasserstein distance to the posterior.
type figures struct {
	Mean   float64 `json:"mean"`
	Std    float64 `json:"std"`
	Left   float64 `json:"mass_left"`
	Middle float64 `json:"mass_middle"`
	Right  float64 `json:"mass_right"`
	W1     float64 `json:"w1"`
}

var bounds = [4]float64{-3, -1.5, .8, 3}

// result is what a method gave.
type result struct {
	method
	figures
	draws     []float64 // sorted
	evolution *evolution
}

// sample makes n draws.
func (p *problem) sample(ctx context.Context, m method, n int, seed uint64, progress func(done, total int)) (*result, error) {
	r := &result{method: m, evolution: new(evolution)}
	s, err := m.sampler(options{rand.NewPCG(seed, 0), progress, r.evolution})
	if err != nil {
		return nil, err
	}
	draws := mat.NewDense(n, 1, nil)
	if err := s.Sample(ctx, draws); err != nil {
		return nil, err
	}
	r.draws = mat.Col(nil, 0, draws)
	slices.Sort(r.draws)
	r.figures = p.judge(r.draws)
	return r, nil
}

// cdf returns the posterior's P(x₀ < x).
func (p *problem) cdf(x float64) (f float64) {
	for k, w := range p.post.Weights(nil) {
		c := p.post.Component(k)
		f += w * distuv.Normal{Mu: c.Mean(nil)[0], Sigma: math.Sqrt(c.Variance(nil)[0])}.CDF(x)
	}
	return f
}

// truth returns the figures of the posterior itself.
func (p *problem) truth() figures {
	var cov mat.SymDense
	p.post.CovarianceMatrix(&cov)
	var mass [3]float64
	for i := range mass {
		mass[i] = p.cdf(bounds[i+1]) - p.cdf(bounds[i])
	}
	return figures{p.post.Mean(nil)[0], math.Sqrt(cov.At(0, 0)), mass[0], mass[1], mass[2], 0}
}

// judge returns the figures of sorted draws.
func (p *problem) judge(sorted []float64) figures {
	below := func(x float64) float64 {
		i, _ := slices.BinarySearch(sorted, x)
		return float64(i) / float64(len(sorted))
	}
	var f figures
	f.Mean, f.Std = stat.MeanStdDev(sorted, nil)
	for i, m := range []*float64{&f.Left, &f.Middle, &f.Right} {
		*m = below(bounds[i+1]) - below(bounds[i])
	}
	// W1 = ∫ |F - F_n|.
	lo, hi := min(-6, sorted[0]), max(6, sorted[len(sorted)-1])
	const cells = 2000
	h := (hi - lo) / cells
	for i := range cells {
		x := lo + (float64(i)+.5)*h
		f.W1 += h * math.Abs(p.cdf(x)-below(x))
	}
	return f
}

// evolution is a score that counts where it is evaluated: Euler-Maruyama
// evaluates it once a step, at x_t.
type evolution struct {
	inverse.ScoreFunc
	mu     sync.Mutex
	counts [timeCells][spaceCells]int
	totals [timeCells]int
}

const (
	timeCells, spaceCells = 250, 240
	lowest, highest       = -4.0, 4.0
)

// Score evaluates the score and counts x. The sums of counts do not depend on
// the order in which blocks of draws come.
func (e *evolution) Score(dst, x *mat.Dense, t float64) {
	e.ScoreFunc.Score(dst, x, t)
	i := min(int(t*timeCells), timeCells-1)
	r, _ := x.Dims()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.totals[i] += r
	for k := range r {
		if u := (x.At(k, 0) - lowest) / (highest - lowest); u >= 0 && u < 1 {
			e.counts[i][int(u*spaceCells)]++
		}
	}
}

// density returns the density of x_t in cell j of space and i of time.
func (e *evolution) density(i, j int) float64 {
	const width = (highest - lowest) / spaceCells
	return float64(e.counts[i][j]) / (width * float64(max(e.totals[i], 1)))
}
