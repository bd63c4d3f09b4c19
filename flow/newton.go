package flow

import (
	"math"
	"unsafe"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// The limits of Newton's method for a PCPMap.
const (
	newtonEvaluations = 1000
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
// step, the slope of φ(x) - z·x along the Newton direction at x, and how far x is
// from the solution, the norm of ∇φ(x) - z.
type newtonRow struct {
	row                   int
	step, slope, residual float64
	done                  bool
}

// generate replaces the rows of z by the x with ∇ₓφ(x, c) = z: Newton's
// method from x = z for all rows at once, each with its own damping. As x is the
// minimum of φ(x) - z·x, which is convex, a step is short enough if the slope
// along it has not turned up at its end; unlike |∇φ(x) - z| the slope makes
// good steps of a φ whose gradient has jumps, as that of a density of atoms.
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
		q.rows[i] = newtonRow{row: i, slope: math.Inf(1)}
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
	s, z, x, at, dir := &q.rows[i], q.z[i*d:(i+1)*d], q.x[i*d:(i+1)*d], q.at[i*d:(i+1)*d], q.dir[i*d:(i+1)*d]
	slope := float64(kernel.Dot(r, dir))
	if first := math.IsInf(s.slope, 1); first || slope >= -0.1*s.slope {
		copy(x, at)
		copy(dir, toward)
		s.residual, s.slope, s.step = norm(r), float64(kernel.Dot(r, dir)), 1
		s.done = s.residual <= 4*eps*(1+norm(z))
	} else { // also NaN
		zero := s.slope / (s.slope - slope) // where the slope would be zero if it were linear
		if !(zero > 0.1) {
			zero = 0.1
		}
		s.step *= min(zero, 0.5)
		// At the limit of rounding no step is an improvement.
		s.done = s.step < newtonShortest || s.residual <= 64*eps*(1+math.Hypot(norm(x), norm(z)))
	}
	s.done = s.done || norm(dir) <= 4*eps*(1+norm(x))
	for j := range d {
		at[j] = x[j] - T(s.step)*dir[j]
	}
}

func norm[T kernel.Float](x []T) float64 { return math.Sqrt(float64(kernel.SumSquares(x))) }

// write puts the solution of row i in its place of the block, NaN if it is none:
// neither is the residual small nor, where φ is so steep that the rounding of x
// makes a large one, what Newton's method would still change in x.
func (q *newton[T]) write(block []T, i, d int) {
	s, z, x, dir := q.rows[i], q.z[i*d:(i+1)*d], q.x[i*d:(i+1)*d], q.dir[i*d:(i+1)*d]
	to := block[s.row*d : (s.row+1)*d]
	eps := machineEpsilon[T]()
	if s.residual <= 1e5*eps*(1+math.Hypot(norm(z), norm(x))) || norm(dir) <= 1e3*eps*(1+norm(x)) {
		copy(to, x)
		return
	}
	println("fail", s.residual, norm(dir), norm(x), norm(z), s.step)
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
