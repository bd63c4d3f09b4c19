package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Gibbs updates blocks of coordinates in turn, each by a draw from its
// conditional distribution or by another kernel on it.
type Gibbs struct {
	// Blocks are updated in this order. A coordinate may be in several; one
	// in none keeps its first value.
	Blocks []Block
}

// Block is a block of coordinates of [Gibbs] and how it is updated: by Draw
// or by Kernel, one of which must be nil. Settings.Transform must be nil; a
// block has its own.
type Block struct {
	// Index are the coordinates of the block.
	Index []int
	// Draw stores in dst a draw from the distribution of the block given the
	// others, where x is the whole point. It must be safe for concurrent use.
	// [NormalBlock] and [GammaBlock] make conjugate ones.
	Draw func(dst, x []float64, rnd *rand.Rand) error
	// Kernel makes Steps transitions that leave the distribution of the block
	// given the others invariant. It adapts in warm-up.
	Kernel Kernel
	// Transform takes the bounded coordinates of the block to the whole space
	// for Kernel. If it is nil, there is none.
	Transform prior.Transform
	// Steps is the number of transitions of Kernel. If Steps is 0, it will be
	// defaulted to 1.
	Steps int
}

var _ Kernel = (*Gibbs)(nil)

// New implements Kernel.
func (k *Gibbs) New(t *Target, warmup int) (State, error) {
	if t.tr != nil {
		return nil, errors.New("sampler: Gibbs: the target has a Transform; give one to each block instead")
	}
	w, err := newWalker("Gibbs", t)
	if err != nil {
		return nil, err
	}
	if len(k.Blocks) == 0 {
		return nil, errors.New("sampler: Gibbs: Blocks is empty")
	}
	s := &gibbs{walker: w}
	for i, b := range k.Blocks {
		bs, err := s.newBlock(b, warmup)
		if err != nil {
			return nil, fmt.Errorf("sampler: Gibbs: block %d: %w", i, err)
		}
		s.Blocks = append(s.Blocks, bs)
	}
	return s, nil
}

type gibbs struct {
	walker
	Blocks []*block
}

// block is the state of one block.
type block struct {
	Inner State // of the block's kernel, or nil

	index     []int
	draw      func(dst, x []float64, rnd *rand.Rand) error
	transform prior.Transform
	steps     int
	x, u      []float64 // of the block, constrained and unconstrained
	info      Info
}

func (s *gibbs) newBlock(b Block, warmup int) (*block, error) {
	d, n := len(s.X), len(b.Index)
	if n == 0 {
		return nil, errors.New("its Index is empty")
	}
	seen := make(map[int]bool)
	for _, i := range b.Index {
		if i < 0 || i >= d || seen[i] {
			return nil, fmt.Errorf("its Index %v has the coordinate %d, want each at most once and in [0, %d)", b.Index, i, d)
		}
		seen[i] = true
	}
	if (b.Draw == nil) == (b.Kernel == nil) {
		return nil, errors.New("one of Draw and Kernel must be given, and not both")
	}
	st := &block{
		index: append([]int(nil), b.Index...), draw: b.Draw, transform: b.Transform,
		steps: max(b.Steps, 1), x: make([]float64, n), u: make([]float64, n),
	}
	if b.Kernel == nil {
		return st, nil
	}
	full, score := make([]float64, d), make([]float64, d)
	conditional := s.target.derive(n, func(g, x []float64) float64 {
		copy(full, s.X)
		scatter(full, st.index, x)
		if g == nil {
			return s.target.LogProb(full)
		}
		lp := s.target.LogProbScore(score, full)
		gather(g, st.index, score)
		return lp
	})
	if b.Transform != nil {
		if err := conditional.transform(b.Transform); err != nil {
			return nil, err
		}
		st.u = make([]float64, conditional.Dim())
	}
	var err error
	st.Inner, err = b.Kernel.New(conditional, warmup)
	return st, err
}

func scatter(dst []float64, index []int, src []float64) {
	for k, i := range index {
		dst[i] = src[k]
	}
}

func gather(dst []float64, index []int, src []float64) {
	for k, i := range index {
		dst[k] = src[i]
	}
}

// Step implements State. It updates every block.
func (s *gibbs) Step(rnd *rand.Rand, info *Info) error {
	kernels := 0
	for i, b := range s.Blocks {
		if err := s.update(b, rnd); err != nil {
			return fmt.Errorf("Gibbs: block %d: %w", i, err)
		}
		if b.Inner == nil {
			continue
		}
		kernels++
		info.Accept += b.info.Accept
		info.StepSize += b.info.StepSize
		info.Leapfrogs += b.info.Leapfrogs
		info.Saturated = info.Saturated || b.info.Saturated
		if b.info.Divergent {
			info.Divergent, info.Reason = true, b.info.Reason
		}
	}
	if kernels > 0 {
		info.Accept /= float64(kernels)
		info.StepSize /= float64(kernels)
	} else {
		info.Accept = 1
	}
	if last := s.Blocks[len(s.Blocks)-1]; last.Inner == nil {
		s.LogProb = s.target.LogProb(s.X)
		if math.IsInf(s.LogProb, -1) {
			return s.target.startError(s.LogProb)
		}
	} else {
		s.LogProb = last.info.LogProb
	}
	info.LogProb = s.LogProb
	return nil
}

// update replaces the coordinates of b.
func (s *gibbs) update(b *block, rnd *rand.Rand) error {
	if b.Inner == nil {
		if err := b.draw(b.x, s.X, rnd); err != nil {
			return err
		}
		if !allFinite(b.x) {
			return fmt.Errorf("the draw is %g", b.x)
		}
		scatter(s.X, b.index, b.x)
		return nil
	}
	gather(b.x, b.index, s.X)
	u := b.x
	if b.transform != nil {
		u = b.u
		if err := b.transform.Unconstrain(u, b.x); err != nil {
			return err
		}
	}
	if err := b.Inner.Set(u); err != nil {
		return err
	}
	for range b.steps {
		b.info = Info{}
		if err := b.Inner.Step(rnd, &b.info); err != nil {
			return err
		}
	}
	if b.transform != nil {
		b.transform.Constrain(b.x, b.Inner.Position())
		scatter(s.X, b.index, b.x)
	} else {
		scatter(s.X, b.index, b.Inner.Position())
	}
	return nil
}

// Adapt implements Adapter.
func (s *gibbs) Adapt(i, n int, rnd *rand.Rand, _ *Info) error {
	for _, b := range s.Blocks {
		if a, ok := b.Inner.(Adapter); ok {
			if err := a.Adapt(i, n, rnd, &b.info); err != nil {
				return err
			}
		}
	}
	return nil
}

// NormalBlock returns a block whose distribution given the others is
// N(Q⁻¹b, Q⁻¹), as it is in a linear model with normal noise and prior. The
// function stores the precision matrix Q, of which it must set the upper
// triangle, and b, where x is the whole point; both are zero before. It must
// be safe for concurrent use.
func NormalBlock(index []int, conditional func(q *mat.SymDense, b, x []float64)) Block {
	n := len(index)
	type scratch struct {
		q *mat.SymDense
		b *mat.VecDense
	}
	pool := sync.Pool{New: func() any {
		return &scratch{q: mat.NewSymDense(n, nil), b: mat.NewVecDense(n, nil)}
	}}
	return Block{Index: index, Draw: func(dst, x []float64, rnd *rand.Rand) error {
		s := pool.Get().(*scratch)
		defer pool.Put(s)
		s.q.Zero()
		s.b.Zero()
		conditional(s.q, s.b.RawVector().Data, x)
		u, ok := lapack64.Potrf(s.q.RawSymmetric())
		if !ok {
			return errors.New("NormalBlock: the precision matrix is not positive definite")
		}
		// Q = UᵀU: x = U⁻¹(U⁻ᵀb + z).
		v := s.b.RawVector()
		blas64.Trsv(blas.Trans, u, v)
		for i := range v.Data {
			v.Data[i] += rnd.NormFloat64()
		}
		blas64.Trsv(blas.NoTrans, u, v)
		copy(dst, v.Data)
		return nil
	}}
}

// GammaBlock returns a block of coordinates that given the others are
// independent with densities proportional to x^(shape-1) exp(-rate x), as the
// precisions of normal variables with gamma priors are. The function stores
// the shapes and rates, where x is the whole point. It must be safe for
// concurrent use.
func GammaBlock(index []int, conditional func(shape, rate, x []float64)) Block {
	n := len(index)
	pool := sync.Pool{New: func() any { v := make([]float64, 2*n); return &v }}
	return Block{Index: index, Draw: func(dst, x []float64, rnd *rand.Rand) error {
		v := pool.Get().(*[]float64)
		defer pool.Put(v)
		shape, rate := (*v)[:n], (*v)[n:]
		conditional(shape, rate, x)
		for i := range dst {
			if !(shape[i] > 0 && rate[i] > 0) || math.IsInf(shape[i], 1) || math.IsInf(rate[i], 1) {
				return fmt.Errorf("GammaBlock: shape %g and rate %g of coordinate %d, want positive numbers", shape[i], rate[i], index[i])
			}
			dst[i] = distuv.Gamma{Alpha: shape[i], Beta: rate[i], Src: rnd}.Rand()
		}
		return nil
	}}
}
