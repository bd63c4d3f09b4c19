package posterior

import (
	"context"
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// With y ~ N(0, (1/θ + σ²) I) the best θ is 1 / (‖y‖²/n - σ²).
func TestMaximizeEvidence(t *testing.T) {
	const n, sigma = 40, .3
	id, err := forward.NewIdentity(n)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float64, n)
	rng.FillNormal(y, rng.New(3, 0))
	var yy float64
	for i := range y {
		y[i] *= 2
		yy += y[i] * y[i]
	}
	lik, err := likelihood.NewGaussian(id, y, sigma)
	if err != nil {
		t.Fatal(err)
	}
	scaled := func(theta float64) (*Gaussian, error) {
		q := mat.NewSymDense(n, nil)
		for i := range n {
			q.SetSym(i, i, theta)
		}
		return NewGaussian(newEigenPrior(t, make([]float64, n), q), lik)
	}
	theta, post, err := MaximizeEvidence(1e-3, 1e3, scaled)
	if err != nil {
		t.Fatal(err)
	}
	want := 1 / (yy/n - sigma*sigma)
	if math.Abs(theta/want-1) > 1e-3 {
		t.Errorf("θ = %g, want %g", theta, want)
	}
	v, err := post.Variance(nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "variance at the best θ", v[0], 1/(theta+1/(sigma*sigma)), 1e-9)

	if _, _, err := MaximizeEvidence(1, 1, scaled); err == nil {
		t.Error("empty interval: no error")
	}
	bad := errors.New("bad")
	if _, _, err := MaximizeEvidence(1, 2, func(float64) (*Gaussian, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Errorf("failing f: %v", err)
	}
}

// The fixed point and the search find the same maximum, up to the Monte Carlo
// error of the trace, on a field observed at every third cell.
func TestMaximizePrecision(t *testing.T) {
	const n, sigma = 400, .2
	truth, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Precision: 5})
	if err != nil {
		t.Fatal(err)
	}
	x, y := mat.NewDense(1, n, nil), mat.NewDense(1, n/3, nil)
	truth.Draw(x, rng.New(8, 0))
	index := make([]int, n/3)
	for i := range index {
		index[i] = 3 * i
	}
	a, err := forward.NewMask(n, index)
	if err != nil {
		t.Fatal(err)
	}
	a.Apply(y, x)
	noise := make([]float64, n/3)
	rng.FillNormal(noise, rng.New(9, 0))
	for i, e := range noise {
		y.Set(0, i, y.At(0, i)+sigma*e)
	}
	lik, err := likelihood.NewGaussian(a, y.RawRowView(0), sigma)
	if err != nil {
		t.Fatal(err)
	}
	dense := func(tau float64) (*Gaussian, error) {
		field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Precision: tau})
		if err != nil {
			return nil, err
		}
		return NewGaussian(field, lik)
	}
	iterative := func(tau float64) (*Gaussian, error) {
		field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Precision: tau})
		if err != nil {
			return nil, err
		}
		return newGaussian(field, lik, newIterative(field, lik, a))
	}
	want, _, err := MaximizeEvidence(.1, 100, dense)
	if err != nil {
		t.Fatal(err)
	}
	got, post, err := MaximizePrecision(context.Background(), 100, iterative, rng.New(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	// γ is at most the 133 data, so its relative standard error, and about
	// that of τ, is no less than 4 %.
	if math.Abs(got/want-1) > .12 {
		t.Errorf("τ = %g, the search finds %g", got, want)
	}
	if post == nil || post.Dim() != n {
		t.Error("no posterior")
	}
	if _, _, err := MaximizePrecision(context.Background(), -1, dense, nil); err == nil {
		t.Error("negative τ: no error")
	}
}
