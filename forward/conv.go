package forward

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Conv2DOptions are the options of [NewConv2D].
type Conv2DOptions struct {
	// Boundary says what lies outside the image: Zero if not set.
	Boundary Boundary
	// Center is the position of the centre of the point spread function
	// relative to its middle entry [rows/2,cols/2], as row and column.
	Center [2]int
}

// NewConv2D returns the convolution of rows×cols images, stored row by row,
// with a point spread function of any size:
//
//	y[i,j] = Σ_kl psf[k,l] x̃[i+r-k, j+c-l],   (r,c) = (rows, cols of psf)/2 + Center,
//
// where x̃ is x extended beyond the Boundary. This is scipy.ndimage.convolve
// and MATLAB's conv2(..., "same"), even sizes included.
//
// Small and separable point spread functions are summed over, others go
// through Fourier or cosine transforms; Adjoint is the transpose of Apply for
// every boundary. The operator is also [inverse.Spectral] if the boundary is
// Periodic (Fourier transform), or Reflect and psf even in both directions
// (cosine transform), or else if psf has rank one and no side of the image
// exceeds 2048 (two small decompositions, made when first asked for).
//
// It is an error if the image or psf is empty, or psf not finite.
func NewConv2D(rows, cols int, psf mat.Matrix, o *Conv2DOptions) (inverse.Linear, error) {
	if o == nil {
		o = new(Conv2DOptions)
	}
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("forward: image is %d×%d, want positive sizes", rows, cols)
	}
	if err := checkFinite("psf", psf); err != nil {
		return nil, err
	}
	if err := o.Boundary.check(); err != nil {
		return nil, err
	}
	p, q := psf.Dims()
	return stencil{
		rows: rows, rowStride: 1, rowShift: p/2 + o.Center[0],
		cols: cols, colStride: 1, colShift: q/2 + o.Center[1],
		h: mat.DenseCopyOf(psf), boundary: o.Boundary,
	}.operator(), nil
}

// Conv1DOptions are the options of [NewConv1D].
type Conv1DOptions struct {
	// Boundary says what lies outside the signal: Zero if not set.
	Boundary Boundary
	// Center is the position of the centre of the point spread function
	// relative to its middle entry [len(psf)/2].
	Center int
}

// NewConv1D returns the convolution of signals of length n with a point
// spread function of any length, as [NewConv2D] does for images of one row:
//
//	y[i] = Σ_k psf[k] x̃[i+c-k],   c = len(psf)/2 + Center.
//
// It is [inverse.Spectral] if the boundary is Periodic, or Reflect and psf
// even, or else if n is at most 2048.
func NewConv1D(n int, psf []float64, o *Conv1DOptions) (inverse.Linear, error) {
	if o == nil {
		o = new(Conv1DOptions)
	}
	if n < 1 {
		return nil, fmt.Errorf("forward: signal has length %d, want it positive", n)
	}
	if len(psf) == 0 {
		return nil, fmt.Errorf("forward: psf is empty")
	}
	return NewConv2D(1, n, mat.NewDense(1, len(psf), psf), &Conv2DOptions{Boundary: o.Boundary, Center: [2]int{0, o.Center}})
}

// DownsampleOptions are the options of [NewDownsample].
type DownsampleOptions struct {
	// Kernel is the anti-alias filter. If nil, it is the mean over blocks of
	// factor×factor pixels.
	Kernel mat.Matrix
	// Boundary says what lies outside the image: Periodic if Kernel is nil,
	// which makes no difference then, Zero if not set.
	Boundary Boundary
}

// NewDownsample returns the operator that filters rows×cols images, stored
// row by row, and keeps one pixel in every block of factor×factor: with a
// kernel of p×p
//
//	y[i,j] = Σ_kl kernel[k,l] x̃[factor·i+c-k, factor·j+c-l],   c = ⌊(p+factor-2)/2⌋,
//
// so that the kernel's centre is that of the block, or half a pixel before it
// if factor and p are one even and one odd.
//
// The operator is also [inverse.Spectral] under the conditions of
// [NewConv2D], except that the cosine transform does not serve here.
//
// It is an error if factor is not positive or does not divide rows and cols,
// or if the kernel is empty or not finite.
func NewDownsample(rows, cols, factor int, o *DownsampleOptions) (inverse.Linear, error) {
	if o == nil {
		o = new(DownsampleOptions)
	}
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("forward: image is %d×%d, want positive sizes", rows, cols)
	}
	if factor < 1 || rows%factor != 0 || cols%factor != 0 {
		return nil, fmt.Errorf("forward: factor is %d, want a positive divisor of the image's sides %d and %d", factor, rows, cols)
	}
	if err := o.Boundary.check(); err != nil {
		return nil, err
	}
	kernel, boundary := o.Kernel, o.Boundary
	if kernel == nil {
		mean := mat.NewDense(factor, factor, nil)
		for i := range mean.RawMatrix().Data {
			mean.RawMatrix().Data[i] = 1 / float64(factor*factor)
		}
		kernel, boundary = mean, Periodic
	}
	if err := checkFinite("kernel", kernel); err != nil {
		return nil, err
	}
	p, q := kernel.Dims()
	return stencil{
		rows: rows, rowStride: factor, rowShift: (p + factor - 2) / 2,
		cols: cols, colStride: factor, colShift: (q + factor - 2) / 2,
		h: mat.DenseCopyOf(kernel), boundary: boundary,
	}.operator(), nil
}
