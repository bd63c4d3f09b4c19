package prior

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/internal/rng"
)

// testPrior holds p to what every prior promises: a right score at x and at
// draws, evaluation and draws that are concurrent, repeatable and free of
// allocation.
func testPrior(t *testing.T, p Prior, x []float64) {
	t.Helper()
	if err := CheckScore(p, x); err != nil {
		t.Errorf("%T at %v: %v", p, x, err)
	}
	n := p.Dim()
	draws := mat.NewDense(3, n, nil)
	p.Draw(draws, rng.New(3, 0))
	for i := range 3 {
		if err := CheckScore(p, draws.RawRowView(i)); err != nil {
			t.Errorf("%T at a draw: %v", p, err)
		}
	}

	var wg sync.WaitGroup
	score := p.ScoreInput(nil, x)
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			again := mat.NewDense(3, n, nil)
			p.Draw(again, rng.New(3, 0))
			if !mat.Equal(again, draws) {
				t.Errorf("%T: draws from equal sources differ", p)
			}
			if got := p.ScoreInput(nil, x); !slices.Equal(got, score) {
				t.Errorf("%T: score is %v, then %v", p, score, got)
			}
		}()
	}
	wg.Wait()

	src := rng.New(4, 0)
	if a := testing.AllocsPerRun(10, func() {
		p.LogProb(x)
		p.ScoreInput(score, x)
		p.LogProbScore(score, x)
		p.Draw(draws, src)
	}); a != 0 {
		t.Errorf("%T: %v allocations", p, a)
	}
	if got := p.(distmv.Rander).Rand(nil); len(got) != n {
		t.Errorf("%T: Rand(nil) has length %d, want %d", p, len(got), n)
	}
	mustPanic(t, func() { p.LogProb(make([]float64, n+1)) })
	mustPanic(t, func() { p.Draw(mat.NewDense(1, n+1, nil), src) })
}

// testMoments compares the mean and variance of draws of p with the given
// ones, in standard errors.
func testMoments(t *testing.T, p Prior, mean, variance []float64) {
	t.Helper()
	const draws = 20000
	x := mat.NewDense(draws, p.Dim(), nil)
	p.Draw(x, rng.New(5, 0))
	for j := range mean {
		var m, v, v2 float64
		for i := range draws {
			d := x.At(i, j) - mean[j]
			m += d / draws
			v += d * d / draws
			v2 += d * d * d * d / draws
		}
		if se := math.Sqrt(variance[j] / draws); math.Abs(m) > 4*se {
			t.Errorf("%T: mean of coordinate %d is off by %.3g, %.1f standard errors", p, j, m, m/se)
		}
		if se := math.Sqrt((v2 - v*v) / draws); math.Abs(v-variance[j]) > 4*se {
			t.Errorf("%T: variance of coordinate %d is %g, want %g ± %.2g", p, j, v, variance[j], se)
		}
	}
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "prior: ") {
			t.Errorf("panic is %q, want one of this package", s)
		}
	}()
	f()
}
