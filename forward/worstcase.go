package forward

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// A Perturbation is a change of the data that a reconstruction amplifies.
type Perturbation struct {
	Delta  []float64 // δ
	Change []float64 // R(y + δ) - R(y)
	Gain   float64   // ‖Change‖ / ‖δ‖
}

// WorstCaseOptions are the options of [WorstCase].
type WorstCaseOptions struct {
	// Size bounds ‖δ‖. If 0, it is 1 % of ‖y‖, or 0.01 where y is zero.
	Size float64
	// Steps is the number of ascents. If 0, it is 200.
	Steps int
	// Momentum is γ. If 0, it is 0.9, the authors'.
	Momentum float64
	// Rate is η. If 0, it is 10/L², where L is the norm of the Jacobian at y
	// by a few power iterations.
	Rate float64
	// Starts is the number of random starts, of which the best counts. If 0,
	// it is 1; a nonlinear reconstruction may need more.
	Starts int
	Src    rand.Source // of the starts; nil means a freshly seeded one
}

// WorstCase looks for the perturbation of the data that changes a
// reconstruction most,
//
//	maximise ‖R(y + δ) - R(y)‖²/2  subject to ‖δ‖ ≤ Size,
//
// by gradient ascent with momentum (Antun, Renna, Poon, Adcock and Hansen, PNAS
// 2020),
//
//	v ← γ v + η ∇,  δ ← δ + v,
//
// and returns the best δ on the way. The authors subtract λ‖δ‖²/2 and tune λ
// and the number of steps for each network; here the bound on ‖δ‖ takes the
// place of λ, so that one setting serves all, and δ is brought back to the ball
// after each step.
//
// The map r is R, with a derivative ([Linearize]); [NewFunc] makes one of any
// Go function, with its vector-Jacobian product or by finite differences. For
// perturbations of the unknown, which are data that the operator a can produce
// and which the paper is about, pass [Compose] of r after a, and x for y.
//
// What is found is a lower bound of the largest change. For a linear R it is
// the largest, Gain being the norm of R.
func WorstCase(ctx context.Context, r inverse.Operator, y []float64, o *WorstCaseOptions) (*Perturbation, error) {
	if o == nil {
		o = &WorstCaseOptions{}
	}
	at, err := newMapAt(r, y)
	if err != nil {
		return nil, fmt.Errorf("forward: WorstCase: %w", err)
	}
	size, steps, momentum, starts := o.Size, o.Steps, o.Momentum, o.Starts
	switch {
	case !(size >= 0) || math.IsInf(size, 1):
		return nil, fmt.Errorf("forward: WorstCase: Size is %g, want a positive number, or 0 for the default", size)
	case steps < 0 || starts < 0:
		return nil, fmt.Errorf("forward: WorstCase: Steps is %d and Starts %d, want positive numbers, or 0 for the defaults", steps, starts)
	case !(momentum >= 0 && momentum < 1):
		return nil, fmt.Errorf("forward: WorstCase: Momentum is %g, want at least 0 and below 1", momentum)
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 1):
		return nil, fmt.Errorf("forward: WorstCase: Rate is %g, want a positive number, or 0 for the default", o.Rate)
	}
	if size == 0 {
		if size = floats.Norm(y, 2) / 100; size == 0 {
			size = 0.01
		}
	}
	if steps == 0 {
		steps = 200
	}
	if momentum == 0 {
		momentum = 0.9
	}
	starts = max(starts, 1)
	seed := rng.Seed(o.Src)
	rate := o.Rate
	if rate == 0 {
		l, _, err := at.norm(ctx, 5, size, rng.New(seed, 0))
		if err != nil {
			return nil, fmt.Errorf("forward: WorstCase: %w", err)
		}
		if l > 0 {
			rate = 10 / (l * l)
		}
	}

	best := &Perturbation{Delta: make([]float64, at.m), Change: make([]float64, at.n)}
	delta, next, change := make([]float64, at.m), make([]float64, at.m), make([]float64, at.n)
	v, gradient := make([]float64, at.m), make([]float64, at.m)
	for start := range starts {
		rng.FillNormal(delta, rng.New(seed, uint64(1+start)))
		floats.Scale(size/floats.Norm(delta, 2), delta)
		clear(v)
		for k := 0; ; k++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := at.change(change, delta); err != nil {
				return nil, fmt.Errorf("forward: WorstCase: step %d: %w", k, err)
			}
			// The change is compared, not the gain: δ may be inside the ball.
			if c := floats.Norm(change, 2); c > floats.Norm(best.Change, 2) {
				copy(best.Delta, delta)
				copy(best.Change, change)
				best.Gain = c / floats.Norm(delta, 2)
			}
			if k == steps {
				break
			}
			if err := at.pull(gradient, change); err != nil {
				return nil, fmt.Errorf("forward: WorstCase: step %d: %w", k, err)
			}
			for i := range next {
				next[i] = delta[i] + momentum*v[i] + rate*gradient[i]
			}
			if norm := floats.Norm(next, 2); norm > size {
				floats.Scale(size/norm, next)
			}
			floats.SubTo(v, next, delta)
			copy(delta, next)
		}
	}
	return best, nil
}

// LipschitzOptions are the options of [LocalLipschitz].
type LipschitzOptions struct {
	// Steps is the largest number of power iterations. If 0, it is 200.
	Steps int
	// Tol ends them when the estimate grows by less than this factor. If 0,
	// it is 1e-6.
	Tol float64
	Src rand.Source // of the start; nil means a freshly seeded one
}

// LocalLipschitz returns the norm of the Jacobian of a map at y, the Lipschitz
// constant of r in a small neighbourhood, by power iteration on JᵀJ, and the
// unit vector that it amplifies most. Jᵀu is r's own derivative ([Linearize]),
// J v a central difference of r along v.
func LocalLipschitz(ctx context.Context, r inverse.Operator, y []float64, o *LipschitzOptions) (l float64, direction []float64, err error) {
	if o == nil {
		o = &LipschitzOptions{}
	}
	at, err := newMapAt(r, y)
	if err != nil {
		return 0, nil, fmt.Errorf("forward: LocalLipschitz: %w", err)
	}
	if o.Steps < 0 || !(o.Tol >= 0) {
		return 0, nil, fmt.Errorf("forward: LocalLipschitz: Steps is %d and Tol %g, want positive numbers, or 0 for the defaults", o.Steps, o.Tol)
	}
	steps, tol := o.Steps, o.Tol
	if steps == 0 {
		steps = 200
	}
	if tol == 0 {
		tol = 1e-6
	}
	at.tol = tol
	if l, direction, err = at.norm(ctx, steps, at.smallStep(), rng.Or(o.Src)); err != nil {
		err = fmt.Errorf("forward: LocalLipschitz: %w", err)
	}
	return l, direction, err
}

// mapAt is a map R: Rᵐ → Rⁿ at a point y.
type mapAt struct {
	m, n  int
	lin   inverse.Linearization
	y     []float64
	value []float64 // R(y)
	tol   float64

	in, out, cot, grad *mat.Dense // one row
}

func newMapAt(r inverse.Operator, y []float64) (*mapAt, error) {
	if r == nil {
		return nil, errors.New("the map is nil")
	}
	n, m := r.Dims()
	switch {
	case m < 1 || n < 1:
		return nil, fmt.Errorf("the map is %d×%d, want at least 1×1", n, m)
	case len(y) != m:
		return nil, fmt.Errorf("y has length %d, the map takes vectors of length %d", len(y), m)
	case !finite(y):
		return nil, errors.New("y has a value that is not finite")
	}
	lin, err := Linearize(r)
	if err != nil {
		return nil, err
	}
	a := &mapAt{m: m, n: n, lin: lin, y: y,
		in: mat.NewDense(1, m, nil), out: mat.NewDense(1, n, nil),
		cot: mat.NewDense(1, n, nil), grad: mat.NewDense(1, m, nil)}
	a.value = make([]float64, n)
	return a, a.change(a.value, make([]float64, m)) // R(y) - 0
}

var errNotFiniteMap = errors.New("the map gives a value that is not finite")

// change stores R(y + δ) - R(y) in dst, and remembers the point for pull.
func (a *mapAt) change(dst, delta []float64) error {
	floats.AddTo(a.in.RawRowView(0), a.y, delta)
	a.lin.Apply(a.out, a.in)
	floats.SubTo(dst, a.out.RawRowView(0), a.value)
	if !finite(dst) {
		return errNotFiniteMap
	}
	return nil
}

// pull stores Jᵀu in dst, with J at the point of the last change.
func (a *mapAt) pull(dst, u []float64) error {
	copy(a.cot.RawRowView(0), u)
	a.lin.VJP(a.grad, a.cot)
	copy(dst, a.grad.RawRowView(0))
	if !finite(dst) {
		return errors.New("the derivative of the map has a value that is not finite")
	}
	return nil
}

// smallStep is that of central differences along a unit vector.
func (a *mapAt) smallStep() float64 {
	const rel = 6e-6 // cube root of the machine precision
	if s := floats.Norm(a.y, 2); s > 0 {
		return rel * s
	}
	return rel
}

// norm returns the norm of J at y, and the unit vector that reaches it, by
// power iterations with differences of half width h.
func (a *mapAt) norm(ctx context.Context, steps int, h float64, src rand.Source) (float64, []float64, error) {
	v, shifted := make([]float64, a.m), make([]float64, a.m)
	up, jv, zero := make([]float64, a.n), make([]float64, a.n), make([]float64, a.m)
	rng.FillNormal(v, src)
	floats.Scale(1/floats.Norm(v, 2), v)
	l := 0.0
	for range steps {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		floats.ScaleTo(shifted, h, v)
		if err := a.change(up, shifted); err != nil {
			return 0, nil, err
		}
		floats.Scale(-1, shifted)
		if err := a.change(jv, shifted); err != nil {
			return 0, nil, err
		}
		floats.SubTo(jv, up, jv)
		floats.Scale(1/(2*h), jv)
		last := l
		l = floats.Norm(jv, 2)
		if l == 0 || math.Abs(l-last) <= a.tol*l {
			break
		}
		if err := a.change(up, zero); err != nil { // back to y
			return 0, nil, err
		}
		if err := a.pull(shifted, jv); err != nil {
			return 0, nil, err
		}
		norm := floats.Norm(shifted, 2)
		if norm == 0 {
			break
		}
		floats.ScaleTo(v, 1/norm, shifted)
	}
	return l, v, nil
}
