package diffusion

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// radius is |x|² and x₁ in the plane, measured with noise: most of what is
// possible lies on an arc.
func radius(t testing.TB) *likelihood.Gaussian {
	t.Helper()
	op, err := forward.NewFunc(2, 2, func(dst, x []float64) { dst[0], dst[1] = x[0]*x[0]+x[1]*x[1], x[0] }, nil)
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{1, .3}, .4)
	check(t, err)
	return lik
}

// nonlinearOnly hides that x₀ could be drawn exactly.
type nonlinearOnly struct{ Likelihood }

// plane calls f for each cell of a grid with the mass of an unnormalised log
// density in it.
func plane(logp func(x []float64) float64, f func(a, b, mass float64)) {
	const half, h = 6.0, .05
	for a := -half; a <= half; a += h {
		for b := -half; b <= half; b += h {
			f(a, b, h*h*math.Exp(logp([]float64{a, b})))
		}
	}
}

func planarMass(logp func(x []float64) float64) (total float64) {
	plane(logp, func(_, _, mass float64) { total += mass })
	return total
}

// planarMoments returns means and raw second moments in the plane.
func planarMoments(logp func(x []float64) float64) (m [5]float64) {
	total := planarMass(logp)
	plane(logp, func(a, b, mass float64) {
		for i, v := range [5]float64{a, b, a * a, a * b, b * b} {
			m[i] += v * mass / total
		}
	})
	return m
}

// holdMoments holds the moments of draws to those of a density, in standard
// errors; slack is added to four of them.
func holdMoments(t *testing.T, name string, x *mat.Dense, want [5]float64, slack float64) {
	t.Helper()
	rows, _ := x.Dims()
	for i, f := range [5]func(a, b float64) float64{
		func(a, b float64) float64 { return a }, func(a, b float64) float64 { return b },
		func(a, b float64) float64 { return a * a }, func(a, b float64) float64 { return a * b }, func(a, b float64) float64 { return b * b },
	} {
		v := make([]float64, rows)
		for j := range v {
			v[j] = f(x.At(j, 0), x.At(j, 1))
		}
		mean, sd := stat.MeanStdDev(v, nil)
		if d := math.Abs(mean - want[i]); d > 4*sd/math.Sqrt(float64(rows))+slack {
			t.Errorf("%s: moment %d is %.4f ± %.4f, want %.4f", name, i, mean, sd/math.Sqrt(float64(rows)), want[i])
		}
	}
}

// The chain's draws are those of the product of a nonlinear likelihood and
// N(D, r²I), for a small r as for one that leaves all to the likelihood.
func TestLangevinDraw(t *testing.T) {
	lik := radius(t)
	at := []float64{.8, -.3}
	rows := 8000
	if testing.Short() {
		rows = 500
	}
	for _, r := range []float64{.1, .7, 5} {
		x := mat.NewDense(rows, 2, nil)
		for i := range rows {
			x.SetRow(i, at)
		}
		newLangevin(lik, 150, rows).draw(x, mat.NewDense(rows, 2, nil), r, src(3))
		want := planarMoments(func(x []float64) float64 {
			return lik.LogProb(x) - ((x[0]-at[0])*(x[0]-at[0])+(x[1]-at[1])*(x[1]-at[1]))/(2*r*r)
		})
		holdMoments(t, "", x, want, 0)
	}
}

// DAPS of a nonlinear operator: its approximation, that x₀ given x_t is
// N(D, r²I), is nearly true under a wide prior.
func TestDAPSNonlinear(t *testing.T) {
	if testing.Short() {
		t.Skip("statistics of many draws; TestLangevinDraw runs")
	}
	lik := radius(t)
	pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, 2, nil), []float64{3}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVE(.01, 100))
	check(t, err)
	x := draw(t, &Reverse{Score: score, Solver: DAPS{Lik: lik}, Steps: 40, Src: src(1)}, 2000)
	want := planarMoments(func(x []float64) float64 { return lik.LogProb(x) + pri.LogProb(x) })
	holdMoments(t, "", x, want, .02)
}
