package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/prior"
)

// correlatedMixture is a mixture of two correlated Gaussians in the plane.
func correlatedMixture(t testing.TB) *prior.Mixture {
	t.Helper()
	m, err := prior.NewMixture([]float64{.3, .7}, mat.NewDense(2, 2, []float64{-2, 1, 1.5, -.5}),
		[]mat.Symmetric{mat.NewSymDense(2, []float64{.25, .1, .1, .2}), mat.NewSymDense(2, []float64{.5, -.2, -.2, .3})}, nil)
	check(t, err)
	return m
}

func TestLogProb(t *testing.T) {
	m := correlatedMixture(t)
	rows, steps := 40, 200
	if testing.Short() {
		rows, steps = 5, 100
	}
	x := mat.NewDense(rows, 2, nil)
	m.Draw(x, src(1))
	cov := mat.NewSymDense(2, nil)
	m.CovarianceMatrix(cov)
	moments := Moments{m.Mean(nil), []float64{cov.At(0, 0), cov.At(1, 1)}}
	for name, s := range schedules(t) {
		if testing.Short() && name != "VP" {
			continue
		}
		score, err := Diffuse(m, s)
		check(t, err)
		opt := &LogProbOptions{Steps: steps, To: s.Time(-2 * math.Log(.002)), Start: moments}
		scores := []Score{score}
		if name == "VP" {
			plain, err := NewScore(hidden{score}, s) // its Hessian is by differences
			check(t, err)
			scores = append(scores, plain)
		}
		for _, score := range scores {
			got := make([]float64, rows)
			check(t, LogProb(context.Background(), got, x, score, opt))
			for i := range got {
				if want := m.LogProb(x.RawRowView(i)); math.Abs(got[i]-want) > 1e-3 {
					t.Errorf("%s: log density at %v is %.5f, want %.5f", name, x.RawRowView(i), got[i], want)
				}
			}
		}
	}
}

// With random directions the estimates scatter about the exact value.
func TestLogProbHutchinson(t *testing.T) {
	p := newGaussianProblem(t, 30, 70, 2) // by default estimated above 64 dimensions
	const rows = 30
	x := mat.NewDense(rows, 70, nil)
	one := mat.NewDense(1, 70, nil)
	p.prior.Draw(one, src(2))
	for i := range rows {
		x.SetRow(i, one.RawRowView(0)) // each row has directions of its own
	}
	trace := 0.0
	for i := range 70 {
		trace += p.s.At(i, i) / 70
	}
	got := make([]float64, rows)
	opt := &LogProbOptions{Steps: 20, To: 1e-4, Start: Moments{p.mu, []float64{trace}}, Src: src(3)}
	check(t, LogProb(context.Background(), got, x, p.score, opt))
	want := p.prior.LogProb(one.RawRowView(0))
	mean, ss := 0.0, 0.0
	for _, v := range got {
		mean += v / rows
	}
	for _, v := range got {
		ss += (v - mean) * (v - mean) / (rows - 1)
	}
	if se := math.Sqrt(ss / rows); ss == 0 || math.Abs(mean-want) > 4*se+.05 {
		t.Errorf("mean %.3f ± %.3f, want %.3f", mean, se, want)
	}
	again := make([]float64, rows)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	opt.Src = src(3)
	check(t, LogProb(context.Background(), again, x, p.score, opt))
	for i := range got {
		if got[i] != again[i] {
			t.Fatal("the same seed gives other bits")
		}
	}
}

func TestLogProbErrors(t *testing.T) {
	p := newBimodal(t)
	x, dst := gaussianMatrix(rand.New(src(1)), 2, 1), make([]float64, 2)
	for _, c := range []struct {
		score Score
		opt   LogProbOptions
		x     *mat.Dense
		want  string
	}{
		{nil, LogProbOptions{}, x, "score is nil"},
		{p.score, LogProbOptions{Steps: -1}, x, "Steps"},
		{p.score, LogProbOptions{From: .1, To: .2}, x, "From"},
		{p.score, LogProbOptions{Start: Moments{Var: []float64{-1}}}, x, "Start.Var"},
		{p.score, LogProbOptions{}, mat.NewDense(2, 1, []float64{0, math.NaN()}), "row 1"},
	} {
		if err := LogProb(context.Background(), dst, c.x, c.score, &c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
