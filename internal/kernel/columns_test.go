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
			x, d, bias := make([]T, size), make([]T, size), make([]T, m)
			y, g := make([]T, n*m), make([]T, n*m)
			for i := range m {
				bias[i] = T(i % 7)
				for j := range n {
					x[i*ld+j], d[i*ld+j] = T(100*(i*ld+j)%37)-T(500*j), T((i+3*j)%5)
					y[j*m+i], g[j*m+i] = x[i*ld+j]+bias[i], d[i*ld+j]
				}
			}
			x, d = cut(x), cut(d)
			SoftmaxColumns(m, n, x, ld, bias)
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

// Normals are the same with all instruction sets, the portable ones up to
// rounding, and a rest does not differ from the beginning of a block.
func TestNormals(t *testing.T) {
	draws := map[string][]float64{}
	ForEachPath(func(path string) {
		var g Xoshiro
		for i := range g {
			for j := range g[i] {
				g[i][j] = uint64(3+i+5*j) * 0x9e3779b97f4a7c15
			}
		}
		x := make([]float64, 1000)
		g.Normals(x[:320])
		g.Normals(x[320:])
		draws[path] = x
		more := make([]float64, 33)
		if allocs := testing.AllocsPerRun(10, func() { g.Normals(more) }); allocs > 0 {
			t.Errorf("%s: %v allocations", path, allocs)
		}
	})
	for path, x := range draws {
		for i, v := range draws["go"] {
			if !(math.Abs(x[i]-v) < 1e-13) {
				t.Fatalf("%s: draw %d is %v, portable %v", path, i, x[i], v)
			}
			if wide := draws["avx512"]; path == "avx2" && wide != nil && x[i] != wide[i] {
				t.Fatalf("draw %d is %v with AVX2, %v with AVX-512", i, x[i], wide[i])
			}
		}
	}
	// 1000 draws of mean 0 and variance 1, in standard errors.
	sum, squares := Sum(draws["go"]), SumSquares(draws["go"])
	if math.Abs(sum)/math.Sqrt(1000) > 4 || math.Abs(squares-1000)/math.Sqrt(2000) > 4 {
		t.Errorf("sum %v and sum of squares %v of 1000 draws", sum, squares)
	}
}
