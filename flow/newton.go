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

// newton is the memory of the inversion of a block of rows. It holds the rows
// that are not solved yet, in their order.
type newton[T kernel.Float] struct {
	z, x, at, dir []T // right-hand side, the best so far, where to look next, the Newton direction at x
	rows          []newtonRow
	kept          [maxPCPLayers + 1][3][]T // contributions of the conditions
}

// newtonRow is the state of a row: its place in the block, the damping of its
// step, and how far it is from the solution, the norm of ∇φ(x) - z.
type newtonRow struct {
	row            int
	step, residual float64
	done           bool
}

// generate replaces the rows of z by the x with ∇ₓφ(x, c) = z: Newton's
// method from x = z for all rows at once, each with its own damping. As φ is
// strongly convex, |∇φ(x) - z| falls along each Newton direction, and steps
// are halved until it does.
func (n *pcpMap[T]) generate(w *workspace[T], z, c []T) {
	d := n.d
	q, ok := n.solvers.Get().(*newton[T])
	if !ok {
		q = new(newton[T])
	}
	defer n.solvers.Put(q)
	q.keep(n, w, c, len(z)/d)
	q.z, q.x, q.at, q.dir = append(q.z[:0], z...), append(q.x[:0], z...), append(q.at[:0], z...), resize(q.dir, len(z))
	q.rows = resize(q.rows, len(z)/d)
	for i := range q.rows {
		q.rows[i] = newtonRow{row: i, residual: math.Inf(1)}
	}
	for range newtonEvaluations {
		t, rows := w.begin(), len(q.rows)
		given := q.onTape(t, len(n.layers), rows)
		grad, hess := n.derivatives(t, w.input(q.at, rows), &given)
		r := t.Sub(grad, w.input(q.z, rows))
		toward := t.Value(t.Solve(hess, r))
		for i := range q.rows {
			q.advance(i, t.Value(r)[i*d:(i+1)*d], toward[i*d:(i+1)*d])
			if q.rows[i].done {
				q.write(z, i, d)
			}
		}
		q.compact(d)
		if len(q.rows) == 0 {
			return
		}
	}
	for i := range q.rows {
		q.write(z, i, d)
	}
}

// machineEpsilon is the distance from 1 to the next number.
func machineEpsilon[T kernel.Float]() float64 {
	if unsafe.Sizeof(T(0)) == 4 {
		return 0x1p-23
	}
	return 0x1p-52
}

// advance takes or shortens the step of row i, whose residual r and Newton
// direction have been evaluated at the point where it looks.
func (q *newton[T]) advance(i int, r, toward []T) {
	d, eps := len(r), machineEpsilon[T]()
	s, z, x, at, dir := &q.rows[i], q.z[i*d:], q.x[i*d:], q.at[i*d:], q.dir[i*d:]
	res := norm(r)
	if res <= (1-s.step/4)*s.residual { // a first step from infinity, too
		copy(x, at[:d])
		copy(dir, toward)
		s.residual, s.step = res, 1
		s.done = res <= 4*eps*(1+norm(z[:d]))
	} else { // also NaN
		s.step /= 2
		// At the limit of rounding no step is an improvement.
		s.done = s.step < newtonShortest || s.residual <= 64*eps*(1+math.Hypot(norm(x[:d]), norm(z[:d])))
	}
	for j := range d {
		at[j] = x[j] - T(s.step)*dir[j]
	}
}

func norm[T kernel.Float](x []T) float64 { return math.Sqrt(float64(kernel.SumSquares(x))) }

// write puts the solution of row i in its place of the block, NaN if it is none.
func (q *newton[T]) write(block []T, i, d int) {
	s, z, x := q.rows[i], q.z[i*d:(i+1)*d], q.x[i*d:(i+1)*d]
	to := block[s.row*d : (s.row+1)*d]
	if s.residual <= 1e5*machineEpsilon[T]()*(1+math.Hypot(norm(z), norm(x))) {
		copy(to, x)
		return
	}
	for j := range to {
		to[j] = T(math.NaN())
	}
}

// compact drops the rows that are done.
func (q *newton[T]) compact(d int) {
	rows, live := len(q.rows), 0
	for i, s := range q.rows {
		if s.done {
			continue
		}
		if i > live {
			q.rows[live] = s
			for _, v := range [][]T{q.z, q.x, q.at, q.dir} {
				copy(v[live*d:(live+1)*d], v[i*d:])
			}
			for k := range q.kept {
				for _, v := range q.kept[k] {
					if m := len(v) / rows; m > 0 {
						copy(v[live*m:(live+1)*m], v[i*m:])
					}
				}
			}
		}
		live++
	}
	q.rows = q.rows[:live]
	q.z, q.x, q.at, q.dir = q.z[:live*d], q.x[:live*d], q.at[:live*d], q.dir[:live*d]
	for k := range q.kept {
		for i, v := range q.kept[k] {
			q.kept[k][i] = v[:len(v)/rows*live]
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
