package prior

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

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
	noAllocations(t, fmt.Sprintf("%T", p), func() {
		p.LogProb(x)
		p.ScoreInput(score, x)
		p.LogProbScore(score, x)
		p.Draw(draws, src)
	})
	if got := p.(distmv.Rander).Rand(nil); len(got) != n {
		t.Errorf("%T: Rand(nil) has length %d, want %d", p, len(got), n)
	}
	mustPanic(t, func() { p.LogProb(make([]float64, n+1)) })
	mustPanic(t, func() { p.Draw(mat.NewDense(1, n+1, nil), src) })
}

// Rand draws what Draw draws from an equal source.
func TestRandDrawsFromSrc(t *testing.T) {
	src := func() rand.Source { return rng.New(7, 0) }
	check := func(p Prior, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		draws := mat.NewDense(2, p.Dim(), nil)
		p.Draw(draws, src())
		for i := range 2 {
			if got := p.(distmv.Rander).Rand(nil); !slices.Equal(got, draws.RawRowView(i)) {
				t.Errorf("%T: Rand %v, Draw %v", p, got, draws.RawRowView(i))
			}
		}
	}
	points := mat.NewDense(3, 1, []float64{0, 1, 2})
	g, err := NewGaussian(nil, randomCovariance(3, 1), &GaussianOptions{Src: src()})
	check(g, err)
	gp, err := NewGP(points, Matern{Nu: 0.5, SD: 1, Length: 1}, &GPOptions{Src: src()})
	check(gp, err)
	f, err := NewGMRF1D(4, &GMRFOptions{Src: src()})
	check(f, err)
	m, err := NewIsotropicMixture(nil, points, []float64{1}, &MixtureOptions{Src: src()})
	check(m, err)
	b, err := NewBox([]float64{0, 0}, []float64{1, 2}, &BoxOptions{Src: src()})
	check(b, err)
	p, err := NewIID(3, distuv.Gamma{Alpha: 2, Beta: 1}, &ProductOptions{Src: src()})
	check(p, err)
	w, err := NewRandomWalk(3, distuv.Laplace{Scale: 1}, &DifferencesOptions{Src: src()})
	check(w, err)
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

func noAllocations(t *testing.T, name string, f func()) {
	t.Helper()
	if a := testing.AllocsPerRun(10, f); a != 0 && !raceDetector {
		t.Errorf("%s: %v allocations", name, a)
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

// testCovariance compares the mean and all covariances of draws of p with the
// given ones, in standard errors.
func testCovariance(t *testing.T, p Prior, mean []float64, cov mat.Symmetric) {
	t.Helper()
	const draws = 20000
	n := p.Dim()
	x := mat.NewDense(draws, n, nil)
	p.Draw(x, rng.New(6, 0))
	for j := range n {
		for k := j; k < n; k++ {
			var m, c, c2 float64
			for i := range draws {
				d, e := x.At(i, j)-mean[j], x.At(i, k)-mean[k]
				m += d / draws
				c += d * e / draws
				c2 += d * d * e * e / draws
			}
			if se := math.Sqrt(cov.At(j, j) / draws); math.Abs(m) > 4*se {
				t.Errorf("%T: mean of coordinate %d is off by %.3g, %.1f standard errors", p, j, m, m/se)
			}
			if se := math.Sqrt((c2 - c*c) / draws); math.Abs(c-cov.At(j, k)) > 4*se {
				t.Errorf("%T: covariance (%d, %d) is %g, want %g ± %.2g", p, j, k, c, cov.At(j, k), se)
			}
		}
	}
}

// randomCovariance returns a positive definite matrix with eigenvalues above
// 0.1, and randomDense a matrix of standard normals.
func randomCovariance(n int, seed uint64) *mat.SymDense {
	s := mat.NewSymDense(n, nil)
	s.SymOuterK(1/float64(n), randomDense(n, n, seed))
	for i := range n {
		s.SetSym(i, i, s.At(i, i)+0.1)
	}
	return s
}

func randomDense(r, c int, seed uint64) *mat.Dense {
	m := mat.NewDense(r, c, nil)
	rng.FillNormal(m.RawMatrix().Data, rng.New(seed, 99))
	return m
}

// closeTo reports whether a and b agree to tol of the larger of 1 and |b|.
func closeTo(a, b, tol float64) bool { return math.Abs(a-b) <= tol*math.Max(1, math.Abs(b)) }
