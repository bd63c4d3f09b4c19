package posterior

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
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
