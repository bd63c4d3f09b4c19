package prior

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// The Matérn kernels against their spectral density in one dimension, which
// is that of a Student t distribution with 2 Nu degrees of freedom:
// k(r) ∝ ∫ cos(ωr) (2 Nu/Length² + ω²)^(-Nu-1/2) dω.
func TestMaternAgainstSpectralDensity(t *testing.T) {
	const length = 0.7
	for _, nu := range []float64{0.5, 1.5, 2.5} {
		k := Matern{Nu: nu, SD: 1.3, Length: length}
		// ω = tan(θ) sqrt(2 Nu)/Length makes the integral one of
		// cos(2 Nu - 1)(θ) cos(ωr) over a finite interval.
		integral := func(r float64) float64 {
			return quad.Fixed(func(theta float64) float64 {
				return math.Pow(math.Cos(theta), 2*nu-1) * math.Cos(math.Tan(theta)*math.Sqrt(2*nu)/length*r)
			}, -math.Pi/2, math.Pi/2, 5000, quad.Legendre{}, 0)
		}
		tol := 1e-5
		if nu == 0.5 {
			tol = 5e-3 // the spectrum decays slowly
		}
		for _, r := range []float64{0, 0.2, 1, 2.5} {
			got, want := k.Cov([]float64{r}, []float64{0}), 1.3*1.3*integral(r)/integral(0)
			if math.Abs(got-want) > tol {
				t.Errorf("Nu = %g at %g: %v, by the spectral density %v", nu, r, got, want)
			}
		}
	}
}

// A Matérn process with Nu = 1/2 on a line is the Ornstein-Uhlenbeck process:
// Markov, with exponential correlation between neighbours.
func TestGPIsMarkov(t *testing.T) {
	points := mat.NewDense(4, 1, []float64{0, 0.3, 1, 1.2})
	g, err := NewGP(points, Matern{Nu: 0.5, SD: 2, Length: 0.8}, &GPOptions{Jitter: 1e-14, Mean: []float64{1, 2, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	prec := mat.NewDense(4, 4, nil)
	for i := range 4 {
		prec.Set(i, i, 1)
	}
	g.MulPrecision(prec, prec)
	for i := range 4 {
		for j := range 4 {
			if v := prec.At(i, j); (j > i+1 || i > j+1) && math.Abs(v) > 1e-10 {
				t.Errorf("precision (%d, %d) is %v, want 0", i, j, v)
			}
		}
	}
	testPrior(t, g, []float64{0.3, 1, 1.2, 5})
	x := []float64{0.5, 2, 3.3, 3}
	want, d := 0.0, make([]float64, 4)
	for i := range d {
		d[i] = x[i] - float64(i+1)
		mean, variance := 0.0, 4.0
		if i > 0 {
			rho := math.Exp(-(points.At(i, 0) - points.At(i-1, 0)) / 0.8)
			mean, variance = rho*d[i-1], 4*(1-rho*rho)
		}
		want -= 0.5 * (math.Log(2*math.Pi*variance) + (d[i]-mean)*(d[i]-mean)/variance)
	}
	if got := g.LogProb(x); !closeTo(got, want, 1e-10) {
		t.Errorf("LogProb %v, as a Markov chain %v", got, want)
	}
}

func TestKernels(t *testing.T) {
	x, y := []float64{0.3, -1}, []float64{0.9, -0.2} // at distance 1
	se := SquaredExponential{SD: 2, Length: 0.5}
	periodic := PeriodicKernel{SD: 1.5, Length: 0.8, Period: 0.6}
	if got, want := se.Cov(x, y), 4*math.Exp(-2); !closeTo(got, want, 1e-14) {
		t.Errorf("squared exponential %v, want %v", got, want)
	}
	s := math.Sin(math.Pi * 0.8 / 0.6) // 0.6 is one period
	if got, want := periodic.Cov(x, y), 2.25*math.Exp(-2*s*s/0.64); !closeTo(got, want, 1e-12) {
		t.Errorf("periodic %v, want %v", got, want)
	}
	a, b := se.Cov(x, y), periodic.Cov(x, y)
	if got := (SumKernel{se, periodic}).Cov(x, y); got != a+b {
		t.Errorf("sum %v, want %v", got, a+b)
	}
	if got := (ProductKernel{se, periodic}).Cov(x, y); got != a*b {
		t.Errorf("product %v, want %v", got, a*b)
	}
	// All are positive definite on many close points, given the jitter.
	points := randomDense(150, 2, 4)
	for _, k := range []Kernel{se, periodic, Matern{1.5, 1, 3}, Matern{2.5, 1, 3}, SumKernel{se, periodic}, ProductKernel{se, periodic}} {
		if _, err := NewGP(points, k, nil); err != nil {
			t.Errorf("%T: %v", k, err)
		}
	}
}

func TestGPErrors(t *testing.T) {
	points := mat.NewDense(2, 1, []float64{0, 1})
	good := SquaredExponential{SD: 1, Length: 1}
	for _, c := range []struct {
		points *mat.Dense
		k      Kernel
		opt    *GPOptions
		want   string
	}{
		{nil, good, nil, "points is empty"},
		{points, nil, nil, "k: kernel is nil"},
		{points, SquaredExponential{SD: 1}, nil, "SquaredExponential: Length is 0"},
		{points, SquaredExponential{SD: -1, Length: 1}, nil, "SD is -1"},
		{points, Matern{Nu: 1, SD: 1, Length: 1}, nil, "Nu is 1, want 0.5, 1.5 or 2.5"},
		{points, PeriodicKernel{SD: 1, Length: 1}, nil, "Period is 0"},
		{points, SumKernel{good, Matern{}}, nil, "Nu is 0"},
		{points, ProductKernel{}, nil, "no kernels"},
		{mat.NewDense(2, 1, []float64{0, math.NaN()}), good, nil, "covariance of points 0 and 1 is NaN"},
		{points, negative{}, nil, "not positive definite with Jitter 1e-08"},
		{points, good, &GPOptions{Jitter: -1}, "Jitter is -1"},
		{points, good, &GPOptions{Mean: []float64{1}}, "mean has length 1"},
	} {
		if _, err := NewGP(c.points, c.k, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

type negative struct{}

func (negative) Cov(x, y []float64) float64 {
	if x[0] == y[0] {
		return 1
	}
	return 2
}
