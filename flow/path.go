package flow

import (
	"context"
	"fmt"
	"math"
	"unsafe"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/ode"
)

// continuous is a network whose g follows the solutions of a differential
// equation.
type continuous[T kernel.Float] interface {
	// between replaces z by its place at time to if it is there at time from;
	// z ~ N(0, I) is at time 1, x at time 0.
	between(w *workspace[T], z, c []T, from, to float64)
}

// integration says how the equation of a trained flow is solved.
type integration struct {
	steps     int
	tolerance float64
}

func settings[T kernel.Float](i integration) ode.Settings {
	if i.tolerance == 0 {
		return ode.Settings{Step: 1 / float64(i.steps)}
	}
	tol := i.tolerance
	if unsafe.Sizeof(T(0)) == 4 {
		tol = max(tol, 1e-5)
	}
	return ode.Settings{RelTol: tol, AbsTol: tol}
}

// withDivergence takes the rows of x from time 0 to z at time 1, along a field
// of states (x, l), and logDet to the l. The state is scratch, and returned
// for the next time.
func withDivergence[T kernel.Float](i integration, b *ode.Batch[T], f ode.Field[T], state, z, logDet, x []T) []T {
	rows := len(logDet)
	d := len(x) / rows
	state = resize(state, rows*(d+1))
	for i := range rows {
		copy(state[i*(d+1):i*(d+1)+d], x[i*d:])
		state[i*(d+1)+d] = 0
	}
	b.Solve(f, state, d+1, 0, 1, settings[T](i))
	for i := range rows {
		copy(z[i*d:(i+1)*d], state[i*(d+1):])
		logDet[i] = state[i*(d+1)+d]
		if logDet[i] != logDet[i] {
			logDet[i] = T(math.Inf(-1))
		}
	}
	return state
}

// Paths returns where particles are on their way from z_i to g(z_i; y_i), at
// steps + 1 equal times: the first matrix has the z_i, the last the draws, all
// in the units of x, so that a straight path is a straight line. y has a row
// for each of z, or a single one, or is nil without conditions.
//
// The error says that steps is not positive or that the architecture is not a
// continuous one, [COT], [Matching] or [Diffusion].
func Paths(f *Flow, z, y *mat.Dense, steps int) ([]*mat.Dense, error) {
	if steps < 1 {
		return nil, fmt.Errorf("flow: Paths: steps is %d, want at least 1", steps)
	}
	if !f.net.continuous() {
		return nil, fmt.Errorf("flow: Paths: %T has no paths, want COT, Matching or Diffusion", f.arch)
	}
	rows := f.mustFit("z", z, f.du, y)
	at := make([]*mat.Dense, steps+1)
	for k := range at {
		at[k] = mat.NewDense(rows, f.dx, nil)
	}
	f.each(context.Background(), rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		x := make([]float64, (hi-lo)*f.du)
		for i := lo; i < hi; i++ {
			copy(x[(i-lo)*f.du:], z.RawRowView(i))
		}
		c := f.conditions(s, y, lo, hi)
		for k := range at {
			if k > 0 {
				from, to := 1-float64(k-1)/float64(steps), 1-float64(k)/float64(steps)
				f.net.between(x, c, hi-lo, from, to)
			}
			s.x = append(s.x[:0], x...)
			f.toUnits(at[k], s, c, lo, hi)
		}
		return nil
	})
	return at, nil
}

// InverseError returns by how much the rows of x change when f inverts them
// and generates them again, g(g⁻¹(x; y); y) - x: the largest and the root mean
// square of all elements. They are errors of rounding but for continuous
// flows, whose equation is solved approximately, and for PCP maps.
func InverseError(f inverse.ConditionalFlow, x, y *mat.Dense) (largest, rms float64) {
	rows, d := x.Dims()
	z, back := mat.NewDense(rows, d, nil), mat.NewDense(rows, d, nil)
	f.Invert(z, nil, x, y)
	f.Generate(back, z, y)
	back.Sub(back, x)
	for i := range rows {
		for _, v := range back.RawRowView(i) {
			largest = max(largest, math.Abs(v))
			rms += v * v
		}
	}
	return largest, math.Sqrt(rms / float64(rows*d))
}
