package posterior

import (
	"context"
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// lecture is the three-component example of Ruthotto's lecture 9 with
// y = 0.5 and σ_y = 0.8.
func lecture(t *testing.T) (*prior.Mixture, *likelihood.Gaussian) {
	t.Helper()
	p, err := prior.NewIsotropicMixture([]float64{.3, .5, .2}, mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}), []float64{.3, .4, .3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := forward.NewIdentity(1)
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(a, []float64{.5}, .8)
	if err != nil {
		t.Fatal(err)
	}
	return p, lik
}

func TestLectureMixture(t *testing.T) {
	p, lik := lecture(t)
	post, err := NewMixture(p, lik)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range []float64{.001237, .801063, .197700} {
		if w := post.Weights(nil)[k]; math.Abs(w-want) > 5e-7 {
			t.Errorf("weight %d = %.6f, want %.6f", k, w, want)
		}
	}
	var cov mat.SymDense
	post.CovarianceMatrix(&cov)
	if m := post.Mean(nil)[0]; math.Abs(m-.34965) > 5e-6 {
		t.Errorf("mean = %.5f, want 0.34965", m)
	}
	if sd := math.Sqrt(cov.At(0, 0)); math.Abs(sd-.61993) > 5e-6 {
		t.Errorf("sd = %.5f, want 0.61993", sd)
	}

	joint := func(x float64) float64 {
		return math.Exp(p.LogProb([]float64{x}) + lik.LogProb([]float64{x}))
	}
	z := quad.Fixed(joint, -9, 9, 2000, nil, 0)
	near(t, "log evidence", post.LogEvidence(), math.Log(z), 1e-8)
	for _, x := range []float64{-2.6, -1, 0, .5, 2} {
		near(t, "density", math.Exp(post.LogProb([]float64{x})), joint(x)/z, 1e-8)
	}

	post.Src = rng.New(1, 0)
	draws := mat.NewDense(100000, 1, nil)
	if err := post.Sample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	x := draws.RawMatrix().Data
	m, sd := stat.MeanStdDev(x, nil)
	if se := .61993 / math.Sqrt(1e5); math.Abs(m-.34965) > 4*se {
		t.Errorf("mean of draws = %g, standard error %g", m, se)
	}
	if math.Abs(sd-.61993) > 4*.0015 {
		t.Errorf("sd of draws = %g", sd)
	}
}

// A mixture in two dimensions seen through one number, against quadrature.
func TestMixtureUnderdetermined(t *testing.T) {
	means := mat.NewDense(2, 2, []float64{-1, 1, 2, .5})
	covs := []mat.Symmetric{mat.NewSymDense(2, []float64{1, .4, .4, .6}), mat.NewSymDense(2, []float64{.5, -.2, -.2, .8})}
	p, err := prior.NewMixture([]float64{1, 3}, means, covs, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := forward.NewDense(mat.NewDense(1, 2, []float64{1, -2}))
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(a, []float64{.3}, .6)
	if err != nil {
		t.Fatal(err)
	}
	post, err := NewMixture(p, lik)
	if err != nil {
		t.Fatal(err)
	}
	z, mean, cov := moments(func(x []float64) float64 { return p.LogProb(x) + lik.LogProb(x) })
	near(t, "log evidence", post.LogEvidence(), math.Log(z), 1e-8)
	m := post.Mean(nil)
	near(t, "mean[0]", m[0], mean[0], 1e-8)
	near(t, "mean[1]", m[1], mean[1], 1e-8)
	var got mat.SymDense
	post.CovarianceMatrix(&got)
	for i := range 2 {
		for j := range i + 1 {
			near(t, fmt.Sprintf("cov[%d,%d]", i, j), got.At(i, j), cov.At(i, j), 1e-8)
		}
	}
	if err := prior.CheckScore(post, []float64{.3, -.2}); err != nil {
		t.Error(err)
	}
}

func TestNewMixtureErrors(t *testing.T) {
	p, lik := lecture(t)
	if _, err := NewMixture(nil, lik); err == nil {
		t.Error("nil prior: no error")
	}
	if _, err := NewMixture(p, nil); err == nil {
		t.Error("nil likelihood: no error")
	}
	nonlinear, err := likelihood.NewGaussian(square{}, []float64{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMixture(p, nonlinear); err == nil {
		t.Error("nonlinear operator: no error")
	}
}
