package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Sum returns the 1×1 sum of all elements; x̄ = ȳ everywhere.
func (t *Tape[T]) Sum(a Var) Var {
	r, c := t.Dims(a)
	return t.RowSums(t.Reshape(a, 1, r*c))
}

// Mean returns the 1×1 mean of all elements.
func (t *Tape[T]) Mean(a Var) Var {
	return t.Scale(1/T(len(t.nodes[a].val)), t.Sum(a))
}

// RowSums returns the r×1 column of the sums of the rows; x̄_ij = ȳ_i.
func (t *Tape[T]) RowSums(a Var) Var {
	r, c := t.Dims(a)
	v, y := t.record(rowSums[T]{}, node[T]{a: a, rows: r, cols: 1})
	kernel.RowSums(y.val, r, c, t.nodes[a].val, c)
	return v
}

type rowSums[T kernel.Float] struct{}

func (rowSums[T]) backward(t *Tape[T], y *node[T]) {
	g, beta := t.gradOf(y.a)
	c := t.nodes[y.a].cols
	for i, s := range y.grad {
		gi := g[i*c : (i+1)*c]
		if beta == 0 {
			for j := range gi {
				gi[j] = s
			}
			continue
		}
		for j := range gi {
			gi[j] += s
		}
	}
}

// GroupSums returns the r/k×c matrix whose row i is the sum of the rows ik to
// (i+1)k-1; x̄_i = ȳ_{i/k}.
func (t *Tape[T]) GroupSums(a Var, k int) Var {
	r, c := t.Dims(a)
	if k <= 0 || r%k != 0 {
		t.shapePanic("GroupSums", a)
	}
	v, y := t.record(groupSums[T]{}, node[T]{a: a, rows: r / k, cols: c, k: k})
	clear(y.val)
	x := t.nodes[a].val
	for i := range y.rows {
		kernel.AddColSums(y.val[i*c:(i+1)*c], k, c, x[i*k*c:], c)
	}
	return v
}

// ColSums returns the 1×c row of the sums of the columns.
func (t *Tape[T]) ColSums(a Var) Var { return t.GroupSums(a, t.nodes[a].rows) }

type groupSums[T kernel.Float] struct{}

func (groupSums[T]) backward(t *Tape[T], y *node[T]) {
	g, c := t.addTo(y.a), y.cols
	for i := range y.rows * y.k {
		gi, s := g[i*c:(i+1)*c], y.grad[i/y.k*c:]
		kernel.Add(gi, gi, s[:c])
	}
}

// LogSumExp returns the r×1 column log Σ_j exp(x_ij) of the rows;
// x̄_ij = ȳ_i exp(x_ij - y_i).
func (t *Tape[T]) LogSumExp(a Var) Var {
	r, c := t.Dims(a)
	v, y := t.record(logSumExp[T]{}, node[T]{a: a, rows: r, cols: 1})
	kernel.LogSumExpRows(y.val, r, c, t.nodes[a].val, c)
	return v
}

type logSumExp[T kernel.Float] struct{}

func (logSumExp[T]) backward(t *Tape[T], y *node[T]) {
	x := &t.nodes[y.a]
	p := t.floats.take(len(x.val))
	shape := newPair[T](x.rows, x.cols, x.rows, 1)
	kernel.SoftmaxRows(x.rows, x.cols, p, x.cols, x.val, x.cols)
	shape.mul(p, p, y.grad)
	t.give(y.a, p)
}

// Softmax returns exp(x_ij)/Σ_l exp(x_il); x̄_ij = y_ij (ȳ_ij - Σ_l ȳ_il y_il).
func (t *Tape[T]) Softmax(a Var) Var {
	r, c := t.Dims(a)
	v, y := t.record(softmax[T]{}, node[T]{a: a, rows: r, cols: c})
	kernel.SoftmaxRows(r, c, y.val, c, t.nodes[a].val, c)
	return v
}

type softmax[T kernel.Float] struct{}

func (softmax[T]) backward(t *Tape[T], y *node[T]) {
	kernel.SoftmaxBackwardRows(y.rows, y.cols, y.grad, y.grad, y.val, y.cols)
	t.give(y.a, y.grad)
}

// LogSoftmax returns x_ij - log Σ_l exp(x_il).
func (t *Tape[T]) LogSoftmax(a Var) Var { return t.Sub(a, t.LogSumExp(a)) }

// CumSum returns y_ij = Σ_{l≤j} x_il; x̄_ij = Σ_{l≥j} ȳ_il.
func (t *Tape[T]) CumSum(a Var) Var {
	r, c := t.Dims(a)
	v, y := t.record(cumSum[T]{}, node[T]{a: a, rows: r, cols: c})
	x := t.nodes[a].val
	for i := range r {
		var s T
		for j := i * c; j < (i+1)*c; j++ {
			s += x[j]
			y.val[j] = s
		}
	}
	return v
}

type cumSum[T kernel.Float] struct{}

func (cumSum[T]) backward(t *Tape[T], y *node[T]) {
	for i := range y.rows {
		var s T
		for j := (i+1)*y.cols - 1; j >= i*y.cols; j-- {
			s += y.grad[j]
			y.grad[j] = s
		}
	}
	t.give(y.a, y.grad)
}
