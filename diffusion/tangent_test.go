package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// A matrix that does not say that it is linear gives the same guidance and
// twist, up to what differences leave, directly and by conjugate gradients.
func TestMMPSTangent(t *testing.T) {
	const n, m = 5, 3
	p := newGaussianProblem(t, 61, n, m)
	disguised, err := forward.NewFunc(m, n, func(dst, x []float64) {
		for i := range dst {
			dst[i] = floats.Dot(p.a.RawRowView(i), x)
		}
	}, nil)
	check(t, err)
	lik, err := likelihood.NewGaussianCov(disguised, p.lik.Data(), p.noise)
	check(t, err)
	x := gaussianMatrix(rand.New(src(2)), 4, n)
	for _, iterate := range []bool{false, true} {
		linear, err := NewMMPS(p.score, p.lik)
		check(t, err)
		tangent, err := NewMMPS(p.score, lik)
		check(t, err)
		if iterate {
			linear.units, tangent.units = nil, nil
		}
		for _, tm := range []float64{.05, .3, .8} {
			got, want := mat.NewDense(4, n, nil), mat.NewDense(4, n, nil)
			logp, wantp := make([]float64, 4), make([]float64, 4)
			tangent.twist(got, logp, x, tm, newPoint(p.score))
			linear.twist(want, wantp, x, tm, newPoint(p.score))
			if !mat.EqualApprox(got, want, 1e-6*(1+mat.Max(want))) {
				t.Errorf("t = %v, iterated %v: guidance\n%v, want\n%v", tm, iterate, mat.Formatted(got), mat.Formatted(want))
			}
			if d := floats.Distance(logp, wantp, math.Inf(1)); d > 1e-6*(1+maxAbs(wantp)) {
				t.Errorf("t = %v, iterated %v: twist is off by %g", tm, iterate, d)
			}
		}
	}
}

// With that twist TDS samples the posterior of a nonlinear operator: two arcs
// of a circle, by quadrature, with the evidence.
func TestTDSNonlinear(t *testing.T) {
	n, particles := 3000, 500
	if testing.Short() {
		n, particles = 200, 200
	}
	lik := radius(t)
	pri, err := prior.NewIsotropicMixture([]float64{1, 2}, mat.NewDense(2, 2, []float64{0, 1, 0, -1.5}), []float64{.5}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	guide, err := NewMMPS(score, lik)
	check(t, err)
	s, err := NewTDS(guide, lik)
	check(t, err)
	s.Filter = Filter{Particles: particles, Draws: particles / 10, Src: src(4)} // nearly independent
	x := mat.NewDense(n, 2, nil)
	report, err := s.Run(context.Background(), x)
	check(t, err)
	joint := func(x []float64) float64 { return lik.LogProb(x) + pri.LogProb(x) }
	holdMoments(t, "TDS", x, planarMoments(joint), .01)
	log, relative := report.Evidence()
	if d := log - math.Log(planarMass(joint)); math.Abs(d) > 4*relative+.01 {
		t.Errorf("log evidence is off by %.4f ± %.4f", d, relative)
	}
}
