package main

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
)

// camera sees the diffraction pattern of an image, without the phases:
//
//	A(x) = |F P (x + 1)/2|
//
// with zeros around the image that double its sides (P) and the discrete
// Fourier transform F. So x and the image turned by half a circle, or shifted
// into the zeros, have the same pattern. Of each pair of frequencies k and -k,
// which have the same value, one is seen.
type camera struct {
	side    int
	fourier inverse.Spectral
}

var _ inverse.Differentiable = (*camera)(nil)

func newCamera(side int) (*camera, error) {
	wide := 2 * side
	seen := make([]bool, wide*wide)
	for k := range wide {
		for l := range wide {
			mirror := (wide-k)%wide*wide + (wide-l)%wide
			seen[k*wide+l] = k*wide+l <= mirror
		}
	}
	f, err := forward.NewFourier(wide, wide, seen)
	return &camera{side, f}, err
}

// Dims returns the number of magnitudes and of pixels.
func (c *camera) Dims() (m, n int) {
	m, _ = c.fourier.Dims()
	return m / 2, c.side * c.side
}

// waves returns F P (x + 1)/2, the real parts and then the imaginary ones.
func (c *camera) waves(x *mat.Dense) *mat.Dense {
	rows, _ := x.Dims()
	m2, wide2 := c.fourier.Dims()
	padded := mat.NewDense(rows, wide2, nil)
	for i := range rows {
		from, to := x.RawRowView(i), padded.RawRowView(i)
		for j, v := range from {
			to[j/c.side*2*c.side+j%c.side] = (v + 1) / 2
		}
	}
	z := mat.NewDense(rows, m2, nil)
	c.fourier.Apply(z, padded)
	return z
}

// Apply sets the rows of dst to the magnitudes.
func (c *camera) Apply(dst, x *mat.Dense) {
	z := c.waves(x)
	for i := range z.RawMatrix().Rows {
		to, row := dst.RawRowView(i), z.RawRowView(i)
		for k := range to {
			to[k] = math.Hypot(row[k], row[len(to)+k])
		}
	}
}

// VJP sets the rows of dst to ½ Pᵀ Re F*(y ∘ z/|z|), z being the waves of x.
func (c *camera) VJP(dst, x, y *mat.Dense) {
	z := c.waves(x)
	rows, m2 := z.Dims()
	for i := range rows {
		row, weight := z.RawRowView(i), y.RawRowView(i)
		m := m2 / 2
		for k := range m {
			if h := math.Hypot(row[k], row[m+k]); h > 0 {
				row[k], row[m+k] = weight[k]*row[k]/h, weight[k]*row[m+k]/h
			}
		}
	}
	_, wide2 := c.fourier.Dims()
	back := mat.NewDense(rows, wide2, nil)
	c.fourier.Adjoint(back, z)
	for i := range rows {
		from, to := back.RawRowView(i), dst.RawRowView(i)
		for j := range to {
			to[j] = from[j/c.side*2*c.side+j%c.side] / 2
		}
	}
}

// picture shows the logarithms of the magnitudes, the zero frequency in the
// middle, from -1 to 1.
func (c *camera) picture(y []float64) (x []float64, rows, cols int) {
	wide := 2 * c.side
	x = make([]float64, wide*wide)
	lo, hi := math.Inf(1), math.Inf(-1)
	at := 0
	for k := range wide {
		for l := range wide {
			mirrorK, mirrorL := (wide-k)%wide, (wide-l)%wide
			if k*wide+l > mirrorK*wide+mirrorL {
				continue
			}
			v := math.Log(math.Max(y[at], .01))
			at++
			lo, hi = math.Min(lo, v), math.Max(hi, v)
			for _, f := range [][2]int{{k, l}, {mirrorK, mirrorL}} {
				x[(f[0]+c.side)%wide*wide+(f[1]+c.side)%wide] = v
			}
		}
	}
	for i, v := range x {
		x[i] = 2*(v-lo)/(hi-lo) - 1
	}
	return x, wide, wide
}

// turn returns the image turned by half a circle.
func turn(x []float64) []float64 {
	y := slices.Clone(x)
	slices.Reverse(y)
	return y
}
