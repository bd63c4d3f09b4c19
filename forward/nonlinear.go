package forward

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// A model is a nonlinear map of one vector. Its methods are safe for
// concurrent use, and fill their results with NaN where the map fails.
type model interface {
	// value sets dst to A(x).
	value(dst, x []float64)
	// linearize sets dst to A(x) and stores in state what vjp needs.
	linearize(dst, state, x []float64)
	// vjp sets dst to J(x)ᵀy, with the state of x.
	vjp(dst, state, y []float64)
}

// nonlinear is a model as an operator on batches. It is embedded by the
// operators of this package and supplies their methods.
type nonlinear struct {
	a        model
	m, n     int
	stateLen int // of the model's state
	workers  int // that share the rows of a batch; 0 means GOMAXPROCS
	pool     sync.Pool
}

// Dims returns the number m of data and the number n of unknowns.
func (o *nonlinear) Dims() (m, n int) { return o.m, o.n }

// Apply sets the rows of dst (r×m) to A(x_i) for the rows of x (r×n). A row
// where A cannot be evaluated is filled with NaN.
func (o *nonlinear) Apply(dst, x *mat.Dense) {
	checkBatch(dst, o.m, x, o.n)
	l := o.linearization()
	l.run(modelValue, dst, x)
	o.pool.Put(l)
}

// VJP sets the rows of dst (r×n) to J(x_i)ᵀy_i for the rows of x (r×n) and y
// (r×m). A row where A cannot be evaluated is filled with NaN.
func (o *nonlinear) VJP(dst, x, y *mat.Dense) {
	checkBatch(dst, o.n, x, o.n)
	checkBatch(dst, o.n, y, o.m)
	l := o.linearization()
	r, _ := x.Dims()
	l.value.Reset()
	l.value.ReuseAs(r, o.m)
	l.Apply(&l.value, x)
	l.VJP(dst, y)
	o.pool.Put(l)
}

// Linearize returns a new workspace that evaluates A and its vector-Jacobian
// product at the same points at once.
func (o *nonlinear) Linearize() inverse.Linearization { return &linearized{op: o} }

func (o *nonlinear) linearization() *linearized {
	if l, ok := o.pool.Get().(*linearized); ok {
		return l
	}
	return &linearized{op: o}
}

// linearized is the Linearization of a nonlinear operator, and the body of
// the loop over the rows of a batch.
type linearized struct {
	op    *nonlinear
	state []float64 // of the rows, one after another
	value mat.Dense // scratch of nonlinear.VJP

	method  modelMethod // of the loop under way
	dst, in *mat.Dense
	tasks   int
}

type modelMethod int

const (
	modelValue modelMethod = iota
	modelLinearize
	modelVJP
)

func (l *linearized) Apply(dst, x *mat.Dense) {
	checkBatch(dst, l.op.m, x, l.op.n)
	r, _ := x.Dims()
	if need := r * l.op.stateLen; cap(l.state) < need {
		l.state = make([]float64, need)
	} else {
		l.state = l.state[:need]
	}
	l.run(modelLinearize, dst, x)
}

func (l *linearized) VJP(dst, y *mat.Dense) {
	checkBatch(dst, l.op.n, y, l.op.m)
	if r, _ := y.Dims(); r*l.op.stateLen != len(l.state) {
		panic("forward: VJP of a linearization without Apply to as many rows")
	}
	l.run(modelVJP, dst, y)
}

func (l *linearized) run(method modelMethod, dst, in *mat.Dense) {
	r, _ := in.Dims()
	l.method, l.dst, l.in, l.tasks = method, dst, in, r
	if w := l.op.workers; w > 0 {
		l.tasks = min(w, r)
	}
	if l.tasks == 1 {
		l.Do(0)
	} else {
		par.Run(l.tasks, l)
	}
	l.dst, l.in = nil, nil
}

// Do does the rows i, i + tasks, i + 2 tasks, ...
func (l *linearized) Do(i int) {
	r, _ := l.in.Dims()
	for ; i < r; i += l.tasks {
		dst, in := l.dst.RawRowView(i), l.in.RawRowView(i)
		if l.method == modelValue {
			l.op.a.value(dst, in)
			continue
		}
		state := l.state[i*l.op.stateLen : (i+1)*l.op.stateLen]
		if l.method == modelLinearize {
			l.op.a.linearize(dst, state, in)
		} else {
			l.op.a.vjp(dst, state, in)
		}
	}
}

// mulTransVec sets dst to Jᵀy for J (len(y)×len(dst)), row-major.
func mulTransVec(dst, j, y []float64) {
	clear(dst)
	n := len(dst)
	for i, v := range y {
		for k, a := range j[i*n : (i+1)*n] {
			dst[k] += v * a
		}
	}
}

func fillNaN(x []float64) {
	for i := range x {
		x[i] = math.NaN()
	}
}

// allFinite reports whether x holds no NaN and no infinity.
func allFinite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
