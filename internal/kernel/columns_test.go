package kernel

import (
	"math"
	"testing"
)

func TestColumns(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testColumns[float32](t, 2e-6)
		testColumns[float64](t, 4e-15)
	})
}

// Columns are what rows are to the transpose.
func testColumns[T Float](t *testing.T, tol float64) {
	const ld = 80
	for _, m := range []int{1, 2, 25} {
		for n := 1; n < 75; n += 3 {
			size := (m-1)*ld + n
			x, d := make([]T, size), make([]T, size)
			y, g := make([]T, n*m), make([]T, n*m)
			for i := range m {
				for j := range n {
					x[i*ld+j], d[i*ld+j] = T(100*(i*ld+j)%37)-T(500*j), T((i+3*j)%5)
					y[j*m+i], g[j*m+i] = x[i*ld+j], d[i*ld+j]
				}
			}
			x, d = cut(x), cut(d)
			SoftmaxColumns(m, n, x, ld)
			SoftmaxRows(n, m, y, m, y, m)
			SoftmaxBackwardColumns(m, n, d, x, ld)
			SoftmaxBackwardRows(n, m, g, g, y, m)
			for i := range m {
				for j := range n {
					if diff := math.Abs(float64(x[i*ld+j] - y[j*m+i])); !(diff <= tol) {
						t.Errorf("%d×%d: softmax(%d, %d) = %v, want %v", m, n, i, j, x[i*ld+j], y[j*m+i])
					}
					if diff := math.Abs(float64(d[i*ld+j] - g[j*m+i])); !(diff <= 4*tol) {
						t.Errorf("%d×%d: softmax gradient (%d, %d) = %v, want %v", m, n, i, j, d[i*ld+j], g[j*m+i])
					}
				}
			}
		}
	}
}

func TestCombine(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		for n := range 40 {
			a, b, dst := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range a {
				a[i], b[i] = float64(i%7), float64(i%5)
			}
			Combine(dst, 2, a, -3, b)
			Combine(a, 1, a, 4, b)
			for i := range a {
				if x, y := float64(i%7), float64(i%5); dst[i] != 2*x-3*y || a[i] != x+4*y {
					t.Errorf("n %d: element %d is %v and in place %v, want %v and %v", n, i, dst[i], a[i], 2*x-3*y, x+4*y)
				}
			}
		}
	})
}
