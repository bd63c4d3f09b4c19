package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Reshape returns the same elements, in the same order, as a rows×cols
// matrix. Nothing is copied.
func (t *Tape[T]) Reshape(a Var, rows, cols int) Var {
	n := t.nodes[a]
	if rows*cols != len(n.val) {
		t.shapePanic("Reshape", a)
	}
	if n.rows == rows && n.cols == cols {
		return a
	}
	v := t.push(node[T]{rows: rows, cols: cols, val: n.val, needs: n.needs})
	t.nodes[v].root = n.root
	return v
}

// Cols returns the columns lo to hi-1.
func (t *Tape[T]) Cols(a Var, lo, hi int) Var {
	r, c := t.Dims(a)
	if lo < 0 || hi > c || lo > hi {
		t.shapePanic("Cols", a)
	}
	v, y := t.record(colSlice[T]{}, node[T]{a: a, rows: r, cols: hi - lo, k: lo})
	x := t.nodes[a].val
	for i := range r {
		copy(y.val[i*(hi-lo):(i+1)*(hi-lo)], x[i*c+lo:])
	}
	return v
}

type colSlice[T kernel.Float] struct{}

func (colSlice[T]) backward(t *Tape[T], y *node[T]) {
	g, c := t.addTo(y.a), t.nodes[y.a].cols
	for i := range y.rows {
		gi := g[i*c+y.k:][:y.cols]
		for j, v := range y.grad[i*y.cols : (i+1)*y.cols] {
			gi[j] += v
		}
	}
}

// Rows returns the rows lo to hi-1.
func (t *Tape[T]) Rows(a Var, lo, hi int) Var {
	r, c := t.Dims(a)
	if lo < 0 || hi > r || lo > hi {
		t.shapePanic("Rows", a)
	}
	v, y := t.record(rowSlice[T]{}, node[T]{a: a, rows: hi - lo, cols: c, k: lo})
	copy(y.val, t.nodes[a].val[lo*c:hi*c])
	return v
}

type rowSlice[T kernel.Float] struct{}

func (rowSlice[T]) backward(t *Tape[T], y *node[T]) {
	g := t.addTo(y.a)[y.k*y.cols:][:len(y.grad)]
	kernel.Add(g, g, y.grad)
}

// ConcatCols returns the matrices side by side.
func (t *Tape[T]) ConcatCols(as ...Var) Var {
	r, cols := t.nodes[as[0]].rows, 0
	for _, a := range as {
		if t.nodes[a].rows != r {
			t.shapePanic("ConcatCols", as...)
		}
		cols += t.nodes[a].cols
	}
	list := t.vars.take(len(as))
	copy(list, as)
	v, y := t.record(concatCols[T]{}, node[T]{list: list, rows: r, cols: cols})
	at := 0
	for _, a := range list {
		x := &t.nodes[a]
		for i := range r {
			copy(y.val[i*cols+at:], x.val[i*x.cols:(i+1)*x.cols])
		}
		at += x.cols
	}
	return v
}

type concatCols[T kernel.Float] struct{}

func (concatCols[T]) backward(t *Tape[T], y *node[T]) {
	at := 0
	for _, a := range y.list {
		c := t.nodes[a].cols
		if g := t.addTo(a); g != nil {
			for i := range y.rows {
				gi := g[i*c : (i+1)*c]
				for j, v := range y.grad[i*y.cols+at:][:c] {
					gi[j] += v
				}
			}
		}
		at += c
	}
}

// ConcatRows returns the matrices one below the other.
func (t *Tape[T]) ConcatRows(as ...Var) Var {
	rows, c := 0, t.nodes[as[0]].cols
	for _, a := range as {
		if t.nodes[a].cols != c {
			t.shapePanic("ConcatRows", as...)
		}
		rows += t.nodes[a].rows
	}
	list := t.vars.take(len(as))
	copy(list, as)
	v, y := t.record(concatRows[T]{}, node[T]{list: list, rows: rows, cols: c})
	at := 0
	for _, a := range list {
		at += copy(y.val[at:], t.nodes[a].val)
	}
	return v
}

type concatRows[T kernel.Float] struct{}

func (concatRows[T]) backward(t *Tape[T], y *node[T]) {
	at := 0
	for _, a := range y.list {
		n := len(t.nodes[a].val)
		t.give(a, y.grad[at:at+n:at+n])
		at += n
	}
}

// GatherCols returns the columns idx, which may repeat; the tape keeps idx
// until the next Reset. A permutation of the variables is a gather.
func (t *Tape[T]) GatherCols(a Var, idx []int) Var {
	r, c := t.Dims(a)
	v, y := t.record(gatherCols[T]{}, node[T]{a: a, rows: r, cols: len(idx), idx: idx})
	x := t.nodes[a].val
	for i := range r {
		xi := x[i*c : (i+1)*c]
		for j, from := range idx {
			y.val[i*len(idx)+j] = xi[from]
		}
	}
	return v
}

type gatherCols[T kernel.Float] struct{}

func (gatherCols[T]) backward(t *Tape[T], y *node[T]) {
	g, c := t.addTo(y.a), t.nodes[y.a].cols
	for i := range y.rows {
		gi := g[i*c : (i+1)*c]
		for j, to := range y.idx {
			gi[to] += y.grad[i*y.cols+j]
		}
	}
}

// GatherRows returns the rows idx, which may repeat; the tape keeps a copy of
// idx.
func (t *Tape[T]) GatherRows(a Var, idx []int) Var {
	_, c := t.Dims(a)
	own := t.ints.take(len(idx))
	copy(own, idx)
	v, y := t.record(gatherRows[T]{}, node[T]{a: a, rows: len(idx), cols: c, idx: own})
	x := t.nodes[a].val
	for i, from := range idx {
		copy(y.val[i*c:(i+1)*c], x[from*c:(from+1)*c])
	}
	return v
}

type gatherRows[T kernel.Float] struct{}

func (gatherRows[T]) backward(t *Tape[T], y *node[T]) {
	g, c := t.addTo(y.a), y.cols
	for i, to := range y.idx {
		gi := g[to*c : (to+1)*c]
		kernel.Add(gi, gi, y.grad[i*c:(i+1)*c])
	}
}

// RepeatRows returns each row k times in succession.
func (t *Tape[T]) RepeatRows(a Var, k int) Var {
	r, _ := t.Dims(a)
	idx := t.ints.take(r * k)
	for i := range idx {
		idx[i] = i / k
	}
	return t.GatherRows(a, idx)
}

// TileRows returns the whole matrix k times, one copy below the other.
func (t *Tape[T]) TileRows(a Var, k int) Var {
	r, _ := t.Dims(a)
	idx := t.ints.take(r * k)
	for i := range idx {
		idx[i] = i % r
	}
	return t.GatherRows(a, idx)
}
