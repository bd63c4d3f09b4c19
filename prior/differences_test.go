package prior

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

func TestRandomWalk(t *testing.T) {
	for _, step := range []distuv.LogProber{
		distuv.Laplace{Scale: 0.5},
		distuv.StudentsT{Sigma: 0.1, Nu: 1},
		distuv.StudentsT{Sigma: 0.3, Nu: 5},
		distuv.Normal{Sigma: 0.3},
	} {
		w, err := NewRandomWalk(4, step, &DifferencesOptions{First: distuv.Normal{Mu: 2, Sigma: 3}})
		if err != nil {
			t.Fatal(err)
		}
		testPrior(t, w, []float64{1, 1.3, 0.8, 2.5})
	}
	// A Gaussian walk is a Gaussian: covariance σ² min(i, j) and the first.
	w, err := NewRandomWalk(3, distuv.Normal{Sigma: 0.5}, &DifferencesOptions{First: distuv.Normal{Mu: 1, Sigma: 2}})
	if err != nil {
		t.Fatal(err)
	}
	cov := mat.NewSymDense(3, nil)
	for i := range 3 {
		for j := i; j < 3; j++ {
			cov.SetSym(i, j, 4+0.25*float64(i))
		}
	}
	mean := []float64{1, 1, 1}
	g, err := NewGaussian(mean, cov, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{0.3, 1.2, 0.9}
	if got, want := w.LogProb(x), g.LogProb(x); !closeTo(got, want, 1e-12) {
		t.Errorf("LogProb %v, as a Gaussian %v", got, want)
	}
	testCovariance(t, w, mean, cov)
}

// A Cauchy walk has no moments, but the median of the modulus of a step is
// its scale, also of a sum of steps: n steps have n times the scale.
func TestCauchyWalkDraws(t *testing.T) {
	const n, draws = 5, 20000
	w, err := NewRandomWalk(n, distuv.StudentsT{Sigma: 0.2, Nu: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := mat.NewDense(draws, n, nil)
	w.Draw(x, rng.New(8, 0))
	for j := range n {
		below := 0.0
		for i := range draws {
			if math.Abs(x.At(i, j)) < 0.2*float64(j+1) {
				below++
			}
		}
		if z := (below/draws - 0.5) / (0.5 / math.Sqrt(draws)); math.Abs(z) > 4 {
			t.Errorf("cell %d: %v of the draws are within the median, %.1f standard errors off", j, below/draws, z)
		}
	}
}

func TestRandomWalkNormalised(t *testing.T) {
	w, err := NewRandomWalk(2, distuv.Logistic{S: 0.4}, &DifferencesOptions{First: distuv.Logistic{Mu: 1, S: 0.3}})
	if err != nil {
		t.Fatal(err)
	}
	mass := quad.Fixed(func(a float64) float64 {
		return quad.Fixed(func(b float64) float64 { return math.Exp(w.LogProb([]float64{a, b})) }, a-16, a+16, 200, nil, 0)
	}, -11, 13, 200, nil, 0)
	if math.Abs(mass-1) > 1e-8 {
		t.Errorf("mass %v", mass)
	}
}

func TestDifferences2D(t *testing.T) {
	for _, step := range []distuv.LogProber{distuv.Laplace{Scale: 0.5}, distuv.StudentsT{Sigma: 0.1, Nu: 1}} {
		d, err := NewDifferences2D(3, 4, step, &DifferencesOptions{First: distuv.Normal{Sigma: 2}})
		if err != nil {
			t.Fatal(err)
		}
		x := randomDense(1, 12, 3).RawRowView(0)
		if err := CheckScore(d, x); err != nil {
			t.Errorf("%T: %v", step, err)
		}
		want := (distuv.Normal{Sigma: 2}).LogProb(x[0])
		for i := range 3 {
			for j := range 4 {
				if i > 0 {
					want += step.LogProb(x[4*i+j] - x[4*i-4+j])
				}
				if j > 0 {
					want += step.LogProb(x[4*i+j] - x[4*i+j-1])
				}
			}
		}
		if got := d.LogProb(x); !closeTo(got, want, 1e-13) {
			t.Errorf("%T: LogProb %v, want %v", step, got, want)
		}
		score := make([]float64, 12)
		noAllocations(t, "Differences2D", func() { d.LogProbScore(score, x) })
	}
	// On one row it is the random walk.
	d, err := NewDifferences2D(1, 5, distuv.Laplace{Scale: 0.5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewRandomWalk(5, distuv.Laplace{Scale: 0.5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := randomDense(1, 5, 4).RawRowView(0)
	if a, b := d.LogProb(x), w.LogProb(x); !closeTo(a, b, 1e-14) {
		t.Errorf("one row: %v, random walk %v", a, b)
	}
}

func TestTV(t *testing.T) {
	tv, err := NewTV2D(3, 4, 2.5, &TVOptions{Smoothing: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	x := randomDense(1, 12, 3).RawRowView(0)
	if err := CheckScore(tv, x); err != nil {
		t.Error(err)
	}
	score := make([]float64, 12)
	noAllocations(t, "TV", func() { tv.LogProbScore(score, x) })
	if got := tv.LogProb(make([]float64, 12)); got != 0 {
		t.Errorf("LogProb of a constant is %v, want 0", got)
	}
	// At differences around the default smoothing.
	fine, err := NewTV1D(4, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckScore(fine, []float64{0, 1e-3, 1.2e-3, -4e-3}); err != nil {
		t.Error(err)
	}
	// With little smoothing: the sum of the moduli of the steps of a line,
	// and sqrt 2 where a cell steps in both directions.
	line, err := NewTV1D(4, 3, &TVOptions{Smoothing: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := line.LogProb([]float64{0, 2, 1, 1}), -9.0; !closeTo(got, want, 1e-8) {
		t.Errorf("total variation of a line: %v, want %v", got, want)
	}
	square, err := NewTV2D(2, 2, 1, &TVOptions{Smoothing: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := square.LogProb([]float64{1, 0, 0, 0}), -math.Sqrt2; !closeTo(got, want, 1e-8) {
		t.Errorf("total variation of a corner: %v, want %v", got, want)
	}
}

func TestDifferencesErrors(t *testing.T) {
	good, bad := distuv.Laplace{Scale: 1}, distuv.Laplace{Scale: -1}
	check := func(want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	_, err := NewRandomWalk(0, good, nil)
	check("n = 0", err)
	_, err = NewRandomWalk(2, bad, nil)
	check("step distuv.Laplace", err)
	_, err = NewRandomWalk(2, good, &DifferencesOptions{First: bad})
	check("First distuv.Laplace", err)
	_, err = NewDifferences2D(2, 0, good, nil)
	check("2×0", err)
	_, err = NewDifferences2D(2, 2, nil, nil)
	check("step is nil", err)
	_, err = NewTV1D(0, 1, nil)
	check("n = 0", err)
	_, err = NewTV2D(0, 2, 1, nil)
	check("0×2", err)
	_, err = NewTV2D(2, 2, 0, nil)
	check("weight is 0", err)
	_, err = NewTV2D(2, 2, 1, &TVOptions{Smoothing: math.NaN()})
	check("Smoothing is NaN", err)
}
