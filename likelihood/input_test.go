package likelihood

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func TestNotDifferentiable(t *testing.T) {
	op := valueOnly{newSoftplusOp(testM, testN)}
	l, err := New(op, make([]float64, testM), StudentT{Nu: 3, Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p := l.LogProb(xTrue); math.IsInf(p, 0) || math.IsNaN(p) {
		t.Errorf("LogProb = %g", p)
	}
	err = l.Differentiable()
	if err == nil || !strings.Contains(err.Error(), "valueOnly") {
		t.Fatalf("Differentiable returns %v, want an error that names the operator", err)
	}
	defer func() {
		if v := recover(); v != err.Error() {
			t.Errorf("ScoreInput panicked with %v, want %v", v, err)
		}
	}()
	l.ScoreInput(nil, xTrue)
}

func TestBadInput(t *testing.T) {
	op := newSoftplusOp(2, testN)
	nan, inf := math.NaN(), math.Inf(1)
	y := []float64{1, 2}
	normal, _ := NewNormal(1)
	bad := mat.NewSymDense(2, []float64{1, 2, 2, 1})
	build := func(y []float64, noise Noise) func() error {
		return func() error { _, err := New(op, y, noise); return err }
	}
	gauss := func(g *Gaussian, err error) func() error { return func() error { return err } }
	for _, tc := range []struct {
		want string
		f    func() error
	}{
		{"operator is nil", func() error { _, err := New(nil, y, normal); return err }},
		{"noise is nil", build(y, nil)},
		{"y has length 3, the operator's output 2", build([]float64{1, 2, 3}, normal)},
		{"y has length 0", build(nil, normal)},
		{"y[1] is NaN", build([]float64{1, nan}, normal)},
		{"y[0] is +Inf", build([]float64{inf, 1}, Poisson{})},
		{"y[1] is 0.5, want a count", build([]float64{1, 0.5}, Poisson{})},
		{"y[0] is -1, want a count", build([]float64{-1, 0}, Poisson{})},
		{"Exposure of Poisson has length 3", build(y, Poisson{Exposure: []float64{1, 1, 1}})},
		{"Exposure[1] of Poisson is 0", build(y, Poisson{Exposure: []float64{1, 0}})},
		{"y[1] is 2, want 0 or 1", build(y, BernoulliLogit{})},
		{"y[0] is 0, want a positive", build([]float64{0, 1}, LogNormal{Sigma: 1})},
		{"Sigma of LogNormal is 0", build(y, LogNormal{})},
		{"Nu of StudentT is 0", build(y, StudentT{})},
		{"Scale of StudentT is NaN", build(y, StudentT{Nu: 2, Scale: nan})},
		{"Scale of Laplace is -1", build(y, Laplace{Scale: -1})},
		{"Scale of Huber is 0", build(y, Huber{})},
		{"Delta of Huber is -1", build(y, Huber{Scale: 1, Delta: -1})},
		{"power is 0", func() error { l, _ := New(op, y, normal); _, err := NewTempered(l, 0); return err }},
		{"the likelihood is nil", func() error { _, err := NewTempered(nil, 1); return err }},
		{"the residual is nil", func() error { _, err := NewResidual(nil, 1); return err }},
		{"sigma is 0", func() error { _, err := NewResidual(op, 0); return err }},
		{"not made by NewNormal", build(y, &Normal{})},
		{"sigma is -1", gauss(NewGaussian(op, y, -1))},
		{"sigma is NaN", gauss(NewGaussian(op, y, nan))},
		{"sigma[0] is +Inf", gauss(NewGaussian(op, y, inf))},
		{"sigma[1] is 0", gauss(NewGaussianDiag(op, y, []float64{1, 0}))},
		{"sigma has length 1, y 2", gauss(NewGaussianDiag(op, y, []float64{1}))},
		{"sigma has length 0, y 2", gauss(NewGaussianDiag(op, y, nil))},
		{"cov is empty", gauss(NewGaussianCov(op, y, nil))},
		{"cov (2×2) is not positive definite", gauss(NewGaussianCov(op, y, bad))},
		{"cov[0, 0] is NaN", gauss(NewGaussianCov(op, y, mat.NewSymDense(2, []float64{nan, 0, 0, 1})))},
		{"cov is 5×5", gauss(NewGaussianCov(op, y, covariance(5)))},
		{"y is empty", func() error { _, err := NewRepeated(op, &mat.Dense{}, normal); return err }},
		{"y is 1×3", func() error { _, err := NewRepeated(op, mat.NewDense(1, 3, nil), normal); return err }},
		{"y[1] is NaN (in row 1", func() error {
			_, err := NewRepeated(op, mat.NewDense(2, 2, []float64{1, 2, 3, nan}), normal)
			return err
		}},
	} {
		err := tc.f()
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "likelihood: ") {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
}

func TestShapePanics(t *testing.T) {
	l, err := New(newSoftplusOp(2, testN), []float64{1, 2}, Poisson{})
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func(){
		"x has length 2, want 3":           func() { l.LogProb(make([]float64, 2)) },
		"score has length 4, want 3":       func() { l.ScoreInput(make([]float64, 4), make([]float64, 3)) },
		"x is 2×2":                         func() { l.LogProbs(make([]float64, 2), mat.NewDense(2, 2, nil)) },
		"dst has length 1, want 2":         func() { l.LogProbs(make([]float64, 1), mat.NewDense(2, 3, nil)) },
		"dst is 2×2, x 2×3":                func() { l.Scores(mat.NewDense(2, 2, nil), nil, mat.NewDense(2, 3, nil)) },
		"likelihood: dst is 2×3, want 2×2": func() { _ = l.Simulate(mat.NewDense(2, 3, nil), mat.NewDense(2, 3, nil), nil) },
	} {
		func() {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, want) {
					t.Errorf("panic %q, want %q", v, want)
				}
			}()
			f()
		}()
	}
}
