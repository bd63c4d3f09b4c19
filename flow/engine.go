package flow

import (
	"io"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// engine evaluates a network on blocks of rows, whatever its precision.
// Matrices are row-major and standardised; y has one row for each of x, or
// one row that goes with all of them, or is nil.
type engine interface {
	invert(z, logDet, x, y []float64)
	generate(x, z, y []float64, rows int)
	draw(x, y []float64, rows int, src rand.Source)
	logProb(dst, x, y []float64)
	// conditionScore sets dst to the log densities, x to their gradients in x and
	// score, which may be y, to those in y, which has a row for each of x. It is
	// false if they are not known.
	conditionScore(dst, score, x, y []float64) bool
	// between is that of a continuous network, of which there must be one.
	between(x, y []float64, rows int, from, to float64)
	continuous() bool
	parameters() int
	save(w io.Writer, kind string, config any) error
}

// evaluator is an engine of a given precision.
type evaluator[T kernel.Float] struct {
	params *nn.Params[T]
	net    network[T]
	embed  encoder[T] // nil for none
	dx, dy int
	pool   sync.Pool // of *workspace[T]
}

var (
	_ engine = (*evaluator[float32])(nil)
	_ engine = (*evaluator[float64])(nil)
)

func newEvaluator[T kernel.Float](p *nn.Params[T], net network[T], embed encoder[T], dx, dy int) *evaluator[T] {
	net.prepare(p)
	return &evaluator[T]{params: p, net: net, embed: embed, dx: dx, dy: dy}
}

// workspace is the memory of an evaluation.
type workspace[T kernel.Float] struct {
	// tape records nothing: it has the parameters as constants.
	tape   autodiff.Tape[T]
	params []T

	x, logDet, y, c []T
	given           *conditionals // of an MDN
}

// begin forgets what the tape holds and returns it.
func (w *workspace[T]) begin() *autodiff.Tape[T] {
	w.tape.Reset(w.params, nil)
	return &w.tape
}

// take returns a slice of the tape's memory, of unspecified content, that is
// valid until the next begin.
func (w *workspace[T]) take(n int) []T { return w.tape.Value(w.tape.Input(1, n)) }

// input returns a matrix of the given rows on the tape, the zero Var for no
// elements.
func (w *workspace[T]) input(x []T, rows int) autodiff.Var {
	if len(x) == 0 {
		return 0
	}
	v := w.tape.Input(rows, len(x)/rows)
	copy(w.tape.Value(v), x)
	return v
}

func (e *evaluator[T]) get() *workspace[T] {
	if w, ok := e.pool.Get().(*workspace[T]); ok {
		return w
	}
	return &workspace[T]{params: e.params.Values}
}

// context returns the contexts of the given number of rows.
func (e *evaluator[T]) context(w *workspace[T], y []float64, rows int) []T {
	if e.dy == 0 {
		return nil
	}
	w.y = convert(w.y, y)
	c, k := w.y, len(y)/e.dy
	if e.embed != nil {
		t := w.begin()
		c = t.Value(e.embed.encode(t, w.input(w.y, k)))
	}
	dc := len(c) / k
	w.c = resize(w.c, rows*dc)
	if k == rows {
		copy(w.c, c)
	} else {
		for i := range rows {
			copy(w.c[i*dc:(i+1)*dc], c)
		}
	}
	return w.c
}

func (e *evaluator[T]) invert(z, logDet, x, y []float64) {
	w := e.get()
	defer e.pool.Put(w)
	rows := len(logDet)
	c := e.context(w, y, rows)
	w.x = convert(w.x, x)
	w.logDet = resize(w.logDet, rows)
	e.net.invert(w, w.x, w.logDet, w.x, c)
	convert(z, w.x)
	convert(logDet, w.logDet)
}

func (e *evaluator[T]) generate(x, z, y []float64, rows int) {
	w := e.get()
	defer e.pool.Put(w)
	c := e.context(w, y, rows)
	w.x = convert(w.x, z)
	e.net.generate(w, w.x, c)
	convert(x, w.x)
}

func (e *evaluator[T]) draw(x, y []float64, rows int, src rand.Source) {
	rng.FillNormal(x, src)
	d, ok := e.net.(drawer[T])
	if !ok {
		e.generate(x, x, y, rows)
		return
	}
	w := e.get()
	defer e.pool.Put(w)
	c := e.context(w, y, rows)
	w.x = convert(w.x, x)
	d.draw(w, w.x, c, rand.New(src))
	convert(x, w.x)
}

func (e *evaluator[T]) logProb(dst, x, y []float64) {
	w := e.get()
	defer e.pool.Put(w)
	rows := len(dst)
	c := e.context(w, y, rows)
	w.x = convert(w.x, x)
	if d, ok := e.net.(density[T]); ok {
		t := w.begin()
		convert(dst, t.Value(d.logProb(t, w.input(w.x, rows), w.input(c, rows))))
		return
	}
	w.logDet = resize(w.logDet, rows)
	e.net.invert(w, w.x, w.logDet, w.x, c)
	for i, l := range w.logDet {
		if math.IsInf(float64(l), -1) { // z is NaN
			dst[i] = float64(l)
			continue
		}
		z := w.x[i*e.dx : (i+1)*e.dx]
		dst[i] = float64(l) - halfLog2Pi*float64(e.dx)
		for _, v := range z {
			dst[i] -= float64(v) * float64(v) / 2
		}
	}
}

func (e *evaluator[T]) conditionScore(dst, score, x, y []float64) bool {
	d, ok := e.net.(density[T])
	if !ok {
		return false
	}
	w := e.get()
	defer e.pool.Put(w)
	rows := len(dst)
	t := w.begin()
	w.x, w.y = convert(w.x, x), convert(w.y, y)
	given := t.Variable(rows, e.dy)
	copy(t.Value(given), w.y)
	c := given
	if e.embed != nil {
		c = e.embed.encode(t, c)
	}
	at := t.Variable(rows, e.dx)
	copy(t.Value(at), w.x)
	l := d.logProb(t, at, c)
	convert(dst, t.Value(l))
	t.Backward(l, 1)
	clear(x)
	convert(x[:0:len(x)], t.Grad(at))
	clear(score)
	convert(score[:0:len(score)], t.Grad(given))
	return true
}

func (e *evaluator[T]) between(x, y []float64, rows int, from, to float64) {
	w := e.get()
	defer e.pool.Put(w)
	c := e.context(w, y, rows)
	w.x = convert(w.x, x)
	e.net.(continuous[T]).between(w, w.x, c, from, to)
	convert(x, w.x)
}

func (e *evaluator[T]) continuous() bool {
	_, ok := e.net.(continuous[T])
	return ok
}

func (e *evaluator[T]) parameters() int { return e.params.Len() }

func (e *evaluator[T]) save(w io.Writer, kind string, config any) error {
	return e.params.Save(w, kind, config)
}

// halfLog2Pi is log(2π)/2.
var halfLog2Pi = math.Log(2*math.Pi) / 2

// convert copies src to dst, which it makes longer if need be.
func convert[D, S kernel.Float](dst []D, src []S) []D {
	dst = resize(dst, len(src))
	for i, v := range src {
		dst[i] = D(v)
	}
	return dst
}

// resize returns a slice of length n of unspecified content, s if it has room.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
