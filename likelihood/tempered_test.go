package likelihood

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// A Gaussian likelihood to the power β is that of σ/√β, up to a constant.
func TestTemperedGaussian(t *testing.T) {
	op := newSoftplusOp(testM, testN)
	const sigma, beta = 0.7, 0.3
	normal, err := NewNormal(sigma)
	if err != nil {
		t.Fatal(err)
	}
	y := draw(normal, op, 3)
	lik, err := New(op, y, normal)
	if err != nil {
		t.Fatal(err)
	}
	tempered, err := NewTempered(lik, beta)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := NewGaussian(op, y, sigma/math.Sqrt(beta))
	if err != nil {
		t.Fatal(err)
	}
	if tempered.Dim() != testN || tempered.Differentiable() != nil {
		t.Errorf("dimension %d, %v", tempered.Dim(), tempered.Differentiable())
	}
	x := mat.NewDense(4, testN, nil)
	rng.FillNormal(x.RawMatrix().Data, rng.New(4, 0))
	scores, logProbs := mat.NewDense(4, testN, nil), make([]float64, 4)
	tempered.Scores(scores, logProbs, x)
	first := tempered.LogProb(x.RawRowView(0)) - wide.LogProb(x.RawRowView(0))
	for i := range 4 {
		xi := x.RawRowView(i)
		if d := tempered.LogProb(xi) - wide.LogProb(xi); math.Abs(d-first) > 1e-12*math.Abs(first) {
			t.Errorf("row %d: differs by %g, row 0 by %g", i, d, first)
		}
		score, other := make([]float64, testN), make([]float64, testN)
		if p := tempered.LogProbScore(score, xi); math.Abs(p-tempered.LogProb(xi)) > 1e-12 || p != logProbs[i] {
			t.Errorf("row %d: log probabilities %g, %g and %g", i, p, tempered.LogProb(xi), logProbs[i])
		}
		wide.LogProbScore(other, xi)
		if !floats.EqualApprox(score, other, 1e-12) || !floats.EqualApprox(score, tempered.ScoreInput(nil, xi), 1e-14) || !floats.Equal(score, scores.RawRowView(i)) {
			t.Errorf("row %d: score %g, of the wider noise %g", i, score, other)
		}
	}
	x.Set(0, 0, 11) // the operator fails
	if p := tempered.LogProb(x.RawRowView(0)); !math.IsInf(p, -1) {
		t.Errorf("log probability %g where the operator fails", p)
	}
}

// One datum that is far off moves the location of Gaussian noise without
// bound, but not that of Huber's.
func TestHuberBoundsInfluence(t *testing.T) {
	h := Huber{Scale: 0.5}
	score := make([]float64, 1)
	for _, far := range []float64{3, 30, 3e8} {
		h.LogProbScore(score, []float64{far}, []float64{0})
		if want := 1.345 / 0.5; score[0] != want {
			t.Errorf("pull %g at %g, want %g", score[0], far, want)
		}
	}
	// With Delta beyond all data it is Gaussian.
	normal, err := NewNormal(0.5)
	if err != nil {
		t.Fatal(err)
	}
	y, f := []float64{0.3, -1}, []float64{0, 0.4}
	other := make([]float64, 2)
	score = make([]float64, 2)
	if p, q := (Huber{Scale: 0.5, Delta: 9}).LogProbScore(score, y, f), normal.LogProbScore(other, y, f); math.Abs(p-q) > 1e-12 || !floats.EqualApprox(score, other, 1e-12) {
		t.Errorf("log probability %g and score %g, Gaussian %g and %g", p, score, q, other)
	}
}

// A soft constraint is the likelihood of zeros.
func TestResidual(t *testing.T) {
	op := newSoftplusOp(testM, testN)
	lik, err := NewResidual(op, 0.2)
	if err != nil {
		t.Fatal(err)
	}
	if len(lik.Data()) != testM || floats.Norm(lik.Data(), 1) != 0 {
		t.Errorf("data %g, want %d zeros", lik.Data(), testM)
	}
	f := mat.NewDense(1, testM, nil)
	op.Apply(f, mat.NewDense(1, testN, xTrue))
	want := -floats.Dot(f.RawRowView(0), f.RawRowView(0))/(2*0.04) - testM*math.Log(0.2*math.Sqrt(2*math.Pi))
	if got := lik.LogProb(xTrue); math.Abs(got-want) > 1e-12*math.Abs(want) {
		t.Errorf("log probability %g, want %g", got, want)
	}
}
