package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/mat"
)

// Run draws from target with chains of the kernel, in parallel.
//
// The target may be any density with gonum's LogProb, and for kernels that
// use gradients ScoreInput; the methods of [inverse.LogProbScorer] and
// [Evaluator] are used where present. Its dimension is that of its method
// Dim() int, of Settings.Transform or of Settings.Init.
//
// If ctx ends, Run returns what has been drawn with ctx's error, and
// [Result.MarshalBinary] then gives a checkpoint; the result is nil if the
// chains have not begun. An error of the target, NaN
// or +Inf rejects a transition and counts as a divergence with a reason; a
// chain that does nothing else for 100 iterations ends the run with an error
// that names the point, and so does a panic, with its stack.
func Run(ctx context.Context, target inverse.Density, kernel Kernel, settings *Settings) (*Result, error) {
	r, err := newRun(ctx, target, kernel, settings)
	if err != nil {
		return nil, err
	}
	err = par.Each(ctx, r.Workers, len(r.chains), func(i int) error { return r.runChain(ctx, i) })
	if r.Progress != nil {
		r.Progress(r.progress(time.Now()))
	}
	return r.result(), err
}

// newRun returns a run whose chains are at their first points, or where the
// checkpoint left them.
func newRun(ctx context.Context, target inverse.Density, kernel Kernel, settings *Settings) (*run, error) {
	s, err := settings.withDefaults(kernel)
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, errors.New("sampler: target is nil")
	}
	if kernel == nil {
		return nil, errors.New("sampler: kernel is nil")
	}
	if s.Transform == nil {
		if t, ok := target.(interface{ Transform() prior.Transform }); ok {
			s.Transform = t.Transform()
		}
	}
	dim, err := dimOf(target, s)
	if err != nil {
		return nil, err
	}
	r := &run{Settings: s, dim: dim, start: time.Now()}
	if r.names, err = names(target, s.Names, dim); err != nil {
		return nil, err
	}
	for range s.Chains {
		t, err := NewTarget(target, dim, s.Transform)
		if err != nil {
			return nil, err
		}
		c := &chain{target: t, draws: mat.NewDense(s.Draws, dim, nil), stats: mat.NewDense(s.Draws, numStats, nil)}
		r.chains = append(r.chains, c)
	}
	// The user's code may panic here too, and that is to be an error.
	err = par.Each(context.Background(), 1, 1, func(int) error {
		if s.Resume != nil {
			return r.resume(kernel)
		}
		return r.initialise(ctx, target, kernel)
	})
	if err != nil {
		return nil, err
	}
	r.done0 = r.done()
	r.nextReport, r.nextCheckpoint = r.start, r.start.Add(s.CheckpointEvery)
	return r, nil
}

// run is a run under way.
type run struct {
	*Settings
	dim    int // of a draw
	names  []string
	chains []*chain
	seed   uint64
	start  time.Time
	done0  int // iterations done before this process

	mu                         sync.Mutex // of the callbacks
	nextReport, nextCheckpoint time.Time
}

// chain is what the loop carries for one chain. The fields from iter to stats
// are saved.
type chain struct {
	mu     sync.Mutex // held during an iteration and while the chain is saved
	target *Target
	rnd    *rand.Rand

	iter        int // iterations made, warm-up included
	src         *rng.Source
	state       State
	stuck       int // iterations in a row that failed and did not move
	divergences int // after warm-up
	saturated   int // after warm-up
	stepSize    float64
	draws       *mat.Dense
	stats       *mat.Dense

	broken bool // an iteration ended in an error: the state is not to be used
	info   Info
	from   []float64

	_ [cacheLine]byte
}

// cacheLine is what keeps the states of chains apart in memory: a processor
// waits for another one that writes close to where it reads.
const cacheLine = 64

const maxStuck = 100

// runChain makes the iterations of chain i that are left.
func (r *run) runChain(ctx context.Context, i int) error {
	c := r.chains[i]
	total := r.Warmup + r.Draws*r.Thin
	for c.iter < total {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.iterate(c); err != nil {
			if p := (*par.PanicError)(nil); errors.As(err, &p) {
				return err
			}
			return fmt.Errorf("sampler: chain %d, iteration %d: %w", i+1, c.iter+1, err)
		}
		if r.Progress != nil || r.Checkpoint != nil {
			if err := r.call(); err != nil {
				return err
			}
		}
	}
	return nil
}

// iterate makes one iteration of c, and keeps the draw if it is to be kept.
func (r *run) iterate(c *chain) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true // until the iteration is whole, whatever ends it
	c.info = Info{}
	info := &c.info
	copy(c.from, c.state.Position())
	if err := c.state.Step(c.rnd, info); err != nil {
		return err
	}
	if err := c.failed(info); err != nil {
		return err
	}
	if a, ok := c.state.(Adapter); ok && c.iter < r.Warmup {
		if err := a.Adapt(c.iter, r.Warmup, c.rnd, info); err != nil {
			return err
		}
		c.target.takeErr()
	}
	if k := c.iter - r.Warmup; k >= 0 {
		if info.Divergent {
			c.divergences++
		}
		if info.Saturated {
			c.saturated++
		}
		if (k+1)%r.Thin == 0 {
			row := k / r.Thin
			copy(c.draws.RawRowView(row), c.target.point(c.state.Position()))
			info.row(c.stats.RawRowView(row))
		}
	}
	c.stepSize = info.StepSize
	c.iter++
	c.broken = false
	return nil
}

// failed makes a failure of the target a divergence, and an error if it
// persists.
func (c *chain) failed(info *Info) error {
	err := c.target.takeErr()
	if err == nil {
		c.stuck = 0
		return nil
	}
	info.Divergent, info.Reason = true, err
	for i, v := range c.state.Position() {
		if v != c.from[i] {
			c.stuck = 0
			return nil
		}
	}
	c.stuck++
	if c.stuck == maxStuck {
		return fmt.Errorf("the target has failed in each of %d transitions from %.6g, last at %.6g: %w",
			maxStuck, c.target.point(c.from), c.target.at, err)
	}
	return nil
}

// call makes the callbacks that are due.
func (r *run) call() error {
	if !r.mu.TryLock() {
		return nil // another chain is at it
	}
	defer r.mu.Unlock()
	now := time.Now()
	if r.Progress != nil && !now.Before(r.nextReport) {
		r.Progress(r.progress(now))
		r.nextReport = time.Now().Add(100 * time.Millisecond)
	}
	if r.Checkpoint != nil && !now.Before(r.nextCheckpoint) {
		data, err := r.result().MarshalBinary()
		if err == nil {
			err = r.Checkpoint(data)
		}
		if err != nil {
			return fmt.Errorf("sampler: checkpoint: %w", err)
		}
		r.nextCheckpoint = time.Now().Add(r.CheckpointEvery)
	}
	return nil
}

func (r *run) done() int {
	n := 0
	for _, c := range r.chains {
		c.mu.Lock()
		n += c.iter
		c.mu.Unlock()
	}
	return n
}

func (r *run) progress(now time.Time) Progress {
	p := Progress{Total: len(r.chains) * (r.Warmup + r.Draws*r.Thin), Elapsed: now.Sub(r.start)}
	for _, c := range r.chains {
		c.mu.Lock()
		p.Done += c.iter
		if c.iter < r.Warmup {
			p.Warming++
		}
		p.Draws += c.kept(r.Settings)
		p.Divergences += c.divergences
		p.StepSize += c.stepSize / float64(len(r.chains))
		c.mu.Unlock()
	}
	if made := p.Done - r.done0; made > 0 && p.Total > p.Done {
		left := float64(p.Total-p.Done) / float64(made) * float64(p.Elapsed)
		p.Remaining = time.Duration(math.Min(left, math.MaxInt64))
	}
	return p
}

// kept returns the number of draws kept so far.
func (c *chain) kept(s *Settings) int { return max(0, c.iter-s.Warmup) / s.Thin }
