package forward

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// NewAbel returns the Abel transform of functions f(r) that are constant on n
// rings of width h: the integrals along lines at the distances y from the
// centre of a disk of radius n h,
//
//	y_i = 2 ∫_y^{nh} f(r) r / sqrt(r² - y²) dr,   y = (i+½) h,
//
// exact for such f. It is how a camera sees a flame or a plasma that is
// symmetric about an axis.
//
// It is an error if n or h is not positive, or h is not finite.
func NewAbel(n int, h float64) (*Dense, error) {
	switch {
	case n < 1:
		return nil, fmt.Errorf("forward: n is %d, want a positive number of rings", n)
	case !(h > 0) || math.IsInf(h, 1):
		return nil, fmt.Errorf("forward: h is %v, want a positive width", h)
	}
	a := mat.NewDense(n, n, nil)
	for i := range n {
		y := float64(i) + 0.5
		inner := 0. // half the chord inside of ring j
		for j := i; j < n; j++ {
			r := float64(j + 1)
			outer := math.Sqrt((r - y) * (r + y))
			a.Set(i, j, 2*h*(outer-inner))
			inner = outer
		}
	}
	return NewDense(a)
}
