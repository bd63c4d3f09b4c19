package rng

import (
	"math"
	"sort"
	"testing"
)

// Draws of Noise are standard normal: moments, the distance of Kolmogorov and
// Smirnov, and the tails, all in standard errors.
func TestNoiseIsNormal(t *testing.T) {
	const n = 2_000_000
	x := make([]float64, n)
	src := New(11, 0)
	for lo := 0; lo < n; lo += 1000 {
		Noise(x[lo:lo+1000], src)
	}
	var m [5]float64
	for _, v := range x {
		p := 1.0
		for k := range m {
			m[k] += p / n
			p *= v
		}
	}
	for _, c := range []struct {
		name            string
		got, want, var1 float64
	}{{"mean", m[1], 0, 1}, {"second moment", m[2], 1, 2}, {"third moment", m[3], 0, 15}, {"fourth moment", m[4], 3, 96}} {
		if d := math.Abs(c.got-c.want) / math.Sqrt(c.var1/n); d > 4 {
			t.Errorf("%s: %g, want %g, off by %.1f standard errors", c.name, c.got, c.want, d)
		}
	}
	sort.Float64s(x)
	ks := 0.0
	for i, v := range x {
		f := 0.5 * math.Erfc(-v/math.Sqrt2)
		ks = max(ks, math.Abs(f-float64(i)/n), math.Abs(f-float64(i+1)/n))
	}
	if limit := 1.95 / math.Sqrt(n); ks > limit { // exceeded once in a thousand times
		t.Errorf("Kolmogorov-Smirnov distance %.2g, want below %.2g", ks, limit)
	}
	for _, z := range []float64{1, 2, 3, 3.6, 3.7, 4, 4.4} {
		p := 0.5 * math.Erfc(z/math.Sqrt2)
		above := float64(n - sort.SearchFloat64s(x, z))
		below := float64(sort.SearchFloat64s(x, -z))
		if d := math.Abs(above-n*p) / math.Sqrt(n*p); d > 4 {
			t.Errorf("%g draws above %g, want %g", above, z, n*p)
		}
		if d := math.Abs(below-n*p) / math.Sqrt(n*p); d > 4 {
			t.Errorf("%g draws below %g, want %g", below, -z, n*p)
		}
	}
}

// Neighbours in a stretch, and stretches from one source or from neighbouring
// ones, are not correlated, nor are their squares.
func TestNoiseIsUncorrelated(t *testing.T) {
	const n = 200_000
	a, b, c := make([]float64, n), make([]float64, n), make([]float64, n)
	src := New(7, 0)
	Noise(a, src)
	Noise(b, src)
	Noise(c, New(7, 1))
	for name, pair := range map[string][2][]float64{"lag 1": {a[1:], a}, "lag 2": {a[2:], a}, "next stretch": {a, b}, "next stream": {a, c}} {
		var xy, squares float64
		for i, x := range pair[0] {
			y := pair[1][i]
			xy += x * y
			squares += (x*x - 1) * (y*y - 1) / 2
		}
		if d := math.Abs(xy) / math.Sqrt(n); d > 4 {
			t.Errorf("%s: correlated by %.1f standard errors", name, d)
		}
		if d := math.Abs(squares) / math.Sqrt(n); d > 4 {
			t.Errorf("%s: squares are correlated by %.1f standard errors", name, d)
		}
	}
}

func BenchmarkNoise(b *testing.B) {
	x := make([]float64, 1024)
	src := New(1, 0)
	b.Run("Noise", func(b *testing.B) {
		for b.Loop() {
			Noise(x, src)
		}
	})
	b.Run("FillNormal", func(b *testing.B) {
		for b.Loop() {
			FillNormal(x, src)
		}
	})
}
