package forward

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/dft"
)

// HeatOptions are the options of [NewHeat1D] and [NewHeat2D].
type HeatOptions struct {
	// Boundary is Zero, if not set, for edges held at 0; Reflect for insulated
	// edges; Periodic for a ring or a torus. The others have no meaning here.
	Boundary Boundary
}

// NewHeat2D returns the operator from the initial temperature of a rows×cols
// plate, stored row by row, to that at time t: the solution of
//
//	∂u/∂t = Δu,   u(0) = x,   y = u(t),
//
// exact in the waves that the grid can show. Pixels have unit sides, so t is
// diffusivity times time over the square of a pixel's side; without edges the
// operator is a Gaussian blur of standard deviation sqrt(2t) pixels.
//
// With the boundary Zero, the temperature is 0 at the points one pixel before
// the first and after the last; with Reflect, no heat passes half a pixel
// outside of them. No heat leaves a plate of one row or column sideways: it is
// a rod.
//
// The operator is symmetric, and so Adjoint is Apply. Its singular values are
// exp(-t(μ² + ν²)) with the wave numbers μ, ν: recovering x is hopeless for
// waves much shorter than sqrt(t).
//
// It is an error if the plate is empty, t is negative or not finite, or the
// boundary is another.
func NewHeat2D(rows, cols int, t float64, o *HeatOptions) (inverse.Spectral, error) {
	if o == nil {
		o = &HeatOptions{}
	}
	switch {
	case rows < 1 || cols < 1:
		return nil, fmt.Errorf("forward: plate is %d×%d, want positive sizes", rows, cols)
	case !(t >= 0) || math.IsInf(t, 1):
		return nil, fmt.Errorf("forward: t is %v, want a time that is not negative", t)
	}
	n := rows * cols
	h := &heat{decay: make([]float64, n)}
	// wave returns the wave number of coordinate k along a side of n pixels.
	var wave func(k, n int) float64
	switch o.Boundary {
	case Zero:
		h.basis = sines{dft.NewDST(rows, cols)}
		wave = func(k, n int) float64 { return math.Pi * float64(k+1) / float64(n+1) }
	case Reflect:
		h.basis = dft.NewDCT(rows, cols)
		wave = func(k, n int) float64 { return math.Pi * float64(k) / float64(n) }
	case Periodic:
		h.basis = newFourierBasis(rows, cols)
		wave = func(k, n int) float64 { return 2 * math.Pi * float64(min(k, n-k)) / float64(n) }
	default:
		return nil, fmt.Errorf("forward: boundary is %v, want zero, reflect or periodic for heat", o.Boundary)
	}
	for k := range rows {
		for l := range cols {
			mu, nu := wave(k, rows), wave(l, cols)
			if rows == 1 {
				mu = 0
			}
			if cols == 1 {
				nu = 0
			}
			h.decay[k*cols+l] = math.Exp(-t * (mu*mu + nu*nu))
		}
	}
	return &spectralRows{linearRows{n, n, h}, h}, nil
}

// NewHeat1D returns the operator from the initial temperature of a rod of n
// points to that at time t, as [NewHeat2D] does for a plate. The unit of
// length is the distance of the points.
func NewHeat1D(n int, t float64, o *HeatOptions) (inverse.Spectral, error) {
	if n < 1 {
		return nil, fmt.Errorf("forward: rod has %d points, want a positive number", n)
	}
	return NewHeat2D(1, n, t, o)
}

// heat is V diag(decay) Vᵀ with the orthonormal waves V.
type heat struct {
	basis basis
	decay []float64
}

// A basis is an orthogonal matrix Vᵀ (Forward) and its transpose V (Inverse).
// dst and src may be the same slice.
type basis interface {
	Forward(dst, src []float64)
	Inverse(dst, src []float64)
}

func (h *heat) apply(dst, x []float64) {
	h.basis.Forward(dst, x)
	for k, d := range h.decay {
		dst[k] *= d
	}
	h.basis.Inverse(dst, dst)
}

func (h *heat) adjoint(dst, y []float64) { h.apply(dst, y) }
func (h *heat) values() []float64        { return h.decay }
func (h *heat) mulV(dst, c []float64)    { h.basis.Inverse(dst, c) }
func (h *heat) mulVT(dst, x []float64)   { h.basis.Forward(dst, x) }
func (h *heat) mulU(dst, c []float64)    { h.basis.Inverse(dst, c) }
func (h *heat) mulUT(dst, y []float64)   { h.basis.Forward(dst, y) }

// sines is the basis of waves that vanish at the edges.
type sines struct{ dst *dft.DST }

func (s sines) Forward(dst, src []float64) { s.dst.Transform(dst, src) }
func (s sines) Inverse(dst, src []float64) { s.dst.Transform(dst, src) }

// fourierBasis is the basis of periodic waves, ordered by [dft.FFT.Pack].
type fourierBasis struct {
	fft      *dft.FFT
	spectrum sync.Pool // of *[]complex128
}

func newFourierBasis(rows, cols int) *fourierBasis {
	b := &fourierBasis{fft: dft.NewFFT(rows, cols)}
	b.spectrum.New = func() any {
		r, h := b.fft.SpectrumDims()
		c := make([]complex128, r*h)
		return &c
	}
	return b
}

func (b *fourierBasis) Forward(dst, src []float64) {
	c := b.spectrum.Get().(*[]complex128)
	b.fft.Forward(*c, src)
	b.fft.Pack(dst, *c)
	b.spectrum.Put(c)
}

func (b *fourierBasis) Inverse(dst, src []float64) {
	c := b.spectrum.Get().(*[]complex128)
	b.fft.Unpack(*c, src)
	b.fft.Inverse(dst, *c)
	b.spectrum.Put(c)
}
