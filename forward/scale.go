package forward

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Scale returns the operator x ↦ c a(x), with the capabilities of a except
// that a derivative is always offered as an [inverse.Linearizer].
func Scale(c float64, a inverse.Operator) (inverse.Operator, error) {
	if math.IsNaN(c) || math.IsInf(c, 0) {
		return nil, fmt.Errorf("forward: Scale by %g, want a finite factor", c)
	}
	if err := checkOperators("Scale", a); err != nil {
		return nil, err
	}
	o := &scaled{c: c, a: a}
	if s, ok := a.(inverse.Spectral); ok {
		return &scaledSpectral{Linear: o, a: s, c: c, s: sync.OnceValue(func() []float64 {
			values := slices.Clone(s.SingularValues())
			floats.Scale(math.Abs(c), values)
			return values
		})}, nil
	}
	return withCapabilities(o, a), nil
}

// scaled is x ↦ c a(x).
type scaled struct {
	c float64
	a inverse.Operator
}

func (o *scaled) Dims() (m, n int) { return o.a.Dims() }

func (o *scaled) Apply(dst, x *mat.Dense) {
	o.a.Apply(dst, x)
	scaleRows(dst, o.c)
}

func (o *scaled) Adjoint(dst, y *mat.Dense) {
	o.a.(inverse.Linear).Adjoint(dst, y)
	scaleRows(dst, o.c)
}

func (o *scaled) Linearize() inverse.Linearization {
	return &scaledAt{o.c, mustLinearize(o.a)}
}

type scaledAt struct {
	c float64
	a inverse.Linearization
}

func (l *scaledAt) Apply(dst, x *mat.Dense) {
	l.a.Apply(dst, x)
	scaleRows(dst, l.c)
}

func (l *scaledAt) VJP(dst, y *mat.Dense) {
	l.a.VJP(dst, y)
	scaleRows(dst, l.c)
}

// scaledSpectral is c U Σ Vᵀ: the size of c goes to Σ and its sign to U.
type scaledSpectral struct {
	inverse.Linear
	a inverse.Spectral
	c float64
	s func() []float64
}

var _ inverse.Spectral = (*scaledSpectral)(nil)

func (o *scaledSpectral) SingularValues() []float64 { return o.s() }
func (o *scaledSpectral) MulV(dst, c *mat.Dense)    { o.a.MulV(dst, c) }
func (o *scaledSpectral) MulVT(dst, x *mat.Dense)   { o.a.MulVT(dst, x) }

func (o *scaledSpectral) MulU(dst, c *mat.Dense) {
	o.a.MulU(dst, c)
	o.sign(dst)
}

func (o *scaledSpectral) MulUT(dst, y *mat.Dense) {
	o.a.MulUT(dst, y)
	o.sign(dst)
}

func (o *scaledSpectral) sign(dst *mat.Dense) {
	if o.c < 0 {
		scaleRows(dst, -1)
	}
}

// scaleRows multiplies dst by c. (The method Scale of mat.Dense allocates.)
func scaleRows(dst *mat.Dense, c float64) {
	r, _ := dst.Dims()
	for i := range r {
		floats.Scale(c, dst.RawRowView(i))
	}
}
