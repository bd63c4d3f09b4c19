package diff

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
)

func TestJacobian(t *testing.T) {
	f := func(dst, x []float64) {
		dst[0] = x[0] * x[0] * math.Exp(x[1])
		dst[1] = math.Sqrt(x[0]) + x[2]
	}
	j := NewJacobian(2, 3, f)
	dst := make([]float64, 6)
	for _, x := range [][]float64{{2, 0.5, -3}, {1e-3, 1, 0}, {300, -0.01, 40}} {
		kept := append([]float64(nil), x...)
		j.At(dst, x)
		want := []float64{2 * x[0] * math.Exp(x[1]), x[0] * x[0] * math.Exp(x[1]), 0, 0.5 / math.Sqrt(x[0]), 0, 1}
		for i, w := range want {
			if got := dst[i]; !scalar.EqualWithinAbsOrRel(got, w, 1e-8, 1e-6) {
				t.Errorf("x = %g: entry %d is %g, want %g", x, i, got, w)
			}
		}
		for i := range x {
			if x[i] != kept[i] {
				t.Errorf("x was changed from %g to %g", kept, x)
			}
		}
	}
	x := []float64{2, 0.5, -3}
	if n := testing.AllocsPerRun(10, func() { j.At(dst, x) }); n != 0 {
		t.Errorf("At allocates %g times", n)
	}
}
