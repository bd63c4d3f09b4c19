package autodiff

import (
	"fmt"
	"slices"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Var is a matrix on a tape. The zero Var is no matrix.
type Var int32

// Param is a matrix of parameters: a part of the flat vectors of values and
// gradients that are given to [Tape.Reset].
type Param struct {
	ID         int // counts the parameters of a model from 0
	Offset     int // where the first element stands in the flat vectors
	Rows, Cols int
}

// Len returns the number of elements.
func (p Param) Len() int { return p.Rows * p.Cols }

// Tape runs operations on matrices and records them for Backward. The zero
// Tape is ready after a Reset.
type Tape[T kernel.Float] struct {
	nodes         []node[T] // nodes[0] is no matrix
	floats        arena[T]
	ints          arena[int]
	vars          arena[Var]
	params, grads []T
	frozen        []T   // see Freeze
	byID          []Var // the Var of a parameter, by its ID, if it is in use
	frozenByID    []Var
	used          []Param
	add           bool
	pulled        int  // matrices on record at the last Pullback
	room          mark // for the gradients of the next one
	kernels       map[*T]*transformedKernels[T]
}

// node is a matrix and the operation that made it.
type node[T kernel.Float] struct {
	op         op[T] // nil for leaves and for what needs no gradient
	fn         function[T]
	a, b, c    Var // operands
	list       []Var
	root       Var // whose gradient this is: itself but for reshaped matrices
	rows, cols int
	needs      bool // whether a gradient is wanted
	has        bool // whether grad holds a part of it already
	val, grad  []T
	aux        []T // what the operation keeps for its backward pass, as aux2 and aux3
	aux2, aux3 []T
	alpha      T
	act        kernel.Activation
	transA     bool
	transB     bool
	mask       []T
	k, small   int
	idx        []int
	spec       any // *Spline, *Conv or Op
}

// op is the reverse of an operation: it adds to the gradients of the operands
// of n what follows from n's own. It may destroy n.grad, which is not needed
// afterwards.
type op[T kernel.Float] interface {
	backward(t *Tape[T], n *node[T])
}

// Reset forgets all matrices and begins a new record. Parameters are read
// from params; Backward overwrites grads, which has the same length, with the
// gradient. With nil grads the parameters are constants.
func (t *Tape[T]) Reset(params, grads []T) {
	if grads != nil && len(grads) != len(params) {
		panic(fmt.Sprintf("autodiff: %d parameters and %d gradients", len(params), len(grads)))
	}
	t.nodes = append(t.nodes[:0], node[T]{})
	t.floats.reset()
	t.ints.reset()
	t.vars.reset()
	t.params, t.grads, t.add = params, grads, false
	clear(t.byID)
	t.used = t.used[:0]
	t.frozen = nil
	t.pulled = 0
}

// Freeze makes the following calls of Param return constants from another
// vector of values, those of a teacher or of averaged weights; with nil they
// return the parameters of Reset again.
func (t *Tape[T]) Freeze(values []T) {
	t.frozen = values
	clear(t.frozenByID)
}

// AddGrads makes Backward add to the gradients of the parameters instead of
// overwriting them. It is called after Reset, before the first Param.
func (t *Tape[T]) AddGrads() { t.add = true }

// Input returns a new rows×cols matrix that is a constant of the program. Its
// contents are not specified; the caller fills Value.
func (t *Tape[T]) Input(rows, cols int) Var {
	return t.push(node[T]{rows: rows, cols: cols, val: t.floats.take(rows * cols)})
}

// Variable is Input for a matrix whose gradient is wanted.
func (t *Tape[T]) Variable(rows, cols int) Var {
	return t.push(node[T]{rows: rows, cols: cols, val: t.floats.take(rows * cols), needs: true})
}

// InputRows returns the constant matrix of the rows idx of data, which has
// cols columns.
func (t *Tape[T]) InputRows(data []T, cols int, idx []int) Var {
	v := t.Input(len(idx), cols)
	val := t.Value(v)
	for i, r := range idx {
		copy(val[i*cols:(i+1)*cols], data[r*cols:(r+1)*cols])
	}
	return v
}

// InputFloat64 returns the constant rows×cols matrix with the elements of x,
// whose rows are stride apart: the data of a mat.Dense.
func (t *Tape[T]) InputFloat64(rows, cols int, x []float64, stride int) Var {
	v := t.Input(rows, cols)
	val := t.Value(v)
	for i := range rows {
		for j, e := range x[i*stride : i*stride+cols] {
			val[i*cols+j] = T(e)
		}
	}
	return v
}

// Export copies the elements of v to dst, with rows stride apart.
func (t *Tape[T]) Export(dst []float64, stride int, v Var) {
	n := &t.nodes[v]
	for i := range n.rows {
		for j, e := range n.val[i*n.cols : (i+1)*n.cols] {
			dst[i*stride+j] = float64(e)
		}
	}
}

// Fill returns the constant rows×cols matrix whose elements are x.
func (t *Tape[T]) Fill(rows, cols int, x T) Var {
	v := t.Input(rows, cols)
	val := t.Value(v)
	for i := range val {
		val[i] = x
	}
	return v
}

// Param returns the matrix of the parameter p. All calls between two Resets
// return the same Var.
func (t *Tape[T]) Param(p Param) Var {
	values, byID := t.params, &t.byID
	if t.frozen != nil {
		values, byID = t.frozen, &t.frozenByID
	}
	for p.ID >= len(*byID) {
		*byID = append(*byID, 0)
	}
	if v := (*byID)[p.ID]; v != 0 {
		return v
	}
	lo, hi := p.Offset, p.Offset+p.Len()
	n := node[T]{rows: p.Rows, cols: p.Cols, val: values[lo:hi:hi]}
	if t.grads != nil && t.frozen == nil {
		n.needs, n.grad, n.has = true, t.grads[lo:hi:hi], t.add
		t.used = append(t.used, p)
	}
	v := t.push(n)
	(*byID)[p.ID] = v
	return v
}

// Detach returns the matrix a as a constant: no gradient flows through it.
func (t *Tape[T]) Detach(a Var) Var {
	r, c := t.Dims(a)
	return t.push(node[T]{rows: r, cols: c, val: t.nodes[a].val})
}

// Dims returns the numbers of rows and columns of v.
func (t *Tape[T]) Dims(v Var) (rows, cols int) { return t.nodes[v].rows, t.nodes[v].cols }

// Value returns the elements of v, row after row. The slice is the tape's: it
// is valid until the next Reset, and only that of an Input or Variable may be
// written, before it is used.
func (t *Tape[T]) Value(v Var) []T { return t.nodes[v].val }

// Grad returns the gradient at a Variable after Backward, nil if the result
// does not depend on it. It is valid until the next Reset.
func (t *Tape[T]) Grad(v Var) []T {
	if n := &t.nodes[v]; n.has {
		return n.grad
	}
	return nil
}

// Backward computes the gradient of seed times the sum of the elements of v
// at all parameters and Variables. It can be called once between Resets.
func (t *Tape[T]) Backward(v Var, seed T) {
	if g, _ := t.gradOf(v); g != nil {
		for i := range g {
			g[i] = seed
		}
	}
	t.sweep(v)
}

// Pullback computes the vector-Jacobian product of v with cot, the gradient
// of Σ_i cot[i] v[i] at all parameters and Variables, like Backward. If the
// parameters are constants it can be called again, for another vector; the
// gradients of the last call are then overwritten.
func (t *Tape[T]) Pullback(v Var, cot []T) {
	t.forgetGradients()
	if g, _ := t.gradOf(v); g != nil {
		if len(cot) != len(g) {
			panic(fmt.Sprintf("autodiff: Pullback of %d elements with %d", len(g), len(cot)))
		}
		copy(g, cot)
	}
	t.sweep(v)
}

// forgetGradients makes room for those of another Pullback on the same record.
func (t *Tape[T]) forgetGradients() {
	if t.grads != nil {
		return
	}
	if t.pulled != len(t.nodes) {
		t.pulled, t.room = len(t.nodes), t.floats.mark()
	} else {
		t.floats.back(t.room)
	}
	for i := range t.nodes {
		t.nodes[i].grad, t.nodes[i].has = nil, false
	}
}

// sweep runs the record backwards from v and clears the gradients of the
// parameters that had no part in it.
func (t *Tape[T]) sweep(v Var) {
	for i := v; i > 0; i-- {
		if n := &t.nodes[i]; n.has && n.op != nil {
			n.op.backward(t, n)
		}
	}
	if t.grads == nil || t.add {
		return
	}
	slices.SortFunc(t.used, func(p, q Param) int { return p.Offset - q.Offset })
	end := 0
	for _, p := range t.used {
		if !t.nodes[t.byID[p.ID]].has {
			continue
		}
		clear(t.grads[end:p.Offset])
		end = p.Offset + p.Len()
	}
	clear(t.grads[end:])
}

// push adds a matrix to the record.
func (t *Tape[T]) push(n node[T]) Var {
	v := Var(len(t.nodes))
	n.root = v
	t.nodes = append(t.nodes, n)
	return v
}

// record adds the result of an operation o. Its value is new and not yet
// computed, and o is dropped if none of the operands needs a gradient.
func (t *Tape[T]) record(o op[T], n node[T]) (Var, *node[T]) {
	n.needs = t.nodes[n.a].needs || t.nodes[n.b].needs || t.nodes[n.c].needs
	for _, v := range n.list {
		n.needs = n.needs || t.nodes[v].needs
	}
	if n.needs {
		n.op = o
	}
	n.val = t.floats.take(n.rows * n.cols)
	v := t.push(n)
	return v, &t.nodes[v]
}

// gradOf returns the buffer in which the gradient of v accumulates. The
// caller must overwrite it if beta is 0 and add to it if beta is 1. It is nil
// if v needs no gradient.
func (t *Tape[T]) gradOf(v Var) (g []T, beta T) {
	n := &t.nodes[t.nodes[v].root]
	if !n.needs {
		return nil, 0
	}
	if n.has {
		return n.grad, 1
	}
	if n.grad == nil {
		n.grad = t.floats.take(len(n.val))
	}
	n.has = true
	return n.grad, 0
}

// addTo returns the gradient of v for adding to, nil if v needs none.
func (t *Tape[T]) addTo(v Var) []T {
	g, beta := t.gradOf(v)
	if beta == 0 {
		clear(g)
	}
	return g
}

// give adds g to the gradient of v, and g itself may become that gradient:
// the caller does not use it afterwards.
func (t *Tape[T]) give(v Var, g []T) {
	n := &t.nodes[t.nodes[v].root]
	switch {
	case !n.needs:
	case n.has:
		kernel.Add(n.grad, n.grad, g)
	case n.grad != nil: // a parameter's place is in the flat vector
		copy(n.grad, g)
		n.has = true
	default:
		n.grad, n.has = g, true
	}
}

// needs reports whether the gradient at v is wanted.
func (t *Tape[T]) needs(v Var) bool { return t.nodes[v].needs }

func (t *Tape[T]) shapePanic(name string, vs ...Var) {
	s := "autodiff: " + name + " of"
	for i, v := range vs {
		if i > 0 {
			s += " and"
		}
		r, c := t.Dims(v)
		s += fmt.Sprintf(" %d×%d", r, c)
	}
	panic(s)
}
