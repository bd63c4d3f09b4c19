package flow

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// linearPairs are x = A y + b + L e with y, e ~ N(0, I), and y moved and scaled.
func linearPairs(n int) (x, y *mat.Dense, logProb func(x, y []float64) float64) {
	const dx, dy = 2, 3
	a := [dx][dy]float64{{1, -2, 0.5}, {0, 1, 3}}
	b := [dx]float64{10, -1}
	sd := [dx]float64{0.01, 0.5}
	r := rand.New(rng.New(1, 0))
	x, y = mat.NewDense(n, dx, nil), mat.NewDense(n, dy, nil)
	mean := func(j int, y []float64) float64 {
		m := b[j]
		for k, v := range y {
			m += a[j][k] * (v - 5) / 2
		}
		return m
	}
	for i := range n {
		for k := range dy {
			y.Set(i, k, 5+2*r.NormFloat64())
		}
		for j := range dx {
			x.Set(i, j, mean(j, y.RawRowView(i))+sd[j]*r.NormFloat64())
		}
	}
	return x, y, func(x, y []float64) (l float64) {
		for j, v := range x {
			z := (v - mean(j, y)) / sd[j]
			l += -z*z/2 - math.Log(sd[j]) - halfLog2Pi
		}
		return l
	}
}

// TestRegress: after few epochs a linear Gaussian density is all but exact, which
// it is not without regression, for all that a flow can be asked.
func TestRegress(t *testing.T) {
	ctx := context.Background()
	x, y, want := linearPairs(2000)
	for name, a := range map[string]Architecture{"MDN": MDN{Components: 1, Hidden: []int{8}}, "MAF": MAF{Transforms: 1, Hidden: []int{8}}, "NSF": NSF{Transforms: 1, Width: 8}} {
		f, err := Fit(ctx, a, x, y, &FitOptions{Regress: true, Epochs: 40, Rate: 1e-3, Float64: true, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := x.Dims()
		l, score := make([]float64, n), mat.NewDense(n, 3, nil)
		f.LogProb(l, x, y)
		var gap float64 // an estimate of the divergence
		for i, v := range l {
			gap += (want(x.RawRowView(i), y.RawRowView(i)) - v) / float64(n)
		}
		if math.Abs(gap) > 0.02 {
			t.Errorf("%s: divergence %.4f from the truth", name, gap)
		}
		// Without regression as many steps leave it far away.
		plain, err := Fit(ctx, a, x, y, &FitOptions{Epochs: 40, Rate: 1e-3, Float64: true, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if d := plain.Report().ValidNLL - f.Report().ValidNLL; d < 0.3 {
			t.Errorf("%s: only %.3f nats are gained by regression", name, d)
		}
		// The gradient in the condition is that of finite differences.
		if err := f.ConditionScore(l, score, x, y); err != nil {
			t.Fatal(err)
		}
		var p, q [1]float64
		for k := range 3 {
			row, at := mat.DenseCopyOf(x.Slice(0, 1, 0, 2)), mat.DenseCopyOf(y.Slice(0, 1, 0, 3))
			const h = 1e-5
			at.Set(0, k, at.At(0, k)+h)
			f.LogProb(p[:], row, at)
			at.Set(0, k, at.At(0, k)-2*h)
			f.LogProb(q[:], row, at)
			if fd := (p[0] - q[0]) / (2 * h); math.Abs(fd-score.At(0, k)) > 1e-5*(1+math.Abs(fd)) {
				t.Errorf("%s: gradient in y[%d] %g, by differences %g", name, k, score.At(0, k), fd)
			}
		}
		// Draws have the mean and standard deviation of the truth.
		draws := mat.NewDense(20_000, 2, nil)
		given := mat.NewDense(1, 3, []float64{5, 3, 9})
		if err := f.Draw(ctx, draws, given, rng.New(3, 0)); err != nil {
			t.Fatal(err)
		}
		for j, w := range []struct{ mean, sd float64 }{{13, 0.01}, {4, 0.5}} {
			if m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil); math.Abs(m-w.mean) > 0.1*w.sd || math.Abs(sd/w.sd-1) > 0.1 {
				t.Errorf("%s: x[%d] has mean %.3f and sd %.4f, want %g and %g", name, j, m, sd, w.mean, w.sd)
			}
		}
		if largest, _ := InverseError(f, draws, given); largest > 1e-9 {
			t.Errorf("%s: x changes by %g there and back", name, largest)
		}
		var file bytes.Buffer
		if err := f.Save(&file); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(bytes.NewReader(file.Bytes()), nil)
		if err != nil {
			t.Fatal(err)
		}
		back := make([]float64, n)
		loaded.LogProb(back, x, y)
		f.LogProb(l, x, y)
		for i, v := range back {
			if v != l[i] {
				t.Fatalf("%s: row %d has log density %g, from a file %g", name, i, l[i], v)
			}
		}
		if name == "MDN" {
			m, err := MixtureAt(f, given.RawRowView(0))
			if err != nil {
				t.Fatal(err)
			}
			point := []float64{13.005, 4.2}
			f.LogProb(p[:], mat.NewDense(1, 2, point), given)
			if v := m.LogProb(point); math.Abs(v-p[0]) > 1e-9 {
				t.Errorf("MixtureAt has log density %g, the flow %g", v, p[0])
			}
		}
	}
}

// TestRegressNothing: where x does not depend on y linearly, or there are too
// many regressors for the rows, regression does no harm.
func TestRegressNothing(t *testing.T) {
	r := rand.New(rng.New(4, 0))
	const n, dy = 100, 90
	x, y := mat.NewDense(n, 1, nil), mat.NewDense(n, dy, nil)
	rng.FillNormal(y.RawMatrix().Data, r)
	for i := range n {
		x.Set(i, 0, r.NormFloat64())
	}
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	xs, err := newScaling("x", x, rows, 1)
	if err != nil {
		t.Fatal(err)
	}
	ys, err := newScaling("y", y, rows, dy)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrend(x, y, xs, ys, rows)
	if err != nil {
		t.Fatal(err)
	}
	// Of new draws the mean square of B y is |B|², and that of x 1.
	var square float64
	for _, b := range tr.B {
		square += b * b
	}
	if square > 0.1 || math.Abs(tr.Scale[0]-1) > 0.1 {
		t.Errorf("noise is regressed on noise: |B|² = %.3f, Scale %.3f", square, tr.Scale[0])
	}
	wide := mat.NewDense(20, maxRegressors+1, nil)
	rng.FillNormal(wide.RawMatrix().Data, r)
	if _, err := Fit(context.Background(), MDN{}, mat.DenseCopyOf(x.Slice(0, 20, 0, 1)), wide, &FitOptions{Regress: true}); err == nil || !strings.Contains(err.Error(), "Regress") {
		t.Errorf("%d regressors: error %v", maxRegressors+1, err)
	}
	start, err := Fit(context.Background(), MDN{}, x, y, &FitOptions{Regress: true, Epochs: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := &Proposal{Atoms: 2, LogPrior: make([]float64, n)}
	if _, err := Fit(context.Background(), MDN{}, x, y, &FitOptions{Start: start, Proposal: p}); err == nil || !strings.Contains(err.Error(), "Proposal") {
		t.Errorf("a Proposal and a Start with regression: error %v", err)
	}
	if _, err := Fit(context.Background(), MDN{}, x, y, &FitOptions{Regress: true, Proposal: p}); err == nil || !strings.Contains(err.Error(), "Proposal") {
		t.Errorf("a Proposal: error %v", err)
	}
}
