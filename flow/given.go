package flow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// Conditional is a density q(x|y) that can be evaluated and drawn from, row by
// row: a [Flow] or an [Ensemble] of them.
type Conditional interface {
	// Dims returns the dimensions of x and of y, which is 0 without conditions.
	Dims() (x, y int)
	// LogProb sets dst[i] to log q(x_i|y_i). If y has a single row, it goes
	// with all rows of x; y is nil without conditions.
	LogProb(dst []float64, x, y *mat.Dense)
	// Draw fills row i of dst with a draw from q(·|y_i), or from q(·|y_0) if y
	// has a single row. It returns early with ctx's error.
	Draw(ctx context.Context, dst, y *mat.Dense, src rand.Source) error
}

// Posterior is the density q(·|y) for an observed y.
type Posterior struct {
	// Src is the source of Sample. If Src is nil, a fresh seed is used.
	Src rand.Source

	q   Conditional
	y   *mat.Dense // 1×dy, or nil
	err error      // why y cannot be a condition
	mu  sync.Mutex
	one sync.Pool // of *point
}

// point is a single row and its log density.
type point struct {
	x *mat.Dense
	l [1]float64
}

var (
	_ inverse.Sampler = (*Posterior)(nil)
	_ inverse.Density = (*Posterior)(nil)
)

// Given returns the density q(·|y); y is copied, and nil without conditions. If
// y has another number of elements than q has conditions, or one that is not
// finite, Sample says so.
func Given(q Conditional, y []float64) *Posterior {
	dx, dy := q.Dims()
	p := &Posterior{q: q}
	if i := notFinite(y); len(y) != dy {
		p.err = fmt.Errorf("flow: y has %d elements, want %d", len(y), dy)
	} else if i >= 0 {
		p.err = fmt.Errorf("flow: y[%d] is %g", i, y[i])
	} else if dy > 0 {
		p.y = mat.NewDense(1, dy, slices.Clone(y))
	}
	p.one.New = func() any { return &point{x: mat.NewDense(1, dx, nil)} }
	return p
}

// Dim returns the dimension of x.
func (p *Posterior) Dim() int {
	d, _ := p.q.Dims()
	return d
}

// Sample fills the rows of dst with independent draws. The error is ctx's, or
// says what is wrong with y. Sample may be called concurrently; the order of
// the calls decides what each of them gets.
func (p *Posterior) Sample(ctx context.Context, dst *mat.Dense) error {
	if p.err != nil {
		return p.err
	}
	p.mu.Lock()
	seed := rng.Seed(p.Src)
	p.mu.Unlock()
	return p.q.Draw(ctx, dst, p.y, rng.New(seed, 0))
}

// Draw fills the rows of dst with independent draws from src, freshly seeded
// if it is nil, and with NaN where Sample would return an error. It makes a
// Posterior the proposal of [github.com/go-inverse/inverse/sampler.Independence].
func (p *Posterior) Draw(dst *mat.Dense, src rand.Source) {
	if p.err == nil && p.q.Draw(context.Background(), dst, p.y, src) == nil {
		return
	}
	rows, _ := dst.Dims()
	for i := range rows {
		fill(dst.RawRowView(i), math.NaN())
	}
}

// LogProb returns log q(x|y), and -Inf if something is wrong with y.
func (p *Posterior) LogProb(x []float64) float64 {
	if d := p.Dim(); len(x) != d {
		panic(fmt.Sprintf("flow: LogProb: x has %d elements, want %d", len(x), d))
	}
	if p.err != nil {
		return math.Inf(-1)
	}
	b := p.one.Get().(*point)
	defer p.one.Put(b)
	b.x.SetRow(0, x)
	p.q.LogProb(b.l[:], b.x, p.y)
	return b.l[0]
}

// LogProbs sets dst[i] to log q(x_i|y) for the rows of x, many at a time.
func (p *Posterior) LogProbs(dst []float64, x *mat.Dense) {
	if p.err != nil {
		fill(dst, math.Inf(-1))
		return
	}
	p.q.LogProb(dst, x, p.y)
}
