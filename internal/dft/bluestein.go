package dft

// bluestein is the transform of any length n as a convolution,
//
//	y[k] = c[k] Σ_j (c[j] x[j]) conj(c[k-j]),  c[j] = exp(-πi j²/n),
//
// done by transforms of a length ≥ 2n-1 with small factors.
type bluestein struct {
	n    int
	c    []complex128
	h    []complex128 // the transform of conj(c), divided by its length
	plan *plan
}

func newBluestein(n int) *bluestein {
	b := &bluestein{n: n, plan: newPlan(GoodSize(2*n - 1))}
	for j := range n {
		b.c = append(b.c, root(j*j%(2*n), 2*n))
	}
	size := b.plan.n
	x := make([]block, size)
	for j, c := range b.c {
		x[j].re[0], x[j].im[0] = real(c), -imag(c)
		x[(size-j)%size] = x[j]
	}
	for _, v := range b.plan.transform(x, make([]block, size)) {
		b.h = append(b.h, complex(v.re[0]/float64(size), v.im[0]/float64(size)))
	}
	return b
}

func (b *bluestein) scratchLen() int { return 2 * b.plan.n }

func (b *bluestein) transform(x, scratch []block) {
	size := b.plan.n
	u := scratch[:size]
	for j, c := range b.c {
		for i := range lanes {
			u[j].re[i], u[j].im[i] = mul(x[j].re[i], x[j].im[i], c)
		}
	}
	clear(u[b.n:])
	v := b.plan.transform(u, scratch[size:])
	// The inverse transform, times its length, is the transform with real
	// and imaginary parts exchanged before and after.
	for k, h := range b.h {
		for i := range lanes {
			v[k].im[i], v[k].re[i] = mul(v[k].re[i], v[k].im[i], h)
		}
	}
	other := scratch[:size]
	if &v[0] == &other[0] {
		other = scratch[size:]
	}
	v = b.plan.transform(v, other)
	for k, c := range b.c {
		for i := range lanes {
			x[k].re[i], x[k].im[i] = mul(v[k].im[i], v[k].re[i], c)
		}
	}
}
