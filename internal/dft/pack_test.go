package dft

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
)

// Packed spectra are coordinates in an orthonormal basis: lengths are kept,
// and packing is undone.
func TestPackIsOrthonormal(t *testing.T) {
	for _, s := range shapes {
		fft := NewFFT(s[0], s[1])
		rows, half := fft.SpectrumDims()
		x := randomGrid(s[0] * s[1])
		spectrum := make([]complex128, rows*half)
		fft.Forward(spectrum, x)
		c := randomGrid(len(x)) // every element is to be written
		fft.Pack(c, spectrum)
		if a, b := floats.Norm(x, 2), floats.Norm(c, 2); math.Abs(a-b) > 1e-12*a {
			t.Errorf("%v: norm %g became %g", s, a, b)
		}
		fft.Unpack(spectrum, c)
		y := make([]float64, len(x))
		fft.Inverse(y, spectrum)
		if d := floats.Distance(x, y, math.Inf(1)); d > 1e-12 {
			t.Errorf("%v: round trip is off by %g", s, d)
		}
	}
}

func TestPackPlacesWaves(t *testing.T) {
	const rows, cols = 6, 8
	fft := NewFFT(rows, cols)
	spectrum, c := make([]complex128, rows*5), make([]float64, rows*cols)
	for _, tt := range []struct {
		k, l, at int
		wave     func(float64) float64
	}{
		{2, 3, 2*cols + 3, math.Cos}, {2, 3, 2*cols + 5, math.Sin}, {2, 4, 2*cols + 4, math.Cos}, {2, 0, 4 * cols, math.Sin},
	} {
		x := make([]float64, rows*cols)
		for i := range rows {
			for j := range cols {
				x[i*cols+j] = math.Sqrt2 / math.Sqrt(rows*cols) * tt.wave(2*math.Pi*(float64(tt.k*i)/rows+float64(tt.l*j)/cols))
			}
		}
		fft.Forward(spectrum, x)
		fft.Pack(c, spectrum)
		if math.Abs(math.Abs(c[tt.at])-1) > 1e-12 {
			t.Errorf("wave (%d, %d): coordinate %g at [%d,%d], want ±1", tt.k, tt.l, c[tt.at], tt.at/cols, tt.at%cols)
		}
	}
}
