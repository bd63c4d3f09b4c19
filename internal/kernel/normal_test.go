package kernel

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/integrate/quad"
)

// TestLogNormalMass compares with quadrature, relative to the density at the edge
// nearest to 0 in the tails, and the derivatives with differences.
func TestLogNormalMass(t *testing.T) {
	for _, u := range []float64{-1e4, -50, -31, -30, -8, -1, -0.2, 0, 0.3, 1, 2, 9, 33, 60, 1e4} {
		for _, w := range []float64{1e-9, 1e-6, 0.99e-4, 1.01e-4, 1e-3, 0.1, 1, 5, 100} {
			l, du, dw := LogNormalMass(u, w)
			// The point of the highest density, and as many scales of its decay
			// as matter, at distances from u that are shares of w.
			top := math.Min(math.Max(0, u-w), u)
			reach, at := 12/math.Max(1, math.Abs(top)/4)/w, (u-top)/w
			mass := w * quad.Fixed(func(s float64) float64 {
				z := u - s*w
				return math.Exp((top - z) * (top + z) / 2)
			}, math.Max(0, at-reach), math.Min(1, at+reach), 400, nil, 0)
			want := math.Log(mass) + LogNormal(top)
			if !(math.Abs(l-want) <= 1e-9*math.Max(1, math.Abs(want))) {
				t.Errorf("u = %g, w = %g: %.12g, quadrature gives %.12g", u, w, l, want)
			}
			if math.Abs(u) > 100 || w < 1e-3 {
				continue
			}
			h := &fd.Settings{Formula: fd.Central, Step: 1e-3 * math.Min(1, w)}
			for what, d := range map[string][2]float64{
				"u": {du, fd.Derivative(func(u float64) float64 { l, _, _ := LogNormalMass(u, w); return l }, u, h)},
				"w": {dw, fd.Derivative(func(w float64) float64 { l, _, _ := LogNormalMass(u, w); return l }, w, h)},
			} {
				if !(math.Abs(d[0]-d[1]) <= 1e-5*math.Max(1, math.Abs(d[1]))) {
					t.Errorf("u = %g, w = %g: derivative in %s is %g, differences give %g", u, w, what, d[0], d[1])
				}
			}
		}
	}
}
