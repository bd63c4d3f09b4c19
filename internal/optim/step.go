package optim

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Loss records the losses of the rows of a block as a column, one element a
// row; the loss of a batch is their mean. It is called on several goroutines,
// each with a tape and a block of its own.
type Loss[T kernel.Float] func(t *autodiff.Tape[T], b *Block) autodiff.Var

// Block is a part of a minibatch or of the validation rows.
type Block struct {
	Rows  []int       // rows of the data
	Src   *rng.Source // for draws that belong to the block; always the same in validation
	Step  int         // of the run, from 0
	Valid bool        // whether this is validation, without gradients
}

// maxRows is the number of rows on a tape at a time, so that what a block
// computes stays in the cache.
const maxRows = 256

// maxBlocks bounds the number of blocks of a batch, autoBlocks the number that
// is chosen: each takes memory for a gradient.
const (
	maxBlocks  = 64
	autoBlocks = 16
)

// blocks returns the number of blocks of a batch of n rows: if not given, 2
// from 32 rows, 4 from 128, 8 from 512 and so on. More blocks keep more
// workers busy, but each has a gradient to add up, and short matrix products.
func blocks(n, given int) int {
	if given > 0 {
		return min(given, n)
	}
	b := 1
	for ; n >= 32 && b < autoBlocks; n /= 4 {
		b *= 2
	}
	return b
}

// engine computes losses and their gradients, in parallel.
type engine[T kernel.Float] struct {
	loss    Loss[T]
	pool    *par.Pool
	seed    uint64
	given   int // Settings.Blocks
	workers []*worker[T]
	grads   [][]T // of each block; their sum ends up in the first
	losses  []float64
	squares []float64 // partial sums of the squared gradient

	// What the blocks of the current loop work on.
	weights []T
	rows    []int
	step    int
	batch   int // blocks of the batch
	update  func(lo, hi int)

	gradBlock, lossBlock, sumChunk, updateChunk func(worker, i int) error
}

type worker[T kernel.Float] struct {
	tape  autodiff.Tape[T]
	block Block
	_     [64]byte // a cache line between a worker and the next
}

func newEngine[T kernel.Float](loss Loss[T], n int, s *Settings, seed uint64) *engine[T] {
	e := &engine[T]{loss: loss, pool: par.NewPool(s.Workers), seed: seed, given: s.Blocks}
	for range e.pool.Workers() {
		e.workers = append(e.workers, &worker[T]{block: Block{Src: rng.New(seed, 0)}})
	}
	e.grads = make([][]T, blocks(s.Batch, s.Blocks))
	for i := range e.grads {
		e.grads[i] = make([]T, n)
	}
	e.losses = make([]float64, len(e.grads))
	e.squares = make([]float64, (n+chunk-1)/chunk)
	e.gradBlock, e.lossBlock = e.runGradBlock, e.runLossBlock
	e.sumChunk, e.updateChunk = e.runSumChunk, e.runUpdateChunk
	return e
}

func (e *engine[T]) close() { e.pool.Close() }

// gradient returns the mean loss of the rows at the weights and leaves its
// gradient in grads[0]; the second result is the gradient's norm.
func (e *engine[T]) gradient(weights []T, rows []int, step int) (loss, norm float64, err error) {
	e.weights, e.rows, e.step = weights, rows, step
	e.batch = blocks(len(rows), e.given)
	if err := e.pool.Each(e.batch, e.gradBlock); err != nil {
		return 0, 0, err
	}
	for _, l := range e.losses[:e.batch] {
		loss += l
	}
	loss /= float64(len(rows))
	if err := e.pool.Each(len(e.squares), e.sumChunk); err != nil {
		return 0, 0, err
	}
	var ss float64
	for _, s := range e.squares {
		ss += s
	}
	return loss, math.Sqrt(ss), nil
}

func (e *engine[T]) runGradBlock(worker, i int) error {
	w := e.workers[worker]
	n := len(e.rows)
	lo, hi := i*n/e.batch, (i+1)*n/e.batch
	rng.Reseed(w.block.Src, e.seed, uint64(e.step)*maxBlocks+uint64(i))
	w.block.Step, w.block.Valid = e.step, false
	e.losses[i] = 0
	for at := lo; at < hi; at += maxRows {
		w.block.Rows = e.rows[at:min(at+maxRows, hi)]
		w.tape.Reset(e.weights, e.grads[i])
		if at > lo {
			w.tape.AddGrads()
		}
		v, err := e.call(w)
		if err != nil {
			return err
		}
		e.losses[i] += sum(w.tape.Value(v))
		w.tape.Backward(v, 1/T(n))
	}
	return nil
}

// meanLoss returns the mean loss of the rows at the weights. Its random draws
// are those of any other call.
func (e *engine[T]) meanLoss(weights []T, rows []int, step int) (float64, error) {
	e.weights, e.rows, e.step = weights, rows, step
	n := (len(rows) + maxRows - 1) / maxRows
	for len(e.losses) < n {
		e.losses = append(e.losses, 0)
	}
	if err := e.pool.Each(n, e.lossBlock); err != nil {
		return 0, err
	}
	var loss float64
	for _, l := range e.losses[:n] {
		loss += l
	}
	return loss / float64(len(rows)), nil
}

func (e *engine[T]) runLossBlock(worker, i int) error {
	w := e.workers[worker]
	rng.Reseed(w.block.Src, e.seed, streamValid+uint64(i))
	w.block.Step, w.block.Valid = e.step, true
	w.block.Rows = e.rows[i*maxRows : min((i+1)*maxRows, len(e.rows))]
	w.tape.Reset(e.weights, nil)
	v, err := e.call(w)
	if err != nil {
		return err
	}
	e.losses[i] = sum(w.tape.Value(v))
	return nil
}

func (e *engine[T]) call(w *worker[T]) (autodiff.Var, error) {
	v := e.loss(&w.tape, &w.block)
	if r, c := w.tape.Dims(v); r != len(w.block.Rows) || c != 1 {
		return 0, fmt.Errorf("the loss of %d rows is %d×%d, want %d×1", len(w.block.Rows), r, c, len(w.block.Rows))
	}
	return v, nil
}

// Streams of random numbers other than those of the blocks of step k, which
// are k·maxBlocks and the next ones.
const (
	streamValid   = 1 << 62
	streamShuffle = 1 << 63
)

func sum[T kernel.Float](x []T) (s float64) {
	for _, v := range x {
		s += float64(v)
	}
	return s
}

// chunk is the number of parameters that are summed and updated at a time.
const chunk = 2048

func (e *engine[T]) runSumChunk(_, i int) error {
	g := e.grads[0]
	lo, hi := i*chunk, min((i+1)*chunk, len(g))
	g = g[lo:hi]
	for _, h := range e.grads[1:e.batch] {
		kernel.Add(g, g, h[lo:hi])
	}
	e.squares[i] = float64(kernel.SumSquares(g))
	return nil
}

// apply calls f for parts of the flat vector.
func (e *engine[T]) apply(f func(lo, hi int)) error {
	e.update = f
	return e.pool.Each(len(e.squares), e.updateChunk)
}

func (e *engine[T]) runUpdateChunk(_, i int) error {
	e.update(i*chunk, min((i+1)*chunk, len(e.grads[0])))
	return nil
}
