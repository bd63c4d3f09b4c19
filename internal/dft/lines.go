package dft

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
)

// A line is a one-dimensional transform of one sequence in place.
type line interface {
	transform(x []float64, inverse bool)
}

// lines is a one-dimensional transform of bundles of real sequences, two in a
// lane.
type lines interface {
	get() *bundle
	put(b *bundle)
	transform(b *bundle, inverse bool) // of the front of b.x, in place
}

// cosine is the DCT-II and III of one sequence of length n > 1 by a quarter-wave transform,
// whose synthesis is 4 Σ_i x[i] cos(π k (2i+1)/(2n)) and whose analysis is
// x[0] + 2 Σ_k c[k] cos(π k (2i+1)/(2n)).
type cosine struct{ fft *fourier.QuarterWaveFFT }

func newCosine(n int) line { return cosine{fourier.NewQuarterWaveFFT(n)} }

func (c cosine) transform(x []float64, inverse bool) {
	n := float64(len(x))
	if inverse {
		scale(x, math.Sqrt(1/n), math.Sqrt(1/(2*n)))
		c.fft.CosCoefficients(x, x)
		return
	}
	c.fft.CosSequence(x, x)
	scale(x, math.Sqrt(1/(16*n)), math.Sqrt(1/(8*n)))
}

// scale multiplies x[0] by first and the others by rest.
func scale(x []float64, first, rest float64) {
	x[0] *= first
	for i := 1; i < len(x); i++ {
		x[i] *= rest
	}
}

// sine is the DST-I of one sequence of length n > 1; gonum's is 2 Σ_i x[i] sin(π (k+1)(i+1)/(n+1)).
type sine struct{ fft *fourier.DST }

func newSine(n int) line { return sine{fourier.NewDST(n)} }

func (s sine) transform(x []float64, _ bool) {
	s.fft.Transform(x, x)
	c := math.Sqrt(1 / (2 * float64(len(x)+1)))
	scale(x, c, c)
}

// cosines is the DCT-II and III of length n > 1 of bundles, by a transform of
// the same length: Makhoul, A fast cosine transform in one and two dimensions
// (1980). With v = x[0], x[2], ..., x[3], x[1], of transform V, and
// w = exp(-πi k/2n),
//
//	Σ_i x[i] cos(π k (2i+1)/(2n)) = Re w V[k],
//
// and the value at n-k is -Im w V[k], which the inverse solves for V.
type cosines struct {
	*plan
	w []complex128 // exp(πi k/2n)
}

func newCosines(n int) lines {
	c := &cosines{plan: newPlan(n)}
	for k := range n/2 + 1 {
		sin, cos := math.Sincos(math.Pi * float64(k) / float64(2*n))
		c.w = append(c.w, complex(cos, sin))
	}
	return c
}

func (c *cosines) transform(b *bundle, inverse bool) {
	if inverse {
		c.synthesise(b)
	} else {
		c.analyse(b)
	}
}

func (c *cosines) analyse(b *bundle) {
	n := c.n
	v := b.scratch[:n]
	for i := range n {
		v[fold(i, n)] = b.x[i]
	}
	z := c.plan.transform(v, b.scratch[n:])
	first, rest := math.Sqrt(1/float64(n)), math.Sqrt(1/float64(2*n))
	out := b.x
	for k, w := range c.w {
		cos, sin := rest*real(w), rest*imag(w)
		u, v := z[k], z[(n-k)%n]
		p, q := &out[k], &out[(n-k)%n]
		if k == 0 {
			for i := range lanes {
				p.re[i], p.im[i] = first*u.re[i], first*u.im[i]
			}
			continue
		}
		for i := range lanes {
			// Twice the transforms of the real and of the imaginary part.
			ar, ai := u.re[i]+v.re[i], u.im[i]-v.im[i]
			br, bi := u.im[i]+v.im[i], v.re[i]-u.re[i]
			p.re[i], p.im[i] = cos*ar+sin*ai, cos*br+sin*bi
			q.re[i], q.im[i] = sin*ar-cos*ai, sin*br-cos*bi
		}
	}
}

func (c *cosines) synthesise(b *bundle) {
	n := c.n
	first, rest := math.Sqrt(1/float64(n)), math.Sqrt(1/float64(2*n))
	z := b.scratch[:n]
	for k, w := range c.w {
		cos, sin := rest*real(w), rest*imag(w)
		p, q := b.x[k], b.x[(n-k)%n]
		u, v := &z[k], &z[(n-k)%n]
		// Real and imaginary parts are exchanged, for the inverse transform.
		if k == 0 {
			for i := range lanes {
				u.im[i], u.re[i] = first*p.re[i], first*p.im[i]
			}
			continue
		}
		for i := range lanes {
			ar, ai := cos*p.re[i]+sin*q.re[i], sin*p.re[i]-cos*q.re[i]
			br, bi := cos*p.im[i]+sin*q.im[i], sin*p.im[i]-cos*q.im[i]
			v.im[i], v.re[i] = ar+bi, br-ai
			u.im[i], u.re[i] = ar-bi, br+ai
		}
	}
	z = c.plan.transform(z, b.scratch[n:])
	for i := range n {
		v := &z[fold(i, n)]
		b.x[i].re, b.x[i].im = v.im, v.re
	}
}

// fold returns where element i of n goes in x[0], x[2], ..., x[3], x[1].
func fold(i, n int) int {
	if i%2 == 0 {
		return i / 2
	}
	return n - 1 - i/2
}

// sines is the DST-I of length n > 1 of bundles, by the transform of the odd
// sequence 0, x[0], ..., x[n-1], 0, -x[n-1], ..., -x[0], which is
//
//	-2i Σ_i x[i] sin(π (k+1)(i+1)/(n+1))   at k+1.
type sines struct{ *plan } // of length 2n+2

func newSines(n int) lines { return sines{newPlan(2*n + 2)} }

func (s sines) transform(b *bundle, _ bool) {
	n := s.n/2 - 1
	v := b.scratch[:s.n]
	v[0], v[n+1] = block{}, block{}
	for j, x := range b.x[:n] {
		v[j+1] = x
		for i := range lanes {
			x.re[i], x.im[i] = -x.re[i], -x.im[i]
		}
		v[2*n+1-j] = x
	}
	z := s.plan.transform(v, b.scratch[s.n:])
	c := math.Sqrt(1 / (2 * float64(n+1)))
	for k := range n {
		p, u := &b.x[k], &z[k+1]
		for i := range lanes {
			p.re[i], p.im[i] = -c*u.im[i], c*u.re[i]
		}
	}
}
