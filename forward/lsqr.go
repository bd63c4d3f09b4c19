package forward

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// LSQR inverts A x = y by the bidiagonalisation of Golub and Kahan (Paige and
// Saunders, ACM TOMS 8, 1982). In exact arithmetic its iterates are those of
// [CGLS]; it is the more accurate of the two when A is very ill-conditioned
// and many iterations are made.
//
// Nil options mean the defaults.
func LSQR(ctx context.Context, a inverse.Linear, y []float64, o *IterOptions) (*Inversion, error) {
	if o == nil {
		o = &IterOptions{}
	}
	p, err := newLeastSquares("LSQR", a, y, o)
	if err != nil {
		return nil, err
	}
	s := &lsqr{leastSquares: p,
		v: mat.NewDense(1, p.n, nil), av: mat.NewDense(1, p.m, nil), atu: mat.NewDense(1, p.n, nil),
		w: make([]float64, p.n)}
	return iterate(ctx, "LSQR", p, s, o)
}

// lsqr holds u in the residual's place: the residual itself is not formed.
type lsqr struct {
	*leastSquares
	v, av, atu     *mat.Dense
	w              []float64
	alpha          float64
	phibar, rhobar float64
}

func (l *lsqr) start() {
	l.reset()
	u := l.r.RawRowView(0)
	l.phibar = floats.Norm(u, 2)
	if l.phibar > 0 {
		floats.Scale(1/l.phibar, u)
	}
	l.a.Adjoint(l.v, l.r)
	v := l.v.RawRowView(0)
	l.alpha = floats.Norm(v, 2)
	if l.alpha > 0 {
		floats.Scale(1/l.alpha, v)
	}
	copy(l.w, v)
	l.rhobar = l.alpha
}

func (l *lsqr) step() (residual, gradient float64, ok bool) {
	if l.alpha == 0 || l.phibar == 0 {
		return 0, 0, false
	}
	u, v := l.r.RawRowView(0), l.v.RawRowView(0)

	// β u ← A v - α u,  α v ← Aᵀu - β v
	l.a.Apply(l.av, l.v)
	floats.AddScaledTo(u, l.av.RawRowView(0), -l.alpha, u)
	beta := floats.Norm(u, 2)
	if beta > 0 {
		floats.Scale(1/beta, u)
	}
	l.a.Adjoint(l.atu, l.r)
	floats.AddScaledTo(v, l.atu.RawRowView(0), -beta, v)
	l.alpha = floats.Norm(v, 2)
	if l.alpha > 0 {
		floats.Scale(1/l.alpha, v)
	}

	rho := math.Hypot(l.rhobar, beta)
	c, s := l.rhobar/rho, beta/rho
	theta := s * l.alpha
	l.rhobar = -c * l.alpha
	phi := c * l.phibar
	l.phibar *= s
	floats.AddScaled(l.x.RawRowView(0), phi/rho, l.w)
	floats.AddScaledTo(l.w, v, -theta/rho, l.w)
	return l.phibar, l.phibar * l.alpha * math.Abs(c), true
}

func (l *lsqr) trace(k int) float64 { return float64(k) }
