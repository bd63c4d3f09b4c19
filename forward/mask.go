package forward

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Mask observes some of the coordinates: inpainting, sparse sensors, or, with
// all of them, the identity. All singular values are 1.
type Mask struct {
	n     int
	index []int
	ones  []float64
}

var _ inverse.Spectral = (*Mask)(nil)

// NewMask returns the operator x ↦ (x[index[0]], x[index[1]], ...) on Rⁿ. It
// is an error if index is empty, has an element outside [0, n), or has one
// twice.
func NewMask(n int, index []int) (*Mask, error) {
	if len(index) == 0 {
		return nil, fmt.Errorf("forward: index is empty, want at least one of %d coordinates", n)
	}
	seen := make(map[int]int, len(index))
	for i, j := range index {
		if j < 0 || j >= n {
			return nil, fmt.Errorf("forward: index[%d] is %d, want it in [0, %d)", i, j, n)
		}
		if k, ok := seen[j]; ok {
			return nil, fmt.Errorf("forward: index[%d] and index[%d] are both %d, want them distinct", k, i, j)
		}
		seen[j] = i
	}
	ones := make([]float64, len(index))
	for i := range ones {
		ones[i] = 1
	}
	return &Mask{n: n, index: append([]int(nil), index...), ones: ones}, nil
}

// NewMaskOf returns the Mask that observes the coordinates where keep is true,
// in order.
func NewMaskOf(keep []bool) (*Mask, error) {
	var index []int
	for i, k := range keep {
		if k {
			index = append(index, i)
		}
	}
	if index == nil {
		return nil, fmt.Errorf("forward: keep has no true element of %d", len(keep))
	}
	return NewMask(len(keep), index)
}

// NewIdentity returns the Mask that observes all coordinates of Rⁿ.
func NewIdentity(n int) (*Mask, error) {
	if n < 1 {
		return nil, fmt.Errorf("forward: n is %d, want it positive", n)
	}
	index := make([]int, n)
	for i := range index {
		index[i] = i
	}
	return NewMask(n, index)
}

// Dims returns the number of observed coordinates and of all.
func (o *Mask) Dims() (m, n int) { return len(o.index), o.n }

// Apply sets the rows of dst to the observed coordinates of x_i.
func (o *Mask) Apply(dst, x *mat.Dense) {
	checkBatch(dst, len(o.index), x, o.n)
	r, _ := x.Dims()
	for i := range r {
		to, from := dst.RawRowView(i), x.RawRowView(i)
		for k, j := range o.index {
			to[k] = from[j]
		}
	}
}

// Adjoint puts the values of y_i where they were observed, and zeros elsewhere.
func (o *Mask) Adjoint(dst, y *mat.Dense) {
	checkBatch(dst, o.n, y, len(o.index))
	r, _ := y.Dims()
	for i := range r {
		to, from := dst.RawRowView(i), y.RawRowView(i)
		clear(to)
		for k, j := range o.index {
			to[j] = from[k]
		}
	}
}

// SingularValues returns ones.
func (o *Mask) SingularValues() []float64 { return o.ones }

// MulV is Adjoint: V = Aᵀ.
func (o *Mask) MulV(dst, c *mat.Dense) { o.Adjoint(dst, c) }

// MulVT is Apply: Vᵀ = A.
func (o *Mask) MulVT(dst, x *mat.Dense) { o.Apply(dst, x) }

// MulU copies: U = I.
func (o *Mask) MulU(dst, c *mat.Dense) {
	checkBatch(dst, len(o.index), c, len(o.index))
	dst.Copy(c)
}

// MulUT copies: U = I.
func (o *Mask) MulUT(dst, y *mat.Dense) { o.MulU(dst, y) }
