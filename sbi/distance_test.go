package sbi

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// fixture returns the pair of samples of a case of TestC2STAgainstScikitLearn.
func fixture(k int) (p, q *mat.Dense) {
	r := rand.New(rand.NewPCG(uint64(k), 12))
	fill := func(n, d int, row func(x []float64)) *mat.Dense {
		m := mat.NewDense(n, d, nil)
		for i := range n {
			row(m.RawRowView(i))
		}
		return m
	}
	normal := func(x []float64) {
		for j := range x {
			x[j] = r.NormFloat64()
		}
	}
	switch k {
	case 0: // the same distribution
		return fill(2000, 2, normal), fill(2000, 2, normal)
	case 1: // a shift in units far from one
		far := func(s float64) func(x []float64) {
			return func(x []float64) {
				normal(x)
				x[0], x[1] = 1000+10*x[0]+s, x[1]*0.01
			}
		}
		return fill(2000, 2, far(0)), fill(2000, 2, far(8))
	case 2: // correlation
		return fill(2000, 3, normal), fill(2000, 3, func(x []float64) {
			normal(x)
			x[1] = 0.6*x[1] + 0.8*x[0]
		})
	default: // one mode of two
		return fill(3000, 5, func(x []float64) {
				normal(x)
				x[0] += 3
				if r.Float64() < 0.5 {
					x[0] -= 6
				}
			}), fill(3000, 5, func(x []float64) {
				normal(x)
				x[0] += 3
			})
	}
}

// TestC2STAgainstScikitLearn has the values of scikit-learn 1.9.1's
// MLPClassifier and KFold by the benchmark's definition, mean over six seeds.
func TestC2STAgainstScikitLearn(t *testing.T) {
	for k, want := range []float64{0.5068, 0.6587, 0.6928, 0.7097} {
		if testing.Short() {
			t.Skip("trains twenty classifiers")
		}
		p, q := fixture(k)
		res, err := C2ST(context.Background(), p, q, &C2STOptions{Src: rng.New(1, uint64(k))})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(res.Accuracy-want) > 0.01 {
			t.Errorf("case %d: accuracy %.4f, scikit-learn %.4f", k, res.Accuracy, want)
		}
	}
}

// TestC2STIsReproducible: for any number of workers.
func TestC2STIsReproducible(t *testing.T) {
	r := rand.New(rng.New(2, 0))
	p, q := mat.NewDense(200, 2, nil), mat.NewDense(200, 2, nil)
	for i := range 200 {
		p.SetRow(i, []float64{r.NormFloat64(), r.NormFloat64()})
		q.SetRow(i, []float64{r.NormFloat64(), r.NormFloat64() + 1})
	}
	var want string
	for _, workers := range []int{1, 4} {
		res, err := C2ST(context.Background(), p, q, &C2STOptions{Src: rng.New(3, 0), Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = res.String()
		} else if res.String() != want {
			t.Errorf("%v, and %v with %d workers", want, res, workers)
		}
		// The Bayes classifier is right with probability Φ(1/2) = 0.691.
		if math.Abs(res.Accuracy-0.691) > 0.07 || !strings.Contains(want, "the samples differ") {
			t.Errorf("%v, want 0.691", res)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := C2ST(ctx, p, q, nil); err != context.Canceled {
		t.Errorf("end of ctx: error %v", err)
	}
	for want, f := range map[string]func() error{
		"as many":  func() error { _, err := C2ST(context.Background(), p, mat.NewDense(10, 2, nil), nil); return err },
		"is empty": func() error { _, err := C2ST(context.Background(), p, nil, nil); return err },
		"[NaN 0]": func() error {
			_, err := C2ST(context.Background(), mat.NewDense(2, 2, []float64{1, 2, math.NaN(), 0}), p, nil)
			return err
		},
		"1000 folds":    func() error { _, err := C2ST(context.Background(), p, q, &C2STOptions{Folds: 1000}); return err },
		"no bandwidth":  func() error { _, err := MMD(mat.NewDense(10, 2, nil), q); return err },
		"-1 directions": func() error { _, err := SlicedWasserstein(p, q, -1, nil); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestMMD compares with the discrepancy of two normal distributions,
//
//	E k(x, x') = (1 + 2/h²)^(-d/2),  E k(x, y) = the same times exp(-|s|²/(2(h² + 2)))
//
// for a shift s and samples whose median distance h is that of the sample.
func TestMMD(t *testing.T) {
	r := rand.New(rng.New(4, 0))
	const n = 900
	p, q := mat.NewDense(n, 2, nil), mat.NewDense(n-300, 2, nil)
	for i := range n {
		p.SetRow(i, []float64{r.NormFloat64(), r.NormFloat64()})
	}
	for i := range n - 300 {
		q.SetRow(i, []float64{r.NormFloat64() + 0.7, r.NormFloat64()})
	}
	got, err := MMD(p, q)
	if err != nil {
		t.Fatal(err)
	}
	h, err := medianDistance(p)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * math.Sqrt(math.Ln2); math.Abs(h-want) > 0.08 { // |x-x'|²/2 is χ² with 2 degrees of freedom
		t.Errorf("median distance %g, want %g", h, want)
	}
	want := 2 / (1 + 2/(h*h)) * (1 - math.Exp(-0.49/(2*(h*h+2))))
	if math.Abs(got-want) > 0.03 {
		t.Errorf("MMD² %g, want %g", got, want)
	}
	same, err := MMD(p.Slice(0, 450, 0, 2).(*mat.Dense), p.Slice(450, n, 0, 2).(*mat.Dense))
	if err != nil || math.Abs(same) > 0.006 {
		t.Errorf("MMD² of one distribution %g, %v", same, err)
	}
}

func TestSlicedWasserstein(t *testing.T) {
	// By definition, for samples of sizes that do not divide each other.
	x, y := []float64{0, 1, 4}, []float64{1, 2}
	if got, want := wasserstein2(x, y), (2*1+1*0+1*1+2*4)/6.; math.Abs(got-want) > 1e-15 {
		t.Errorf("W₂² = %g, want %g", got, want)
	}
	r := rand.New(rng.New(5, 0))
	const n = 1000
	p, q := mat.NewDense(n, 3, nil), mat.NewDense(n, 3, nil)
	for i := range n {
		row := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		p.SetRow(i, row)
		q.SetRow(i, []float64{row[0] + 1, row[1] - 2, row[2]})
	}
	got, err := SlicedWasserstein(p, q, 300, rng.New(6, 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := math.Sqrt(5. / 3); math.Abs(got-want) > 0.1 {
		t.Errorf("distance %g, want %g", got, want)
	}
}
