package forward

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse"
)

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		var cases []operatorCase
		for _, n := range []int{1, 2, 3, 16, 25} {
			cases = append(cases,
				operatorCase{name: fmt.Sprintf("Integral/%d", n), op: must[inverse.Spectral](t)(NewIntegral(n, 0.1))},
				operatorCase{name: fmt.Sprintf("Abel/%d", n), op: must[*Dense](t)(NewAbel(n, 0.1))})
		}
		return cases
	})
}

func TestIntegral(t *testing.T) {
	op := must[inverse.Spectral](t)(NewIntegral(4, 0.5))
	if got, want := applyRow(op, []float64{2, 4, -2, 6}), []float64{1, 3, 2, 5}; !floats.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// The largest singular value tends to that of the Volterra operator on
	// [0, 1], 2/π.
	op = must[inverse.Spectral](t)(NewIntegral(1000, 1e-3))
	if s := op.SingularValues()[0]; math.Abs(s-2/math.Pi) > 1e-3 {
		t.Errorf("norm %g, want about 2/π", s)
	}
}

// The Abel transform of a constant is a chord, and those of 1 - r² and of a
// Gaussian have closed forms.
func TestAbel(t *testing.T) {
	for _, tt := range []struct {
		name            string
		radius          float64
		f, transform    func(r float64) float64
		coarse, quarter float64 // errors for 100 and 400 rings
	}{
		{"constant", 1, func(float64) float64 { return 1 }, func(y float64) float64 { return 2 * math.Sqrt(1-y*y) }, 1e-13, 1e-13},
		{"parabola", 1, func(r float64) float64 { return 1 - r*r }, func(y float64) float64 { return 4. / 3 * math.Pow(1-y*y, 1.5) }, 4e-3, 5e-4},
		{"Gaussian", 6, func(r float64) float64 { return math.Exp(-r * r) }, func(y float64) float64 { return math.Sqrt(math.Pi) * math.Exp(-y*y) }, 1e-2, 1.3e-3},
	} {
		for _, n := range []int{100, 400} {
			h := tt.radius / float64(n)
			x, want := make([]float64, n), make([]float64, n)
			for i := range x {
				x[i], want[i] = tt.f((float64(i)+0.5)*h), tt.transform((float64(i)+0.5)*h)
			}
			d := floats.Distance(applyRow(must[*Dense](t)(NewAbel(n, h)), x), want, math.Inf(1))
			if limit := map[int]float64{100: tt.coarse, 400: tt.quarter}[n]; d > limit {
				t.Errorf("%s, %d rings: error %g, limit %g", tt.name, n, d, limit)
			}
		}
	}
}

func TestIntegralBadInput(t *testing.T) {
	for _, tt := range []struct {
		n    int
		h    float64
		want string
	}{{0, 1, "n is 0"}, {3, 0, "h is 0"}, {3, math.NaN(), "h is NaN"}, {3, math.Inf(1), "h is +Inf"}} {
		_, err := NewIntegral(tt.n, tt.h)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewIntegral: got %v, want an error with %q", err, tt.want)
		}
		if _, err = NewAbel(tt.n, tt.h); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewAbel: got %v, want an error with %q", err, tt.want)
		}
	}
}
