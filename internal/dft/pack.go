package dft

import "math"

// Pack sets dst (rows×cols) to the coordinates of the grid with the spectrum
// src in the orthonormal real Fourier basis: √2 cos and √2 sin waves, divided
// by sqrt(rows·cols), and unscaled the few that are their own conjugate.
//
// The cosine of frequency (k, l) stands at [k,l]. Its sine stands at
// [k,cols-l] or, if l is 0 or cols/2, at [rows-k,l].
func (t *FFT) Pack(dst []float64, src []complex128) {
	t.check(src, dst)
	one := 1 / math.Sqrt(float64(t.rows*t.cols))
	two := math.Sqrt2 * one
	for k := range t.rows {
		for l := range t.half {
			c := src[k*t.half+l]
			switch conj := (t.rows - k) % t.rows; {
			case l != 0 && 2*l != t.cols:
				dst[k*t.cols+l] = two * real(c)
				dst[k*t.cols+t.cols-l] = two * imag(c)
			case k == conj:
				dst[k*t.cols+l] = one * real(c)
			case k < conj:
				dst[k*t.cols+l] = two * real(c)
				dst[conj*t.cols+l] = two * imag(c)
			}
		}
	}
}

// Unpack sets the spectrum dst to that of the grid with the coordinates src.
// It undoes Pack.
func (t *FFT) Unpack(dst []complex128, src []float64) {
	t.check(dst, src)
	one := math.Sqrt(float64(t.rows * t.cols))
	two := one / math.Sqrt2
	for k := range t.rows {
		for l := range t.half {
			var c complex128
			switch conj := (t.rows - k) % t.rows; {
			case l != 0 && 2*l != t.cols:
				c = complex(two*src[k*t.cols+l], two*src[k*t.cols+t.cols-l])
			case k == conj:
				c = complex(one*src[k*t.cols+l], 0)
			case k < conj:
				c = complex(two*src[k*t.cols+l], two*src[conj*t.cols+l])
			default:
				c = complex(two*src[conj*t.cols+l], -two*src[k*t.cols+l])
			}
			dst[k*t.half+l] = c
		}
	}
}
