package sampler

import (
	"math"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
)

// corners is a mixture of N(-1, 0.3² I) and N(1, 0.3² I), the logarithm of the
// first weight being smaller by gap.
type corners struct {
	d   int
	gap float64
}

func (c corners) Dim() int { return c.d }

func (c corners) LogProb(x []float64) float64 { return c.LogProbScore(make([]float64, c.d), x) }

func (c corners) ScoreInput(g, x []float64) []float64 {
	c.LogProbScore(g, x)
	return g
}

func (c corners) LogProbScore(g, x []float64) float64 {
	const w = 1 / (0.3 * 0.3)
	low, high := -c.gap, 0.0
	for _, v := range x {
		low -= (v + 1) * (v + 1) * w / 2
		high -= (v - 1) * (v - 1) * w / 2
	}
	lp := logAddExp(low, high)
	s := 1 / (1 + math.Exp(low-high))
	for i, v := range x {
		g[i] = -w * (v + 1 - 2*s)
	}
	return lp
}

// cornersFound counts the chains that begin in either mode.
func cornersFound(t *testing.T, c corners, chains int, seed uint64) (low, high int) {
	t.Helper()
	r := mustRun(t, c, &NUTS{}, &Settings{Chains: chains, Warmup: 10, Draws: 4, Src: rng.New(seed, 0)})
	for _, x := range r.Chains {
		if x.At(0, 0) < 0 {
			low++
		} else {
			high++
		}
	}
	return low, high
}

// A mode without mass is left alone, and one that has its share is not.
func TestStarts(t *testing.T) {
	both := 0
	for seed := range uint64(8) {
		if low, _ := cornersFound(t, corners{8, 20}, 4, seed); low > 0 {
			t.Errorf("seed %d: %d chains begin in the low mode", seed, low)
		}
		if low, high := cornersFound(t, corners{8, 0}, 32, seed); low > 2 && high > 2 {
			both++
		}
	}
	if both < 7 {
		t.Errorf("with equal modes chains begin in both for %d seeds of 8", both)
	}
}
