package forward

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Compose returns the operator x ↦ a(b(x)). It is [inverse.Linear] if both
// are, and otherwise an [inverse.Linearizer] if both have a derivative. It is
// [inverse.Spectral] if both are and one of them is square with all singular
// values equal to 1; matrices whose decomposition is not at hand ([Dense] and
// separable convolutions) are not examined for that.
func Compose(a, b inverse.Operator) (inverse.Operator, error) {
	if err := checkOperators("Compose", a, b); err != nil {
		return nil, err
	}
	am, an := a.Dims()
	bm, bn := b.Dims()
	if an != bm {
		return nil, fmt.Errorf("forward: Compose of %d×%d after %d×%d: the first takes %d values, the second gives %d", am, an, bm, bn, an, bm)
	}
	c := &composed{a: a, b: b}
	sa, aOK := a.(inverse.Spectral)
	sb, bOK := b.(inverse.Spectral)
	if aOK && bOK {
		if isOrthogonal(sb) {
			return &rotated{Linear: c, core: sa, right: sb}, nil
		}
		if isOrthogonal(sa) {
			return &rotated{Linear: c, core: sb, left: sa}, nil
		}
	}
	return withCapabilities(c, a, b), nil
}

// Restrict returns a observed at some of its data only, x ↦ a(x)[index], as
// [Compose] does with a [Mask].
func Restrict(a inverse.Operator, index []int) (inverse.Operator, error) {
	if err := checkOperators("Restrict", a); err != nil {
		return nil, err
	}
	m, _ := a.Dims()
	mask, err := NewMask(m, index)
	if err != nil {
		return nil, err
	}
	return Compose(mask, a)
}

// composed is x ↦ a(b(x)).
type composed struct {
	a, b    inverse.Operator
	between scratch
}

func (o *composed) Dims() (m, n int) {
	m, _ = o.a.Dims()
	_, n = o.b.Dims()
	return m, n
}

func (o *composed) Apply(dst, x *mat.Dense) {
	t := o.get(x)
	o.b.Apply(t, x)
	o.a.Apply(dst, t)
	o.between.put(t)
}

func (o *composed) Adjoint(dst, y *mat.Dense) {
	t := o.get(y)
	o.a.(inverse.Linear).Adjoint(t, y)
	o.b.(inverse.Linear).Adjoint(dst, t)
	o.between.put(t)
}

// get returns a batch of what b gives a, as large as that of x.
func (o *composed) get(x *mat.Dense) *mat.Dense {
	r, _ := x.Dims()
	k, _ := o.b.Dims()
	return o.between.get(r, k)
}

func (o *composed) Linearize() inverse.Linearization {
	k, _ := o.b.Dims()
	return &composedAt{a: mustLinearize(o.a), b: mustLinearize(o.b), k: k}
}

// composedAt is the chain rule.
type composedAt struct {
	a, b    inverse.Linearization
	k       int
	between mat.Dense
}

func (l *composedAt) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	reshape(&l.between, r, l.k)
	l.b.Apply(&l.between, x)
	l.a.Apply(dst, &l.between)
}

func (l *composedAt) VJP(dst, y *mat.Dense) {
	l.a.VJP(&l.between, y)
	l.b.VJP(dst, &l.between)
}

// rotated is the product of core with one orthogonal operator, left Q core or
// core Q right of it: the singular values are those of core.
type rotated struct {
	inverse.Linear
	core        inverse.Spectral
	left, right inverse.Linear // one of them is nil
	between     scratch
}

var _ inverse.Spectral = (*rotated)(nil)

// isOrthogonal reports whether q is known to be square and orthogonal.
func isOrthogonal(q inverse.Spectral) bool {
	m, n := q.Dims()
	if m != n {
		return false
	}
	switch q := q.(type) {
	case *Dense:
		return false
	case *spectralRows:
		if _, ok := q.svd.(*kronecker); ok {
			return false
		}
	}
	for _, s := range q.SingularValues() {
		if s != 1 {
			return false
		}
	}
	return true
}

func (o *rotated) SingularValues() []float64 { return o.core.SingularValues() }

func (o *rotated) MulV(dst, c *mat.Dense) {
	if o.right == nil {
		o.core.MulV(dst, c)
		return
	}
	t := o.between.get(dst.Dims())
	o.core.MulV(t, c)
	o.right.Adjoint(dst, t)
	o.between.put(t)
}

func (o *rotated) MulVT(dst, x *mat.Dense) {
	if o.right == nil {
		o.core.MulVT(dst, x)
		return
	}
	t := o.between.get(x.Dims())
	o.right.Apply(t, x)
	o.core.MulVT(dst, t)
	o.between.put(t)
}

func (o *rotated) MulU(dst, c *mat.Dense) {
	if o.left == nil {
		o.core.MulU(dst, c)
		return
	}
	t := o.between.get(dst.Dims())
	o.core.MulU(t, c)
	o.left.Apply(dst, t)
	o.between.put(t)
}

func (o *rotated) MulUT(dst, y *mat.Dense) {
	if o.left == nil {
		o.core.MulUT(dst, y)
		return
	}
	t := o.between.get(y.Dims())
	o.left.Adjoint(t, y)
	o.core.MulUT(dst, t)
	o.between.put(t)
}
