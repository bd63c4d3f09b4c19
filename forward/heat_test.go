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
		for _, b := range []Boundary{Zero, Reflect, Periodic} {
			for _, shape := range [][2]int{{1, 1}, {1, 8}, {9, 1}, {5, 6}, {8, 7}} {
				op := must[inverse.Spectral](t)(NewHeat2D(shape[0], shape[1], 0.4, &HeatOptions{Boundary: b}))
				cases = append(cases, operatorCase{name: fmt.Sprintf("Heat/%v/%d×%d", b, shape[0], shape[1]), op: op})
			}
		}
		return cases
	})
}

// bump is the temperature at time t of a Gaussian of variance 4 about c on a
// line of n points, by the method of images.
func bump(n int, c, t float64, b Boundary) []float64 {
	u := make([]float64, n)
	for i := range u {
		for k := -5; k <= 5; k++ {
			add := func(centre, sign float64) {
				d := float64(i) - centre
				u[i] += sign * math.Sqrt(4/(4+2*t)) * math.Exp(-d*d/(2*(4+2*t)))
			}
			switch b {
			case Zero: // odd about -1 and n
				period := float64(2 * (n + 1) * k)
				add(c+period, 1)
				add(-2-c+period, -1)
			case Reflect: // even about -½ and n-½
				period := float64(2 * n * k)
				add(c+period, 1)
				add(-1-c+period, 1)
			case Periodic:
				add(c+float64(n*k), 1)
			}
		}
	}
	return u
}

func TestHeatOfAGaussian(t *testing.T) {
	for _, b := range []Boundary{Zero, Reflect, Periodic} {
		const n, m = 40, 30
		for _, time := range []float64{0, 0.1, 3, 50} {
			rod := must[inverse.Spectral](t)(NewHeat1D(n, time, &HeatOptions{Boundary: b}))
			got, want := applyRow(rod, bump(n, 11.3, 0, b)), bump(n, 11.3, time, b)
			if d := floats.Distance(got, want, math.Inf(1)); d > 1e-7 {
				t.Errorf("%v rod at %g is off by %g", b, time, d)
			}
			plate := must[inverse.Spectral](t)(NewHeat2D(m, n, time, &HeatOptions{Boundary: b}))
			outer := func(time float64) []float64 {
				u := make([]float64, m*n)
				for i, v := range bump(m, 20.6, time, b) {
					copy(u[i*n:], floats.ScaleTo(make([]float64, n), v, bump(n, 11.3, time, b)))
				}
				return u
			}
			got, want = applyRow(plate, outer(0)), outer(time)
			if d := floats.Distance(got, want, math.Inf(1)); d > 1e-7 {
				t.Errorf("%v plate at %g is off by %g", b, time, d)
			}
		}
	}
}

func TestHeatBadInput(t *testing.T) {
	for _, tt := range []struct {
		err  func() error
		want string
	}{
		{func() error { _, err := NewHeat2D(0, 3, 1, nil); return err }, "plate is 0×3"},
		{func() error { _, err := NewHeat1D(-3, 1, nil); return err }, "rod has -3"},
		{func() error { _, err := NewHeat1D(3, -1, nil); return err }, "t is -1"},
		{func() error { _, err := NewHeat1D(3, math.NaN(), nil); return err }, "t is NaN"},
		{func() error { _, err := NewHeat1D(3, 1, &HeatOptions{Boundary: Mirror}); return err }, "boundary is mirror"},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
}
