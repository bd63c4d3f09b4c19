package kernel

import (
	"math"
	"testing"
)

// The parts of a trajectory against their formulas, on small integers and
// halves, which every order of summation adds exactly. Lengths are on both
// sides of each path's vectors.
func TestLeapfrog(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		for n := range 70 {
			seed := 0
			vector := func() []float64 {
				seed++
				x := make([]float64, n)
				for i := range x {
					x[i] = float64((seed*i*i+3*i+seed)%9 - 4)
				}
				return cut(x)
			}
			x0, p0, g, s, x, p := vector(), vector(), vector(), vector(), vector(), vector()
			const eps = -0.5
			Drift(x, p, x0, p0, g, s, eps)
			for i := range n {
				wantP := p0[i] + eps/2*s[i]*g[i]
				if wantX := x0[i] + eps*s[i]*wantP; p[i] != wantP || x[i] != wantX {
					t.Fatalf("Drift of %d: p[%d] = %v and x[%d] = %v, want %v and %v", n, i, p[i], i, x[i], wantP, wantX)
				}
			}

			q := append([]float64(nil), p...)
			got, want := Kick(q, g, s, eps), 0.0
			for i := range n {
				v := p[i] + eps/2*s[i]*g[i]
				want += v * v
				if q[i] != v {
					t.Fatalf("Kick of %d: p[%d] = %v, want %v", n, i, q[i], v)
				}
			}
			if got != want {
				t.Fatalf("Kick of %d: |p|² = %v, want %v", n, got, want)
			}

			a1, z1, a2, z2, rho1, rho2 := vector(), vector(), vector(), vector(), vector(), vector()
			if got, want := TurnPair(a1, z1), [2]float64{dot(a1, a1) + dot(z1, a1), dot(a1, z1) + dot(z1, z1)}; got != want {
				t.Fatalf("TurnPair of %d: %v, want %v", n, got, want)
			}
			turns := func(rho1, rho2, sum []float64) [6]float64 {
				for i := range n {
					if want := rho1[i] + rho2[i]; sum[i] != want {
						t.Fatalf("sum %d of %d: %v, want %v", i, n, sum[i], want)
					}
				}
				return [6]float64{
					dot(sum, a1), dot(sum, z2),
					dot(rho1, a1) + dot(a2, a1), dot(rho1, a2) + dot(a2, a2),
					dot(z1, z1) + dot(rho2, z1), dot(z1, z2) + dot(rho2, z2),
				}
			}
			sum := append([]float64(nil), rho1...)
			got6 := TurnTrees(sum, a1, z1, rho2, a2, z2)
			if want := turns(rho1, rho2, sum); got6 != want {
				t.Fatalf("TurnTrees of %d: %v, want %v", n, got6, want)
			}
			for i := range n {
				rho1[i], rho2[i] = a1[i]+z1[i], a2[i]+z2[i]
			}
			got6 = TurnPairs(sum, a1, z1, a2, z2)
			if want := turns(rho1, rho2, sum); got6 != want {
				t.Fatalf("TurnPairs of %d: %v, want %v", n, got6, want)
			}
		}
		// A momentum that is not finite is seen.
		p := make([]float64, 40)
		p[33] = math.NaN()
		if k := Kick(p, make([]float64, 40), make([]float64, 40), 1); !math.IsNaN(k) {
			t.Errorf("|p|² = %v with a NaN in p", k)
		}
	})
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
