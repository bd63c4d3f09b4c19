package dft

import (
	"math"
	"slices"
	"sync"
)

// lanes is the number of sequences that are transformed together, so that
// what a butterfly needs to know is loaded once for all of them.
const lanes = 8

// A block holds one element of lanes complex sequences.
type block struct{ re, im [lanes]float64 }

// A plan is the complex Fourier transform of length n,
//
//	y[k] = Σ_j x[j] exp(-2πi jk/n),
//
// of bundles of sequences, by Stockham's algorithm: each pass takes out one
// factor of n, and sorts as it goes. It is not modified once made.
type plan struct {
	n         int
	passes    []pass
	bluestein *bluestein // instead of passes, if n has a large prime factor
	work      sync.Pool  // of *bundle
}

// A bundle is lanes sequences of n blocks, and scratch for another n and for
// their transform.
type bundle struct{ x, scratch []block }

// A pass combines p subsequences. With m = (what is left of n)/p and s the
// product of the factors taken out before,
//
//	y[s(pj+r)+q] = exp(-2πi jr/(pm)) Σ_k x[s(j+mk)+q] exp(-2πi kr/p)
//
// for j < m, r < p and q < s.
type pass struct {
	p, m, s int
	w       []complex128 // exp(-2πi jr/(pm)) for j < m and 0 < r < p
	roots   []complex128 // exp(-2πi k/p)
}

// largestRadix is the largest prime for which summing over p terms is not
// slower than Bluestein's algorithm.
const largestRadix = 31

func newPlan(n int) *plan {
	t := &plan{n: n}
	t.work.New = func() any { return &bundle{make([]block, n), make([]block, n+t.scratchLen())} }
	if hasLargeFactor(n) {
		t.bluestein = newBluestein(n)
		return t
	}
	left, s := n, 1
	for _, p := range factors(n) {
		m := left / p
		ps := pass{p: p, m: m, s: s}
		for j := range m {
			for r := 1; r < p; r++ {
				ps.w = append(ps.w, root(j*r, left))
			}
		}
		for k := range p {
			ps.roots = append(ps.roots, root(k, p))
		}
		t.passes = append(t.passes, ps)
		left, s = m, s*p
	}
	return t
}

func hasLargeFactor(n int) bool { return n > 1 && slices.Max(factors(n)) > largestRadix }

// factors returns factors of n in the order in which they are taken out:
// fours, then primes in ascending order.
func factors(n int) []int {
	var f []int
	for n%4 == 0 {
		f = append(f, 4)
		n /= 4
	}
	for p := 2; n > 1; p++ {
		if p*p > n {
			p = n
		}
		for n%p == 0 {
			f = append(f, p)
			n /= p
		}
	}
	return f
}

// root returns exp(-2πi k/n) to full accuracy for 0 ≤ k.
func root(k, n int) complex128 {
	k %= n
	sin, cos := math.Sincos(-2 * math.Pi * float64(k) / float64(n))
	return complex(cos, sin)
}

// scratchLen returns the length of the scratch that transform needs.
func (t *plan) scratchLen() int {
	if t.bluestein != nil {
		return t.bluestein.scratchLen()
	}
	return t.n
}

// get returns a bundle for the plan, and put takes it back.
func (t *plan) get() *bundle  { return t.work.Get().(*bundle) }
func (t *plan) put(b *bundle) { t.work.Put(b) }

// transform returns the transform of x, which it overwrites. The result is in
// x or in scratch.
func (t *plan) transform(x, scratch []block) []block {
	if t.bluestein != nil {
		t.bluestein.transform(x, scratch)
		return x
	}
	x, y := x[:t.n], scratch[:t.n]
	for i := range t.passes {
		ps := &t.passes[i]
		switch p := ps.p; {
		case p < len(assembly) && assembly[p] != nil:
			assembly[p](&y[0].re[0], &x[0].re[0], ps.m, ps.s, &ps.w[0])
		case p == 2:
			ps.radix2(y, x)
		case p == 3:
			ps.radix3(y, x)
		case p == 4:
			ps.radix4(y, x)
		case p == 5:
			ps.radix5(y, x)
		default:
			ps.radix(y, x)
		}
		x, y = y, x
	}
	return x
}

// assembly holds, by radix, the passes written for the processor's vectors.
var assembly [6]func(y, x *float64, m, s int, w *complex128)

func (ps *pass) radix2(y, x []block) {
	m, s := ps.m, ps.s
	for j := range m {
		wr, wi := real(ps.w[j]), imag(ps.w[j])
		for q := range s {
			a, b := &x[s*j+q], &x[s*(j+m)+q]
			y0, y1 := &y[s*2*j+q], &y[s*(2*j+1)+q]
			for i := range lanes {
				ar, ai, br, bi := a.re[i], a.im[i], b.re[i], b.im[i]
				y0.re[i], y0.im[i] = ar+br, ai+bi
				dr, di := ar-br, ai-bi
				y1.re[i], y1.im[i] = dr*wr-di*wi, dr*wi+di*wr
			}
		}
	}
}

func (ps *pass) radix3(y, x []block) {
	const sin = 0.86602540378443864676372317075293618347140262690519
	m, s := ps.m, ps.s
	for j := range m {
		w1r, w1i := real(ps.w[2*j]), imag(ps.w[2*j])
		w2r, w2i := real(ps.w[2*j+1]), imag(ps.w[2*j+1])
		for q := range s {
			a, b, c := &x[s*j+q], &x[s*(j+m)+q], &x[s*(j+2*m)+q]
			y0, y1, y2 := &y[s*3*j+q], &y[s*(3*j+1)+q], &y[s*(3*j+2)+q]
			for i := range lanes {
				sr, si := b.re[i]+c.re[i], b.im[i]+c.im[i]
				dr, di := sin*(b.re[i]-c.re[i]), sin*(b.im[i]-c.im[i])
				ar, ai := a.re[i], a.im[i]
				y0.re[i], y0.im[i] = ar+sr, ai+si
				hr, hi := ar-0.5*sr, ai-0.5*si
				ur, ui := hr+di, hi-dr
				vr, vi := hr-di, hi+dr
				y1.re[i], y1.im[i] = ur*w1r-ui*w1i, ur*w1i+ui*w1r
				y2.re[i], y2.im[i] = vr*w2r-vi*w2i, vr*w2i+vi*w2r
			}
		}
	}
}

func (ps *pass) radix4(y, x []block) {
	m, s := ps.m, ps.s
	for j := range m {
		w := ps.w[3*j : 3*j+3]
		w1r, w1i := real(w[0]), imag(w[0])
		w2r, w2i := real(w[1]), imag(w[1])
		w3r, w3i := real(w[2]), imag(w[2])
		for q := range s {
			a, b, c, d := &x[s*j+q], &x[s*(j+m)+q], &x[s*(j+2*m)+q], &x[s*(j+3*m)+q]
			y0, y1, y2, y3 := &y[s*4*j+q], &y[s*(4*j+1)+q], &y[s*(4*j+2)+q], &y[s*(4*j+3)+q]
			for i := range lanes {
				pr, pi := a.re[i]+c.re[i], a.im[i]+c.im[i]
				mr, mi := a.re[i]-c.re[i], a.im[i]-c.im[i]
				sr, si := b.re[i]+d.re[i], b.im[i]+d.im[i]
				dr, di := b.re[i]-d.re[i], b.im[i]-d.im[i]
				y0.re[i], y0.im[i] = pr+sr, pi+si
				ur, ui := mr+di, mi-dr
				vr, vi := pr-sr, pi-si
				zr, zi := mr-di, mi+dr
				y1.re[i], y1.im[i] = ur*w1r-ui*w1i, ur*w1i+ui*w1r
				y2.re[i], y2.im[i] = vr*w2r-vi*w2i, vr*w2i+vi*w2r
				y3.re[i], y3.im[i] = zr*w3r-zi*w3i, zr*w3i+zi*w3r
			}
		}
	}
}

func (ps *pass) radix5(y, x []block) {
	const (
		c1 = 0.30901699437494742410229341718281905886015458990289  // cos 2π/5
		c2 = -0.80901699437494742410229341718281905886015458990289 // cos 4π/5
		s1 = 0.95105651629515357211643933337938214340569863412575  // sin 2π/5
		s2 = 0.58778525229247312916870595463907276859765243764315  // sin 4π/5
	)
	m, s := ps.m, ps.s
	for j := range m {
		w := ps.w[4*j : 4*j+4]
		for q := range s {
			a, b, c, d, e := &x[s*j+q], &x[s*(j+m)+q], &x[s*(j+2*m)+q], &x[s*(j+3*m)+q], &x[s*(j+4*m)+q]
			out := y[s*5*j+q:]
			y0, y1, y2, y3, y4 := &out[0], &out[s], &out[2*s], &out[3*s], &out[4*s]
			for i := range lanes {
				ar, ai := a.re[i], a.im[i]
				pr, pi := b.re[i]+e.re[i], b.im[i]+e.im[i]
				mr, mi := b.re[i]-e.re[i], b.im[i]-e.im[i]
				sr, si := c.re[i]+d.re[i], c.im[i]+d.im[i]
				dr, di := c.re[i]-d.re[i], c.im[i]-d.im[i]
				y0.re[i], y0.im[i] = ar+pr+sr, ai+pi+si
				fr, fi := ar+c1*pr+c2*sr, ai+c1*pi+c2*si
				gr, gi := ar+c2*pr+c1*sr, ai+c2*pi+c1*si
				tr, ti := s1*mr+s2*dr, s1*mi+s2*di
				ur, ui := s2*mr-s1*dr, s2*mi-s1*di
				y1.re[i], y1.im[i] = mul(fr+ti, fi-tr, w[0])
				y4.re[i], y4.im[i] = mul(fr-ti, fi+tr, w[3])
				y2.re[i], y2.im[i] = mul(gr+ui, gi-ur, w[1])
				y3.re[i], y3.im[i] = mul(gr-ui, gi+ur, w[2])
			}
		}
	}
}

func mul(re, im float64, w complex128) (float64, float64) {
	return re*real(w) - im*imag(w), re*imag(w) + im*real(w)
}

// radix does the pass for any factor, in p² operations.
func (ps *pass) radix(y, x []block) {
	p, m, s := ps.p, ps.m, ps.s
	for j := range m {
		for r := range p {
			w := complex(1, 0)
			if r > 0 {
				w = ps.w[j*(p-1)+r-1]
			}
			for q := range s {
				out := &y[s*(p*j+r)+q]
				*out = x[s*j+q]
				for k := 1; k < p; k++ {
					in := &x[s*(j+m*k)+q]
					c, d := real(ps.roots[k*r%p]), imag(ps.roots[k*r%p])
					for i := range lanes {
						out.re[i] += in.re[i]*c - in.im[i]*d
						out.im[i] += in.re[i]*d + in.im[i]*c
					}
				}
				for i := range lanes {
					out.re[i], out.im[i] = mul(out.re[i], out.im[i], w)
				}
			}
		}
	}
}
