package diffusion

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Filter has the settings of the particle filters [TDS] and [MCGDiff], whose
// particles are weighted and resampled on the way from noise to x₀. As the
// number of particles grows, their draws are those of the posterior of the
// prior that the ancestral sampler with as many steps has: the approximations
// are corrected, the length of the steps is not. Its errors are of second
// order, since the denoised mean of a step is extrapolated by that of the step
// before, as in DPMSolver{Stochastic: true}.
type Filter struct {
	Particles int     // of one filter, 64 if 0
	Draws     int     // taken from one filter, Particles if 0; they depend on each other
	Steps     int     // 100 if 0
	Threshold float64 // systematic resampling when ESS < Threshold · Particles; 0.5 if 0
	Eta       float64 // of the ancestral steps, see [DDIM], above 0; 1 if 0

	From, To float64 // as in Reverse
	Grid     Grid    // UniformLogSNR if nil
	Start    Moments // as in Reverse

	Src      rand.Source           // nil means a freshly seeded one
	Workers  int                   // goroutines for filters and blocks of their particles, GOMAXPROCS if 0
	Progress func(done, total int) // called with numbers of finished draws
}

// FilterReport says how well the filters did, one element for each.
type FilterReport struct {
	// ESS is the effective number of particles, 1/Σw², at the end, and MinESS
	// the smallest one on the way. An ESS of a few particles means that more
	// are needed.
	ESS, MinESS []float64
	// LogEvidence is the logarithm of an unbiased estimate of p(y).
	LogEvidence []float64
}

// Evidence returns the logarithm of the mean estimate of p(y) over the
// filters, and its relative standard error, NaN if there is one filter.
func (r *FilterReport) Evidence() (log, relative float64) {
	n := float64(len(r.LogEvidence))
	log = floats.LogSumExp(r.LogEvidence) - math.Log(n)
	ss := 0.0
	for _, l := range r.LogEvidence {
		d := math.Expm1(l - log)
		ss += d * d
	}
	return log, math.Sqrt(ss / (n - 1) / n)
}

// filterKind is what distinguishes the filters: it owns the state of one.
type filterKind interface {
	// start draws the particles and adds their weights to s.logw.
	start(s *swarm) error
	// step moves the particles to level s.k+1, weighting and resampling.
	step(s *swarm) error
}

// swarm is the particles of one filter.
type swarm struct {
	*walk
	threshold   float64
	logw        []float64 // log weights, not normalised
	w           []float64 // weights with a mean of 1
	ess         float64   // the effective number of particles
	logEvidence float64
	minESS      float64
	ancestor    []int

	pool *par.Pool // for blocks of particles
	size int       // of a block
	f    func(lo, hi int) error
	each func(worker, i int) error // calls f for block i

	full, spare []*mat.Dense // in gather: what is replaced, and by what
	fetch       func(lo, hi int) error
}

// run fills the rows of dst with the draws of as many filters as it takes.
func (f *Filter) run(ctx context.Context, dst *mat.Dense, score Score, begin func(w *walk) filterKind) (*FilterReport, error) {
	o := *f
	for _, c := range []struct {
		name string
		v    *int
		to   int
	}{{"Particles", &o.Particles, 64}, {"Draws", &o.Draws, 0}, {"Steps", &o.Steps, 100}} {
		if *c.v < 0 {
			return nil, fmt.Errorf("diffusion: %s is %d", c.name, *c.v)
		}
		if *c.v == 0 {
			*c.v = c.to
		}
	}
	if o.Draws == 0 {
		o.Draws = o.Particles
	}
	if o.Threshold == 0 {
		o.Threshold = 0.5
	}
	if o.Eta == 0 {
		o.Eta = 1
	}
	if !(o.Threshold > 0 && o.Threshold <= 1) {
		return nil, fmt.Errorf("diffusion: Threshold is %g, want a number between 0 and 1", o.Threshold)
	}
	if o.Draws > o.Particles {
		return nil, fmt.Errorf("diffusion: Draws is %d of %d Particles", o.Draws, o.Particles)
	}
	if o.Grid == nil {
		o.Grid = UniformLogSNR
	}
	r := &Reverse{Score: score, Solver: DDIM{o.Eta}, Steps: o.Steps, From: o.From, To: o.To, Grid: o.Grid, Start: o.Start}
	p, solver, err := r.path()
	if err != nil {
		return nil, err
	}
	if err := solver.check(p); err != nil {
		return nil, err
	}
	rows, cols := dst.Dims()
	if cols != p.n {
		panic(fmt.Sprintf("diffusion: dst is %d×%d, the score has dimension %d", rows, cols, p.n))
	}
	filters := (rows + o.Draws - 1) / o.Draws
	report := &FilterReport{make([]float64, filters), make([]float64, filters), make([]float64, filters)}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	seed := rng.Seed(o.Src)
	progress := par.NewProgress(rows, o.Progress)
	err = par.Each(ctx, workers, filters, func(i int) error {
		s := &swarm{
			walk:      newWalk(p, mat.NewDense(o.Particles, p.n, nil), 0, o.Particles, rng.New(seed, uint64(i))),
			threshold: o.Threshold * float64(o.Particles),
			logw:      make([]float64, o.Particles), w: make([]float64, o.Particles), ancestor: make([]int, o.Particles), minESS: math.Inf(1),
			// What filters do not need is for their particles.
			pool: par.NewPool(max(1, workers/filters)), size: blockRows(p.n),
		}
		defer s.pool.Close()
		s.each = func(_, i int) error { return s.f(i*s.size, min(s.r, (i+1)*s.size)) }
		s.fetch = func(lo, hi int) error {
			for k, m := range s.full {
				for i := lo; i < hi; i++ {
					copy(s.spare[k].RawRowView(i), m.RawRowView(s.ancestor[i]))
				}
			}
			return nil
		}
		kind := begin(s.walk)
		if err := kind.start(s); err != nil {
			return err
		}
		for s.k = 0; s.k < s.steps(); s.k++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := kind.step(s); err != nil {
				return err
			}
			if err := s.diverged("take more steps, or another twist"); err != nil {
				err.Row += i * o.Draws
				return err
			}
			if math.IsNaN(floats.Sum(s.logw)) || math.IsInf(floats.Max(s.logw), -1) {
				return fmt.Errorf("diffusion: no particle has a weight after step %d of %d: take more particles or steps", s.k+1, s.steps())
			}
		}
		s.weigh()
		report.ESS[i], report.MinESS[i], report.LogEvidence[i] = s.ess, s.minESS, s.logEvidence
		if math.IsNaN(s.logEvidence) || math.IsInf(s.logEvidence, 0) {
			return fmt.Errorf("diffusion: no particle has a weight at the end: take more particles or steps")
		}
		hi := min(rows, (i+1)*o.Draws)
		for j, a := range s.systematic(s.ancestor[:hi-i*o.Draws]) {
			copy(dst.RawRowView(i*o.Draws+j), s.x.RawRowView(a))
		}
		progress.Add(hi - i*o.Draws)
		return nil
	})
	return report, err
}

// blocks calls f for all blocks of particles.
func (s *swarm) blocks(f func(lo, hi int) error) error {
	s.f = f
	return s.pool.Each((s.r+s.size-1)/s.size, s.each)
}

// rows makes view the rows lo to hi-1 of m.
func rows(view *mat.Dense, m *mat.Dense, lo, hi int) *mat.Dense {
	raw := m.RawMatrix()
	raw.Data, raw.Rows = raw.Data[lo*raw.Stride:(hi-1)*raw.Stride+raw.Cols], hi-lo
	view.SetRawMatrix(raw)
	return view
}

// weigh normalises the weights: their mean moves to the evidence, and w has
// them with a mean of 1.
func (s *swarm) weigh() {
	top := floats.Max(s.logw)
	for i, l := range s.logw {
		s.w[i] = l - top
	}
	kernel.Exp(s.w, s.w)
	mean := kernel.Sum(s.w) / float64(s.r)
	kernel.Scale(s.w, 1/mean, s.w)
	top += math.Log(mean)
	s.logEvidence += top
	floats.AddConst(-top, s.logw)
	s.ess = float64(s.r) * float64(s.r) / kernel.SumSquares(s.w)
	s.minESS = math.Min(s.minESS, s.ess)
}

// resample draws the particles anew, by systematic resampling, if their
// effective number is low, and returns the ancestors, or nil if it was not.
func (s *swarm) resample() []int {
	s.weigh()
	if s.ess >= s.threshold {
		return nil
	}
	s.systematic(s.ancestor)
	clear(s.logw)
	return s.ancestor
}

// systematic sets dst to indices of particles in proportion to their weights
// (Kitagawa 1996).
func (s *swarm) systematic(dst []int) []int {
	step := float64(s.r) / float64(len(dst))
	at := rand.New(s.src).Float64() * step
	i, sum := 0, s.w[0]
	for j := range dst {
		for sum <= at && i < s.r-1 {
			i++
			sum += s.w[i]
		}
		dst[j] = i
		at += step
	}
	return dst
}

// gather replaces the rows of the matrices by those of the ancestors.
func (s *swarm) gather(matrices ...*mat.Dense) error {
	s.full = append(s.full[:0], matrices...)
	for k, m := range s.full {
		if len(s.spare) == k {
			s.spare = append(s.spare, new(mat.Dense))
		}
		r, n := m.Dims()
		resize(s.spare[k], r, n)
	}
	err := s.blocks(s.fetch)
	for k, m := range s.full {
		*m, *s.spare[k] = *s.spare[k], *m
	}
	return err
}

// forecast sets dst to the denoised means d, extrapolated to the middle of the
// step in the log signal-to-noise ratio by those of the step before: with
// them the ancestral step is SDE-DPM-Solver++(2M) (Lu et al. 2022), whose
// errors are of second order.
func (s *swarm) forecast(dst, d, before *mat.Dense) {
	if s.k == 0 || s.k+1 == s.steps() {
		dst.Copy(d)
		return
	}
	c := 0.5 * (s.lambda(s.k+1) - s.lambda(s.k)) / (s.lambda(s.k) - s.lambda(s.k-1))
	combine(dst, 1+c, d, -c, before)
}

// ancestral returns the coefficients of the ancestral step from level k: it
// draws x' from N(x X + d D, v²).
func (w *walk) ancestral(eta float64) (x, d, v float64) {
	a, s, a2, s2 := w.alpha[w.k], w.sigma[w.k], w.alpha[w.k+1], w.sigma[w.k+1]
	old, v := ddimNoise(a, s, a2, s2, eta)
	return old / s, a2 - old*a/s, v
}
