package forward

import (
	"fmt"
	"math"
	"math/cmplx"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/go-inverse/inverse"
)

// NewIntegral returns the running integral of functions that are constant on
// n cells of width h, at the right ends of the cells:
//
//	y_i = h Σ_{j≤i} x_j.
//
// Its inversion is numerical differentiation. The singular values are
// h / (2 sin(θ_k/2)) with θ_k = (2k-1)π/(2n+1), and the singular functions are
// u_k(i) ∝ sin(iθ_k), v_k(j) ∝ cos((j-½)θ_k) for i, j = 1, ..., n.
//
// It is an error if n or h is not positive, or h is not finite.
func NewIntegral(n int, h float64) (inverse.Spectral, error) {
	switch {
	case n < 1:
		return nil, fmt.Errorf("forward: n is %d, want a positive number of cells", n)
	case !(h > 0) || math.IsInf(h, 1):
		return nil, fmt.Errorf("forward: h is %v, want a positive width", h)
	}
	a := &integral{n: n, h: h, norm: 2 / math.Sqrt(float64(2*n+1))}
	for k := range n {
		theta := float64(2*k+1) * math.Pi / float64(2*n+1)
		a.sigma = append(a.sigma, h/(2*math.Sin(theta/2)))
		a.half = append(a.half, cmplx.Rect(1, theta/2))
		a.twist = append(a.twist, cmplx.Rect(1, float64(k+1)*math.Pi/float64(2*n+1)))
	}
	a.work.New = func() any {
		return &integralWork{fourier.NewCmplxFFT(2*n + 1), make([]complex128, 2*n+1)}
	}
	return &spectralRows{linearRows{n, n, a}, a}, nil
}

// integral has its singular vectors from complex transforms of length
// N = 2n+1: with i, k = 1, ..., n,
//
//	exp(-i' iθ_k) = exp(i'πi/N) exp(-2πi' ik/N),   i' = sqrt(-1).
type integral struct {
	n     int
	h     float64
	norm  float64
	sigma []float64
	half  []complex128 // exp(i'θ_k/2)
	twist []complex128 // exp(i'πi/N)
	work  sync.Pool    // of *integralWork
}

type integralWork struct {
	fft *fourier.CmplxFFT
	c   []complex128
}

func (a *integral) apply(dst, x []float64) {
	sum := 0.
	for i, v := range x {
		sum += v
		dst[i] = a.h * sum
	}
}

func (a *integral) adjoint(dst, y []float64) {
	sum := 0.
	for i := a.n - 1; i >= 0; i-- {
		sum += y[i]
		dst[i] = a.h * sum
	}
}

func (a *integral) values() []float64 { return a.sigma }

func (a *integral) mulUT(dst, y []float64) {
	w := a.transform(y, a.twist)
	for k := range dst {
		dst[k] = -a.norm * imag(w.c[k+1])
	}
	a.work.Put(w)
}

func (a *integral) mulU(dst, c []float64) {
	w := a.transform(c, nil)
	for i := range dst {
		dst[i] = -a.norm * imag(a.twist[i]*w.c[i+1])
	}
	a.work.Put(w)
}

func (a *integral) mulVT(dst, x []float64) {
	w := a.transform(x, a.twist)
	for k := range dst {
		dst[k] = a.norm * real(a.half[k]*w.c[k+1])
	}
	a.work.Put(w)
}

func (a *integral) mulV(dst, c []float64) {
	w := a.transform(c, a.half)
	for j := range dst {
		dst[j] = a.norm * real(a.twist[j]*w.c[j+1])
	}
	a.work.Put(w)
}

// transform returns Σ_i x_i twist_i exp(-2πi' ik/N) for i = 1, ..., n and all
// k. A nil twist is 1.
func (a *integral) transform(x []float64, twist []complex128) *integralWork {
	w := a.work.Get().(*integralWork)
	clear(w.c)
	for i, v := range x {
		w.c[i+1] = complex(v, 0)
		if twist != nil {
			w.c[i+1] *= twist[i]
		}
	}
	w.fft.Coefficients(w.c, w.c)
	return w
}
