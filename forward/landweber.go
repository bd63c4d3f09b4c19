package forward

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// Landweber inverts A x = y by gradient descent,
//
//	x ← x + ω Aᵀ(y - A x),
//
// which converges slowly and so is easily stopped in time. After k iterations
// the component of x along a singular vector has the filter factor
// 1 - (1 - ωσ²)ᵏ (Landweber, 1951).
//
// Nil options mean the defaults.
func Landweber(ctx context.Context, a inverse.Linear, y []float64, o *IterOptions) (*Inversion, error) {
	if o == nil {
		o = &IterOptions{}
	}
	p, err := newLeastSquares("Landweber", a, y, o)
	if err != nil {
		return nil, err
	}
	return iterate(ctx, "Landweber", p, newLandweber(a, p, o), o)
}

func newLandweber(a inverse.Linear, p *leastSquares, o *IterOptions) *landweber {
	s := &landweber{leastSquares: p, omega: o.Step, g: mat.NewDense(1, p.n, nil), ax: mat.NewDense(1, p.m, nil)}
	if s.omega == 0 {
		norm := operatorNorm(a, 30)
		if norm > 0 {
			s.omega = 1 / (norm * norm)
		}
	}
	if o.Rule != GCV {
		return s
	}
	if spectral, ok := a.(inverse.Spectral); ok {
		s.sigma = spectral.SingularValues()
	} else {
		s.probe = &landweber{omega: s.omega, g: s.g, ax: s.ax, leastSquares: &leastSquares{
			a: a, m: p.m, n: p.n, y: make([]float64, p.m),
			x: mat.NewDense(1, p.n, nil), r: mat.NewDense(1, p.m, nil),
		}}
		src := rng.New(0, 0)
		for i := range s.probe.y {
			s.probe.y[i] = 1 - 2*float64(src.Uint64()>>63)
		}
	}
	return s
}

type landweber struct {
	*leastSquares
	omega float64
	g     *mat.Dense // Aᵀr
	ax    *mat.Dense // A x
	sigma []float64  // the singular values, for the trace, or
	probe *landweber // the same iteration for data of random signs
}

func (s *landweber) start() {
	s.reset()
	s.a.Adjoint(s.g, s.r)
	if s.probe != nil {
		s.probe.reset()
	}
}

func (s *landweber) step() (residual, gradient float64, ok bool) {
	if s.probe != nil {
		s.probe.a.Adjoint(s.g, s.probe.r)
		s.probe.advance()
		s.a.Adjoint(s.g, s.r)
	}
	s.advance()
	s.a.Adjoint(s.g, s.r)
	return mat.Norm(s.r, 2), mat.Norm(s.g, 2), true
}

// advance takes the step along g = Aᵀr.
func (s *landweber) advance() {
	floats.AddScaled(s.x.RawRowView(0), s.omega, s.g.RawRowView(0))
	s.a.Apply(s.ax, s.x)
	floats.SubTo(s.r.RawRowView(0), s.y, s.ax.RawRowView(0))
}

// trace is the sum of the filter factors or, without singular values,
// Hutchinson's estimate wᵀ A x(w), where x(w) is the iterate for data w of
// random signs.
func (s *landweber) trace(k int) float64 {
	if s.sigma != nil {
		sum := 0.
		for _, v := range s.sigma {
			sum += 1 - math.Pow(1-s.omega*v*v, float64(k))
		}
		return sum
	}
	w, r := s.probe.y, s.probe.r.RawRowView(0)
	return float64(s.m) - floats.Dot(w, r)
}

// operatorNorm returns the largest singular value of a, by power iteration
// on AᵀA.
func operatorNorm(a inverse.Linear, iterations int) float64 {
	m, n := a.Dims()
	x, ax := mat.NewDense(1, n, nil), mat.NewDense(1, m, nil)
	rng.FillNormal(x.RawRowView(0), rng.New(1, 0))
	norm := 0.0
	for range iterations {
		length := mat.Norm(x, 2)
		if length == 0 {
			return 0
		}
		x.Scale(1/length, x)
		a.Apply(ax, x)
		norm = mat.Norm(ax, 2)
		a.Adjoint(x, ax)
	}
	return norm
}
