package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Reverse samples a density from its diffused scores: it starts from noise
// and runs time backwards with a Solver. The score may be a prior's, or a
// posterior's as posterior.Sum composes it.
//
// Rows of draws go through all steps in blocks, each with a random stream of
// its own, so the same seed gives the same bits for every number of workers.
// The draws are independent. Sample may be called on several goroutines if
// Src is nil.
type Reverse struct {
	Score    inverse.ScoreFunc // safe for concurrent use, or Workers is 1
	Schedule Schedule          // nil means that of Score, if it is a [Score]
	Solver   Solver            // nil means DPMSolver{}
	Steps    int               // 100 if 0

	// From and To are the times of the first and last noise levels; 0 means
	// the ends of the schedule's Span.
	From, To float64
	// Grid chooses the times; nil means what suits the solver.
	Grid Grid
	// Start has the moments of x₀ that the Gaussian start is matched to: the
	// first state is drawn from N(α Mean, α² Var + σ²). Its zero value means
	// N(0, σ² I), which is right where α is small. With the moments, fewer
	// steps are needed and From can be lower.
	Start Moments

	Src      rand.Source           // nil means a freshly seeded one
	Workers  int                   // goroutines, GOMAXPROCS if 0
	Progress func(done, total int) // called with numbers of finished draws
}

var _ inverse.Sampler = (*Reverse)(nil)

// Moments are the means and variances of the coordinates of x₀. A nil slice
// means zeros, a slice of length 1 the same value for all.
type Moments struct{ Mean, Var []float64 }

func (m Moments) check(n int) error {
	for _, s := range [2]struct {
		name string
		v    []float64
	}{{"Mean", m.Mean}, {"Var", m.Var}} {
		if l := len(s.v); l > 1 && l != n {
			return fmt.Errorf("diffusion: Start.%s has length %d, want 1 or %d", s.name, l, n)
		}
		for i, v := range s.v {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 && s.name == "Var" {
				return fmt.Errorf("diffusion: Start.%s[%d] is %g", s.name, i, v)
			}
		}
	}
	return nil
}

// at returns mean and variance of coordinate j.
func (m Moments) at(j int) (mean, variance float64) {
	if len(m.Mean) > 0 {
		mean = m.Mean[min(j, len(m.Mean)-1)]
	}
	if len(m.Var) > 0 {
		variance = m.Var[min(j, len(m.Var)-1)]
	}
	return mean, variance
}

// DivergedError says that a state became infinite or NaN, or 10⁸ times as
// large as the noise it started from.
type DivergedError struct {
	Step, Steps int     // the step, counted from 1
	Time        float64 // at which it began
	Row         int     // the first such draw
	Remedy      string
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("diffusion: draw %d has diverged in step %d of %d, which began at t = %.4g: %s", e.Row, e.Step, e.Steps, e.Time, e.Remedy)
}

// Dim returns the dimension n of a draw.
func (r *Reverse) Dim() int { return r.Score.Dim() }

// Sample fills the rows of dst with independent draws. It returns an error if
// a field is not valid, the error of ctx if that ends, and a *[DivergedError]
// if a draw diverges, which happens with guidances that are stiff for the
// number of steps.
func (r *Reverse) Sample(ctx context.Context, dst *mat.Dense) error {
	p, solver, err := r.path()
	if err != nil {
		return err
	}
	rows, cols := dst.Dims()
	if cols != p.n {
		panic(fmt.Sprintf("diffusion: dst is %d×%d, the score has dimension %d", rows, cols, p.n))
	}
	if err := solver.check(p); err != nil {
		return err
	}
	seed := rng.Seed(r.Src)
	progress := par.NewProgress(rows, r.Progress)
	size := blockRows(p.n)
	return par.For(ctx, r.Workers, rows, size, func(lo, hi int) error {
		w := newWalk(p, dst, lo, hi, rng.New(seed, uint64(lo/size)))
		w.start(r.Start)
		step := solver.begin(w)
		for w.k = 0; w.k < w.steps(); w.k++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			step.step(w)
			if err := w.diverged(solver.remedy()); err != nil {
				err.Row += lo
				return err
			}
		}
		progress.Add(hi - lo)
		return nil
	})
}

// blockRows returns the number of rows that go through the steps together:
// enough for matrix products, few enough for the cache.
func blockRows(n int) int { return min(max(8192/n, 16), 512) }

// path checks the fields and returns what all blocks share.
func (r *Reverse) path() (*path, Solver, error) {
	if r.Score == nil {
		return nil, nil, errors.New("diffusion: Reverse: Score is nil")
	}
	p := &path{score: r.Score, n: r.Score.Dim(), schedule: r.Schedule}
	if p.n <= 0 {
		return nil, nil, fmt.Errorf("diffusion: Reverse: the score has dimension %d", p.n)
	}
	p.denoiser, _ = r.Score.(denoiser)
	if p.schedule == nil {
		s, ok := r.Score.(Score)
		if !ok {
			return nil, nil, fmt.Errorf("diffusion: Reverse: Schedule is nil and the score %T does not have one", r.Score)
		}
		p.schedule = s.Schedule()
	}
	if err := checkSchedule(p.schedule); err != nil {
		return nil, nil, err
	}
	solver := r.Solver
	if solver == nil {
		solver = DPMSolver{}
	}
	if err := r.Start.check(p.n); err != nil {
		return nil, nil, err
	}
	return p, solver, p.setTimes(r, solver)
}

// setTimes chooses the times of the steps.
func (p *path) setTimes(r *Reverse, solver Solver) error {
	steps := r.Steps
	if steps == 0 {
		steps = 100
	}
	grid, toZero := solver.levels()
	if r.Grid != nil {
		grid = r.Grid
	}
	if grid == nil {
		grid = UniformTime
		if _, ok := p.schedule.(EDM); ok {
			grid = Karras(7)
		}
	}
	if steps < 1 {
		return fmt.Errorf("diffusion: Reverse: Steps is %d", r.Steps)
	}
	to, from := p.schedule.Span()
	if r.From != 0 {
		from = r.From
	}
	if r.To != 0 {
		to = r.To
	}
	if !(from > to && to >= 0) || math.IsInf(from, 1) {
		return fmt.Errorf("diffusion: Reverse: the times From %g and To %g must fall and be positive", from, to)
	}
	switch {
	case toZero && steps == 1:
		p.t = []float64{from}
	case toZero:
		p.t = grid(p.schedule, from, to, steps-1)
		if err := checkTimes(p.t, steps); err != nil {
			return err
		}
	default:
		p.t = grid(p.schedule, from, to, steps)
		if err := checkTimes(p.t, steps+1); err != nil {
			return err
		}
	}
	if toZero && p.t[len(p.t)-1] > 0 {
		p.t = append(p.t, 0)
	}
	p.alpha, p.sigma = make([]float64, len(p.t)), make([]float64, len(p.t))
	for i, t := range p.t {
		a, s := p.schedule.At(t)
		if !(a > 0 && s >= 0) || math.IsInf(a, 1) || math.IsInf(s, 1) {
			return fmt.Errorf("diffusion: Reverse: the schedule has α = %g and σ = %g at t = %g", a, s, t)
		}
		p.alpha[i], p.sigma[i] = a, s
	}
	return nil
}

// path is what the blocks of a run share.
type path struct {
	score        inverse.ScoreFunc
	denoiser     denoiser // the score, if it has its own Denoise
	schedule     Schedule
	n            int
	t            []float64 // falling
	alpha, sigma []float64
	lin          *linearGaussian // of solvers for inverse problems
}

func (p *path) steps() int { return len(p.t) - 1 }

// walk is a block of draws on their way.
type walk struct {
	*path
	x    *mat.Dense // the state, rows of the destination
	r, k int        // rows, step
	src  *rng.Source

	limit float64 // of the elements of x
}

func newWalk(p *path, dst *mat.Dense, lo, hi int, src *rng.Source) *walk {
	raw := dst.RawMatrix()
	x := new(mat.Dense)
	x.SetRawMatrix(blas64.General{Rows: hi - lo, Cols: raw.Cols, Stride: raw.Stride, Data: raw.Data[lo*raw.Stride : (hi-1)*raw.Stride+raw.Cols]})
	return &walk{path: p, x: x, r: hi - lo, src: src}
}

// start draws the first state.
func (w *walk) start(m Moments) {
	w.noise(w.x)
	a, s := w.alpha[0], w.sigma[0]
	w.limit = s
	for i := range w.r {
		for j, z := range w.x.RawRowView(i) {
			mean, variance := m.at(j)
			w.limit = max(w.limit, s+a*(math.Abs(mean)+math.Sqrt(variance)))
			w.x.RawRowView(i)[j] = a*mean + math.Sqrt(a*a*variance+s*s)*z
		}
	}
	w.limit *= tooLarge
}

// scratch returns a matrix of the shape of the state.
func (w *walk) scratch() *mat.Dense { return mat.NewDense(w.r, w.n, nil) }

// noise fills z with standard normal draws.
func (w *walk) noise(z *mat.Dense) { noise(z, w.src) }

func noise(z *mat.Dense, src rand.Source) {
	raw := z.RawMatrix()
	if raw.Stride == raw.Cols {
		rng.Noise(raw.Data[:raw.Rows*raw.Cols], src)
		return
	}
	for i := range raw.Rows {
		rng.Noise(z.RawRowView(i), src)
	}
}

// denoise sets dst to E[x₀|x_t] at x.
func (w *walk) denoise(dst, x *mat.Dense, t float64) {
	if w.denoiser != nil {
		w.denoiser.Denoise(dst, x, t)
		return
	}
	w.score.Score(dst, x, t)
	alpha, sigma := w.schedule.At(t)
	tweedie(dst, x, dst, alpha, sigma)
}

// tooLarge is how far a state may be from zero, in units of the start.
const tooLarge = 1e8

// diverged returns the error of the first row with an element that is not
// finite or too large.
func (w *walk) diverged(remedy string) *DivergedError {
	// If all together are not too large, none is.
	if raw := w.x.RawMatrix(); raw.Stride == raw.Cols && kernel.SumSquares(raw.Data[:w.r*w.n]) <= w.limit*w.limit {
		return nil
	}
	for i := range w.r {
		row := w.x.RawRowView(i)
		if kernel.SumSquares(row) <= w.limit*w.limit {
			continue
		}
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				remedy = "the score, or the operator, has a value there that is not finite"
			} else if math.Abs(v) <= w.limit {
				continue
			}
			return &DivergedError{w.k + 1, w.steps(), w.t[w.k], i, remedy}
		}
	}
	return nil
}
