// Package diff takes central differences without allocating.
package diff

import "math"

// Jacobian is a workspace for the derivatives of f: Rⁿ → Rᵐ. It serves one
// goroutine at a time.
type Jacobian struct {
	f        func(dst, x []float64)
	x        []float64
	up, down []float64
}

// NewJacobian returns a workspace for f, which may not keep or change its
// input.
func NewJacobian(m, n int, f func(dst, x []float64)) *Jacobian {
	return &Jacobian{f: f, x: make([]float64, n), up: make([]float64, m), down: make([]float64, m)}
}

// At stores the Jacobian of f at x in dst (m×n, row-major), by 2n evaluations
// of f. The step is 6e-6 (the cube root of the machine precision) relative to
// the coordinate, or to a thousandth of the largest where it is smaller than
// that, so that positive coordinates stay positive.
func (j *Jacobian) At(dst, x []float64) {
	const rel = 6e-6
	copy(j.x, x)
	var scale float64
	for _, v := range x {
		scale = math.Max(scale, math.Abs(v))
	}
	if scale == 0 {
		scale = 1
	}
	for c, v := range x {
		h := rel * math.Max(math.Abs(v), 1e-3*scale)
		hi, lo := v+h, v-h
		j.x[c] = hi
		j.f(j.up, j.x)
		j.x[c] = lo
		j.f(j.down, j.x)
		j.x[c] = v
		for i, u := range j.up {
			dst[i*len(x)+c] = (u - j.down[i]) / (hi - lo)
		}
	}
}
