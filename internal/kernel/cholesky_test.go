package kernel

import (
	"math"
	"testing"
)

// The factor may replace the matrix, whose upper triangle it leaves.
func TestCholesky(t *testing.T) {
	a := []float64{4, -1, -2, 2, 10, -3, -4, 5, 21} // L = (2, 0, 0; 1, 3, 0; -2, 7/3, 3.399...)
	l := make([]float64, 9)
	if !Cholesky(l, a, 3) {
		t.Fatal("a positive definite matrix is not one")
	}
	if !Cholesky(a, a, 3) || a[1] != -1 || a[2] != -2 || a[5] != -3 {
		t.Errorf("in place: %v", a)
	}
	for i, want := range []float64{2, 0, 0, 1, 3, 0, -2, 7. / 3, math.Sqrt(17 - 49./9)} {
		if i%3 <= i/3 && (math.Abs(l[i]-want) > 1e-15 || a[i] != l[i]) {
			t.Errorf("element %d of the factor is %v and %v, want %v", i, l[i], a[i], want)
		}
	}
	x := []float64{4*1 + 2*2 - 4*3, 2*1 + 10*2 + 5*3, -4*1 + 5*2 + 21*3}
	CholeskySolve(x, l, 3)
	for i, v := range x {
		if math.Abs(v-float64(i+1)) > 1e-14 {
			t.Errorf("solution %v, want 1, 2, 3", x)
		}
	}
	if bad := []float64{-1, 0, 0, 1}; Cholesky(bad, bad, 2) || !math.IsNaN(bad[3]) {
		t.Errorf("a matrix that is not positive definite has the factor %v", bad)
	}
}
