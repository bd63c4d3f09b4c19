package flow

import (
	"math"
	"unsafe"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// The limits of Newton's method for a PCPMap.
const (
	newtonEvaluations = 200
	newtonShortest    = 1. / (1 << 20) // step before it gives up
)

// newton is the memory of the inversion of a block of rows.
type newton[T kernel.Float] struct {
	x, at, dir []T // the best so far, where to look next, the Newton direction at x
	rows       []newtonRow
	kept       [maxPCPLayers + 1][3][]T // contributions of the conditions
}

// newtonRow is the state of a row: the damping of its step and how far it is
// from the solution, the norm of ∇φ(x) - z.
type newtonRow struct {
	step, residual float64
	done           bool
}

// generate replaces the rows of z by the x with ∇ₓφ(x, c) = z: Newton's
// method from x = z for all rows at once, each with its own damping. As φ is
// strongly convex, |∇φ(x) - z| falls along each Newton direction, and steps
// are halved until it does.
func (n *pcpMap[T]) generate(w *workspace[T], z, c []T) {
	d := n.d
	rows := len(z) / d
	eps := 0x1p-52
	if unsafe.Sizeof(T(0)) == 4 {
		eps = 0x1p-23
	}
	q, ok := n.solvers.Get().(*newton[T])
	if !ok {
		q = new(newton[T])
	}
	defer n.solvers.Put(q)
	q.keep(n, w, c, rows)
	q.x, q.at, q.dir = append(q.x[:0], z...), append(q.at[:0], z...), resize(q.dir, len(z))
	q.rows = resize(q.rows, rows)
	x, at, dir, state := q.x, q.at, q.dir, q.rows
	for i := range state {
		state[i] = newtonRow{residual: math.Inf(1)}
	}
	for range newtonEvaluations {
		t := w.begin()
		xv := w.input(at, rows)
		given := q.onTape(t, len(n.layers), rows)
		grad, hess := n.derivatives(t, xv, &given)
		r := t.Sub(grad, w.input(z, rows))
		toward := t.Value(t.Solve(hess, r))
		left := false
		for i := range state {
			s, lo, hi := &state[i], i*d, (i+1)*d
			if s.done {
				continue
			}
			res := math.Sqrt(float64(kernel.SumSquares(t.Value(r)[lo:hi])))
			switch {
			case res <= (1-s.step/4)*s.residual: // a first step from infinity, too
				copy(x[lo:hi], at[lo:hi])
				copy(dir[lo:hi], toward[lo:hi])
				s.residual, s.step = res, 1
				s.done = res <= 4*eps*(1+math.Sqrt(float64(kernel.SumSquares(z[lo:hi]))))
			default: // also NaN
				s.step /= 2
				// At the limit of rounding no step is an improvement.
				size := math.Sqrt(float64(kernel.SumSquares(x[lo:hi])) + float64(kernel.SumSquares(z[lo:hi])))
				if s.step < newtonShortest || s.residual <= 64*eps*(1+size) {
					s.done = true
				}
			}
			for j := lo; j < hi; j++ {
				at[j] = x[j] - T(s.step)*dir[j]
			}
			left = left || !s.done
		}
		if !left {
			break
		}
	}
	for i, s := range state {
		row := z[i*d : (i+1)*d]
		size := math.Sqrt(float64(kernel.SumSquares(row)) + float64(kernel.SumSquares(x[i*d:(i+1)*d])))
		if s.residual <= 1e5*eps*(1+size) {
			copy(row, x[i*d:(i+1)*d])
			continue
		}
		for j := range row {
			row[j] = T(math.NaN())
		}
	}
}

// keep computes the contributions of c once for many evaluations.
func (q *newton[T]) keep(n *pcpMap[T], w *workspace[T], c []T, rows int) {
	t := w.begin()
	all := n.condition(t, w.input(c, rows), rows)
	for k, v := range all[:len(n.layers)] {
		for i, v := range [3]autodiff.Var{v.gate, v.scale, v.shift} {
			q.kept[k][i] = q.kept[k][i][:0]
			if v != 0 {
				q.kept[k][i] = append(q.kept[k][i], t.Value(v)...)
			}
		}
	}
}

// onTape puts what was kept on another tape.
func (q *newton[T]) onTape(t *autodiff.Tape[T], layers, rows int) (out conditions) {
	for k := range layers {
		for i, v := range [3]*autodiff.Var{&out[k].gate, &out[k].scale, &out[k].shift} {
			if kept := q.kept[k][i]; len(kept) > 0 {
				*v = t.Input(rows, len(kept)/rows)
				copy(t.Value(*v), kept)
			}
		}
	}
	return out
}
