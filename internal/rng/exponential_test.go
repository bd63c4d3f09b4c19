package rng

import (
	"math"
	"sort"
	"testing"
)

// Draws of Exponential, and of ExponentialRest where that gives none, have the
// distribution's moments, distance of Kolmogorov and Smirnov, and tail, all in
// standard errors.
func TestExponential(t *testing.T) {
	const n = 500_000
	x := make([]float64, n)
	b := Bits(12)
	rest := 0
	for i := range x {
		b = b.Next()
		bits := b.Value()
		v, ok := Exponential(bits)
		if !ok {
			v, b = ExponentialRest(bits, b)
			rest++
		}
		x[i] = v
	}
	if p := float64(rest) / n; math.Abs(p-0.0221) > 0.0005 {
		t.Errorf("the bits are not enough in %.4f of the draws", p)
	}
	var m [4]float64
	for _, v := range x {
		for k := range m {
			m[k] += math.Pow(v, float64(k+1)) / n
		}
	}
	// The k-th moment is k!, its variance (2k)! - (k!)².
	for k, c := range [][2]float64{{1, 1}, {2, 20}, {6, 684}, {24, 39744}} {
		if z := math.Abs(m[k]-c[0]) / math.Sqrt(c[1]/n); z > 4 {
			t.Errorf("moment %d: %g, want %g, off by %.1f standard errors", k+1, m[k], c[0], z)
		}
	}
	sort.Float64s(x)
	ks := 0.0
	for i, v := range x {
		f := -math.Expm1(-v)
		ks = max(ks, math.Abs(f-float64(i)/n), math.Abs(f-float64(i+1)/n))
	}
	if limit := 1.95 / math.Sqrt(n); ks > limit { // exceeded once in a thousand times
		t.Errorf("Kolmogorov-Smirnov distance %.2g, want below %.2g", ks, limit)
	}
	for _, z := range []float64{0.1, 1, 3, expTail - 0.1, expTail, expTail + 1, 11} {
		p := math.Exp(-z)
		if above := float64(n - sort.SearchFloat64s(x, z)); math.Abs(above-n*p) > 4*math.Sqrt(n*p) {
			t.Errorf("%g draws above %g, want %g", above, z, n*p)
		}
	}
}

// The generator is SplitMix64: the first numbers of the reference
// implementation from the seed 1234567.
func TestBits(t *testing.T) {
	b := Bits(1234567)
	for _, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		b = b.Next()
		if v := b.Value(); v != want {
			t.Errorf("%d, want %d", v, want)
		}
	}
}
