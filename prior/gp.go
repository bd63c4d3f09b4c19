package prior

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Kernel is a covariance function of points in R^d.
type Kernel interface {
	// Cov returns the covariance of the process at x and at y, which have
	// equal lengths.
	Cov(x, y []float64) float64
}

// SquaredExponential is the kernel SD² exp(-r²/(2 Length²)) of the distance
// r: its draws are analytic.
type SquaredExponential struct {
	SD, Length float64
}

// Cov returns the covariance at x and y.
func (k SquaredExponential) Cov(x, y []float64) float64 {
	r := distance(x, y) / k.Length
	return k.SD * k.SD * math.Exp(-0.5*r*r)
}

// Matern is the Matérn kernel of the distance r (Rasmussen and Williams,
// 2006, eq. 4.17), with s = sqrt(2 Nu) r/Length:
//
//	Nu = 1/2   SD² exp(-s)
//	Nu = 3/2   SD² (1 + s) exp(-s)
//	Nu = 5/2   SD² (1 + s + s²/3) exp(-s)
//
// Its draws have Nu - 1/2 derivatives. Other Nu are an error of NewGP.
type Matern struct {
	Nu, SD, Length float64
}

// Cov returns the covariance at x and y, NaN if Nu is not 1/2, 3/2 or 5/2.
func (k Matern) Cov(x, y []float64) float64 {
	s := math.Sqrt(2*k.Nu) * distance(x, y) / k.Length
	c := k.SD * k.SD * math.Exp(-s)
	switch k.Nu {
	case 0.5:
		return c
	case 1.5:
		return c * (1 + s)
	case 2.5:
		return c * (1 + s + s*s/3)
	}
	return math.NaN()
}

// PeriodicKernel is the kernel SD² exp(-2 Σ sin²(π(xᵢ - yᵢ)/Period)/Length²)
// of functions that repeat themselves (MacKay, 1998). Length is relative to
// a circle of radius 1.
type PeriodicKernel struct {
	SD, Length, Period float64
}

// Cov returns the covariance at x and y.
func (k PeriodicKernel) Cov(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		s := math.Sin(math.Pi*(v-y[i])/k.Period) / k.Length
		sum += s * s
	}
	return k.SD * k.SD * math.Exp(-2*sum)
}

// SumKernel is the sum of kernels: the covariance of the sum of independent
// processes.
type SumKernel []Kernel

// Cov returns the covariance at x and y.
func (k SumKernel) Cov(x, y []float64) float64 {
	sum := 0.0
	for _, t := range k {
		sum += t.Cov(x, y)
	}
	return sum
}

// ProductKernel is the product of kernels.
type ProductKernel []Kernel

// Cov returns the covariance at x and y.
func (k ProductKernel) Cov(x, y []float64) float64 {
	product := 1.0
	for _, t := range k {
		product *= t.Cov(x, y)
	}
	return product
}

// GPOptions are the options of NewGP.
type GPOptions struct {
	// Mean is the mean at each point; nil means 0.
	Mean []float64

	// Jitter is added to the diagonal of the covariance, relative to its
	// largest element, because the covariance of a smooth process at close
	// points is singular to working precision. If Jitter is 0, it will be
	// defaulted to 1e-8: independent noise of 1e-4 standard deviations.
	Jitter float64

	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// NewGP returns the Gaussian process with the given kernel at the rows of
// points (n×d). It returns an error if the covariance is not finite or, with
// the jitter, not positive definite, or if a parameter of a kernel of this
// package is not positive.
func NewGP(points *mat.Dense, k Kernel, opt *GPOptions) (*Gaussian, error) {
	if points == nil || points.IsEmpty() {
		return nil, errors.New("prior: GP: points is empty")
	}
	if opt == nil {
		opt = &GPOptions{}
	}
	jitter := opt.Jitter
	if jitter == 0 {
		jitter = 1e-8
	}
	if !(jitter > 0) || math.IsInf(jitter, 1) {
		return nil, fmt.Errorf("prior: GP: Jitter is %g, want a positive number", jitter)
	}
	if err := checkKernel(k); err != nil {
		return nil, fmt.Errorf("prior: GP: k: %w", err)
	}
	n, _ := points.Dims()
	cov := mat.NewSymDense(n, nil)
	largest := 0.0
	for i := range n {
		for j := i; j < n; j++ {
			c := k.Cov(points.RawRowView(i), points.RawRowView(j))
			if math.IsNaN(c) || math.IsInf(c, 0) {
				return nil, fmt.Errorf("prior: GP: the covariance of points %d and %d is %g", i, j, c)
			}
			cov.SetSym(i, j, c)
		}
		largest = math.Max(largest, cov.At(i, i))
	}
	for i := range n {
		cov.SetSym(i, i, cov.At(i, i)+jitter*largest)
	}
	c, err := newCovariance("the covariance of the points", cov, false)
	if err != nil {
		return nil, fmt.Errorf("prior: GP: %w with Jitter %g", err, jitter)
	}
	return newGaussian(opt.Mean, c, &GaussianOptions{Src: opt.Src})
}

func checkKernel(k Kernel) error {
	positive := func(name string, v float64) error {
		if !(v > 0) || math.IsInf(v, 1) {
			return fmt.Errorf("%T: %s is %g, want a positive number", k, name, v)
		}
		return nil
	}
	switch k := k.(type) {
	case nil:
		return errors.New("kernel is nil")
	case SquaredExponential:
		return errors.Join(positive("SD", k.SD), positive("Length", k.Length))
	case Matern:
		if k.Nu != 0.5 && k.Nu != 1.5 && k.Nu != 2.5 {
			return fmt.Errorf("%T: Nu is %g, want 0.5, 1.5 or 2.5", k, k.Nu)
		}
		return errors.Join(positive("SD", k.SD), positive("Length", k.Length))
	case PeriodicKernel:
		return errors.Join(positive("SD", k.SD), positive("Length", k.Length), positive("Period", k.Period))
	case SumKernel:
		return checkKernels(k)
	case ProductKernel:
		return checkKernels(k)
	}
	return nil
}

func checkKernels(ks []Kernel) error {
	if len(ks) == 0 {
		return errors.New("a sum or product of no kernels")
	}
	for _, k := range ks {
		if err := checkKernel(k); err != nil {
			return err
		}
	}
	return nil
}

func distance(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		d := v - y[i]
		sum += d * d
	}
	return math.Sqrt(sum)
}
