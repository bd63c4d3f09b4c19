package rng

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestStreamsAreReproducibleAndDistinct(t *testing.T) {
	seen := make(map[uint64]bool)
	for seed := uint64(0); seed < 50; seed++ {
		for i := uint64(0); i < 50; i++ {
			a, b := New(seed, i).Uint64(), New(seed, i).Uint64()
			if a != b {
				t.Fatalf("stream (%d, %d) is not reproducible", seed, i)
			}
			if seen[a] {
				t.Fatalf("stream (%d, %d) starts as another one does", seed, i)
			}
			seen[a] = true
		}
	}
}

// Neighbouring streams must not be correlated: the covariance of normal draws
// across streams is within 4 standard errors of 0.
func TestNeighbouringStreamsAreUncorrelated(t *testing.T) {
	const n = 20000
	x, y := make([]float64, n), make([]float64, n)
	for i := uint64(0); i < 8; i++ {
		FillNormal(x, New(7, i))
		FillNormal(y, New(7, i+1))
		var xy, xx float64
		for j := range x {
			xy += x[j] * y[j] / n
			xx += x[j] * x[j] / n
		}
		if se := 1 / math.Sqrt(n); math.Abs(xy) > 4*se {
			t.Errorf("streams %d and %d: covariance %g, standard error %g", i, i+1, xy, se)
		}
		if se := math.Sqrt2 / math.Sqrt(n); math.Abs(xx-1) > 4*se {
			t.Errorf("stream %d: variance %g, standard error %g", i, xx, se)
		}
	}
}

func TestStateRoundTrip(t *testing.T) {
	s := New(1, 2)
	s.Uint64()
	state, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var r Source
	if err := r.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if a, b := s.Uint64(), r.Uint64(); a != b {
			t.Fatalf("restored stream gives %d, the original %d", b, a)
		}
	}
}

func TestReseed(t *testing.T) {
	s := New(1, 2)
	s.Uint64()
	Reseed(s, 3, 4)
	if a, b := s.Uint64(), New(3, 4).Uint64(); a != b {
		t.Errorf("reseeded stream gives %d, a new one %d", a, b)
	}
	if n := testing.AllocsPerRun(10, func() { Reseed(s, 3, 4) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSeed(t *testing.T) {
	if a, b := Seed(New(3, 0)), Seed(New(3, 0)); a != b {
		t.Errorf("Seed of equal sources: %d and %d", a, b)
	}
	if a, b := Seed(nil), Seed(nil); a == b {
		t.Error("Seed(nil) repeated itself")
	}
	var _ rand.Source = New(0, 0)
}
