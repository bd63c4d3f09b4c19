package sbi

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/prior"
)

// TestTransforms holds the transforms of this package to their inverses,
// Jacobians and gradients, the last two by finite differences.
func TestTransforms(t *testing.T) {
	box, err := prior.NewBox([]float64{-1, 5}, []float64{2, 5.5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tr := range map[string]prior.Transform{"soft box": Coordinates(box), "probit": newProbit(box)} {
		x, y, v, g := make([]float64, 2), make([]float64, 2), make([]float64, 2), make([]float64, 2)
		for _, u := range [][]float64{{-3, 0.2}, {-0.4, 1.5}, {0, 1}, {0.5, 0.3}, {2, -0.1}} {
			logDet := tr.Constrain(x, u)
			if !(x[0] > -1 && x[0] < 2 && x[1] > 5 && x[1] < 5.5) {
				t.Errorf("%s: %v at %v", name, x, u)
			}
			if err := tr.Unconstrain(v, x); err != nil {
				t.Fatal(err)
			}
			const h = 1e-5
			want := 0.0
			for i := range u {
				// Where x is within rounding of a side, u is not known better.
				if math.Abs(v[i]-u[i]) > 1e-6*(1+math.Abs(u[i])) && math.Abs(u[i]) < 1.6 {
					t.Errorf("%s: u[%d] is %g after the way to x and back, was %g", name, i, v[i], u[i])
				}
				up, down := append([]float64(nil), u...), append([]float64(nil), u...)
				up[i], down[i] = u[i]+h, u[i]-h
				tr.Constrain(v, up)
				tr.Constrain(y, down)
				want += math.Log((v[i] - y[i]) / (2 * h))
				tr.Unconstrain(v, x)
				// Of log p(x) = -x²/2.
				lp := func(w []float64) float64 {
					l := tr.Constrain(y, w)
					return l - y[0]*y[0]/2 - y[1]*y[1]/2
				}
				slope := (lp(up) - lp(down)) / (2 * h)
				tr.Pullback(g, u, x, []float64{-x[0], -x[1]})
				if math.Abs(g[i]-slope) > 1e-5*(1+math.Abs(slope)) {
					t.Errorf("%s: gradient %g at %v, by differences %g", name, g[i], u, slope)
				}
			}
			if math.Abs(logDet-want) > 1e-4*(1+math.Abs(want)) {
				t.Errorf("%s: log determinant %g at %v, by differences %g", name, logDet, u, want)
			}
		}
		if err := tr.Unconstrain(v, []float64{-1.1, 5.2}); err == nil {
			t.Errorf("%s: a point outside: no error", name)
		}
		// Draws of the prior at the sides have coordinates, and extreme
		// coordinates stay inside.
		if err := tr.Unconstrain(v, []float64{math.Nextafter(-1, 0), math.Nextafter(5.5, 0)}); err != nil || !finite(v) {
			t.Errorf("%s: next to the sides: %v, %v", name, v, err)
		}
		for _, far := range []float64{-1e3, 1e3} {
			tr.Constrain(x, []float64{far, far})
			if math.IsInf(box.LogProb(x), -1) {
				t.Errorf("%s: %v at %g", name, x, far)
			}
		}
	}
}

// TestNormalCoordinates: priors that are Gaussian in their coordinates, and one
// that is not.
func TestNormalCoordinates(t *testing.T) {
	logs, err := prior.NewProduct([]distuv.LogProber{distuv.LogNormal{Mu: -0.5, Sigma: 0.3}, distuv.Normal{Mu: 2, Sigma: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNormalCoordinates(logs)
	if err != nil {
		t.Fatal(err)
	}
	var cov mat.SymDense
	n.prior.CovarianceMatrix(&cov)
	m := n.prior.Mean(nil)
	for i, want := range [][2]float64{{-0.5, 0.3}, {2, 4}} {
		if math.Abs(m[i]-want[0]) > 1e-5 || math.Abs(math.Sqrt(cov.At(i, i))-want[1]) > 1e-5 {
			t.Errorf("coordinate %d: mean %g sd %g, want %v", i, m[i], math.Sqrt(cov.At(i, i)), want)
		}
	}
	heavy, err := prior.NewProduct([]distuv.LogProber{distuv.StudentsT{Mu: 0, Sigma: 1, Nu: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newNormalCoordinates(heavy); err == nil {
		t.Error("Student's t is not Gaussian: no error")
	}
}
