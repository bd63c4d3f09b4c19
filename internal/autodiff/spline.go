package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Spline is a family of monotone rational-quadratic splines (Durkan, Bekasov,
// Murray and Papamakarios 2019): on [-Bound, Bound] a spline of Bins pieces,
// outside the identity, with slope 1 where they meet.
//
// A spline has 3 Bins - 1 unconstrained parameters: Bins for the widths of
// the pieces, Bins for their heights, and Bins - 1 for the slopes at the
// inner knots. With p = softmax(widths), w = MinWidth + (1 - Bins MinWidth) p
// are the widths as fractions of 2 Bound, likewise the heights; a slope is
// MinSlope + softplus(parameter).
type Spline struct {
	Bins                          int
	Bound                         float64
	MinWidth, MinHeight, MinSlope float64
}

// Params returns the number of parameters of one spline.
func (s *Spline) Params() int { return 3*s.Bins - 1 }

// Spline applies a spline of its own to each element of x (r×c) and returns
// y and log dy/dx, both r×c. Row i of raw has the parameters of the c splines
// one after the other. The tape keeps s until the next Reset.
func (t *Tape[T]) Spline(s *Spline, x, raw Var) (y, logSlope Var) {
	r, c := t.Dims(x)
	if rr, cr := t.Dims(raw); rr != r || cr != c*s.Params() {
		t.shapePanic("Spline", x, raw)
	}
	n, K := r*c, s.Bins
	v, out := t.record(spline[T]{}, node[T]{a: x, b: raw, rows: r, cols: c, spec: s})
	// aux holds the place xi in the bin, aux2 the softmaxes of widths and
	// heights, aux3 the slopes, idx the bin or -1 outside.
	out.aux, out.aux2, out.aux3, out.idx = t.floats.take(n), t.floats.take(n*2*K), t.floats.take(n*(K-1)), t.ints.take(n)
	batch := newSplineBatch(s, out.aux2, out.aux3)
	batch.constrain(t.nodes[raw].val)
	val, xi, bin := out.val, out.aux, out.idx
	// The log of the slope is a second result, whose gradient is read by the
	// backward pass of the first.
	l, second := t.record(companion[T]{}, node[T]{a: x, b: raw, rows: r, cols: c})
	for i, u := range t.nodes[x].val {
		val[i], second.val[i], xi[i], bin[i] = batch.evaluate(i, u)
	}
	kernel.Log(second.val, second.val)
	return v, l
}

// companion is a second result of the operation recorded just before it. That
// one runs backward if either result has a gradient.
type companion[T kernel.Float] struct{}

func (companion[T]) backward(t *Tape[T], n *node[T]) { t.addTo(n.root - 1) }

// splineBatch is a batch of splines with constrained parameters. The width of
// a bin is w0 + w1 p where p is its softmax, the height h0 + h1 p.
type splineBatch[T kernel.Float] struct {
	bins                         int
	bound, w0, w1, h0, h1, least T
	frac, slope                  []T
}

func newSplineBatch[T kernel.Float](s *Spline, frac, slope []T) *splineBatch[T] {
	K, B := float64(s.Bins), 2*s.Bound
	return &splineBatch[T]{
		bins: s.Bins, bound: T(s.Bound), least: T(s.MinSlope),
		w0: T(B * s.MinWidth), w1: T(B * (1 - K*s.MinWidth)),
		h0: T(B * s.MinHeight), h1: T(B * (1 - K*s.MinHeight)),
		frac: frac, slope: slope,
	}
}

// constrain computes the softmaxes and slopes.
func (s *splineBatch[T]) constrain(raw []T) {
	K := s.bins
	P := 3*K - 1
	for i := range len(raw) / P {
		p, f := raw[i*P:(i+1)*P], s.frac[2*i*K:2*(i+1)*K]
		w, h := p[:K], p[K:2*K]
		topW, topH := w[0], h[0]
		for j := 1; j < K; j++ {
			topW, topH = max(topW, w[j]), max(topH, h[j])
		}
		for j := range K {
			f[j], f[K+j] = w[j]-topW, h[j]-topH
		}
		copy(s.slope[i*(K-1):(i+1)*(K-1)], p[2*K:])
	}
	kernel.Exp(s.frac, s.frac)
	for i := range len(s.frac) / (2 * K) {
		f := s.frac[2*i*K : 2*(i+1)*K]
		w, h := f[:K], f[K:]
		var sumW, sumH T
		for j := range K {
			sumW += w[j]
			sumH += h[j]
		}
		sumW, sumH = 1/sumW, 1/sumH
		for j := range K {
			w[j] *= sumW
			h[j] *= sumH
		}
	}
	kernel.Activate(kernel.Softplus, s.slope, s.slope)
}

// bin is a piece of a spline: its corner (x, y), width, height and slopes.
type bin[T kernel.Float] struct{ x, y, w, h, d0, d1 T }

// at returns bin k of spline i but for its corner.
func (s *splineBatch[T]) at(i, k int) (b bin[T]) {
	K := s.bins
	b.w = s.w0 + s.w1*s.frac[2*i*K+k]
	b.h = s.h0 + s.h1*s.frac[(2*i+1)*K+k]
	b.d0, b.d1 = 1, 1
	if k > 0 {
		b.d0 = s.least + s.slope[i*(K-1)+k-1]
	}
	if k < K-1 {
		b.d1 = s.least + s.slope[i*(K-1)+k]
	}
	return b
}

// find returns the bin of spline i that holds the x or the y.
func (s *splineBatch[T]) find(i int, u T, isY bool) (int, bin[T]) {
	K := s.bins
	ws, hs := s.frac[2*i*K:(2*i+1)*K], s.frac[(2*i+1)*K:(2*i+2)*K]
	x, y, k := -s.bound, -s.bound, 0
	for ; k < K-1; k++ {
		x1, y1 := x+s.w0+s.w1*ws[k], y+s.h0+s.h1*hs[k]
		if isY && u < y1 || !isY && u < x1 {
			break
		}
		x, y = x1, y1
	}
	b := s.at(i, k)
	b.x, b.y = x, y
	return k, b
}

// evaluate returns the value and the slope of spline i at x, the place xi in the
// bin and the number of the bin, -1 outside of the bounds.
func (s *splineBatch[T]) evaluate(i int, x T) (y, slope, xi T, k int) {
	if !(x > -s.bound && x < s.bound) {
		return x, 1, 0, -1
	}
	k, b := s.find(i, x, false)
	m := b.h / b.w // the s of the paper
	e := b.d0 + b.d1 - 2*m
	xi = (x - b.x) / b.w
	q := xi * (1 - xi)
	den := m + e*q
	y = b.y + b.h*(m*xi*xi+b.d0*q)/den                                      // (4)
	slope = m * m * (b.d1*xi*xi + 2*m*q + b.d0*(1-xi)*(1-xi)) / (den * den) // (5)
	return y, slope, xi, k
}

// solve returns the x at which spline i is y.
func (s *splineBatch[T]) solve(i int, y T) T {
	if !(y > -s.bound && y < s.bound) {
		return y
	}
	_, b := s.find(i, y, true)
	m := b.h / b.w
	e := b.d0 + b.d1 - 2*m
	// The stable root of (29).
	eta := y - b.y
	qa := b.h*(m-b.d0) + eta*e
	qb := b.h*b.d0 - eta*e
	qc := -m * eta
	root := T(math.Sqrt(float64(max(0, qb*qb-4*qa*qc))))
	xi := min(max(0, 2*qc/(-qb-root)), 1)
	return b.x + xi*b.w
}

// InvertSplines replaces each y of v by the x at which a spline is y. The
// parameters of the splines stand in raw, one after the other. work is as long
// as raw.
func InvertSplines[T kernel.Float](s *Spline, v, raw, work []T) {
	fractions := 2 * s.Bins * len(v)
	batch := newSplineBatch(s, work[:fractions], work[fractions:])
	batch.constrain(raw)
	for i, y := range v {
		v[i] = batch.solve(i, y)
	}
}

type spline[T kernel.Float] struct{}

// backward differentiates y = f(x, θ) and l = log f'(x).
func (spline[T]) backward(t *Tape[T], out *node[T]) {
	s := out.spec.(*Spline)
	K, P := s.Bins, s.Params()
	sb := newSplineBatch(s, out.aux2, out.aux3)
	// The derivative of softplus where its value is y is 1 - e⁻ʸ.
	rise := t.floats.take(len(sb.slope))
	kernel.Scale(rise, -1, sb.slope)
	kernel.Expm1(rise, rise)
	gx, graw := t.addTo(out.a), t.addTo(out.b)
	var gl []T // the gradient at l, if it has one
	if l := t.nodes[out.root+1]; l.has {
		gl = l.grad
	}
	for i, k := range out.idx {
		ybar, lbar := out.grad[i], T(0)
		if gl != nil {
			lbar = gl[i]
		}
		if k < 0 {
			if gx != nil {
				gx[i] += ybar
			}
			continue
		}
		b := sb.at(i, k)
		d := b.differentiate(out.aux[i])
		if gx != nil {
			gx[i] += ybar*d.slope + lbar*d.lxi/b.w
		}
		if graw == nil {
			continue
		}
		// Cotangents of xi, m, h and of the corner; then those of the sizes.
		xi := out.aux[i]
		xibar := ybar*d.yxi + lbar*d.lxi
		mbar := ybar*d.ym + lbar*d.lm
		wbar := -(xibar*xi + mbar*b.h/b.w) / b.w
		hbar := ybar*d.yh + mbar/b.w
		g := graw[i*P : (i+1)*P]
		f := sb.frac[2*i*K : 2*(i+1)*K]
		pullSizes(g[:K], f[:K], k, -xibar/b.w, wbar, sb.w1)
		pullSizes(g[K:2*K], f[K:], k, ybar, hbar, sb.h1)
		if k > 0 {
			g[2*K+k-1] -= (ybar*d.yd0 + lbar*d.ld0) * rise[i*(K-1)+k-1]
		}
		if k < K-1 {
			g[2*K+k] -= (ybar*d.yd1 + lbar*d.ld1) * rise[i*(K-1)+k]
		}
	}
}

// pullSizes adds to g the gradient at the parameters of the sizes (widths or
// heights) of the bins of a spline, from the cotangents of the corner and of
// the size of bin k: the corner is the sum of the sizes before it. The sizes
// are scale softmax plus a constant, the softmax being f.
func pullSizes[T kernel.Float](g, f []T, k int, corner, size, scale T) {
	corner *= scale
	size *= scale
	var sum T
	for _, p := range f[:k] {
		sum += p
	}
	mean := sum*corner + f[k]*size
	for j, p := range f {
		c := -mean
		if j < k {
			c += corner
		} else if j == k {
			c += size
		}
		g[j] += p * c
	}
}

// slopes are the derivatives of y and of l = log dy/dx with respect to the
// place xi in the bin, the mean slope m, the height and the slopes at the ends.
type slopes[T kernel.Float] struct {
	slope                 T // dy/dx
	yxi, ym, yh, yd0, yd1 T
	lxi, lm, ld0, ld1     T
}

func (b bin[T]) differentiate(xi T) (d slopes[T]) {
	m := b.h / b.w
	one := 1 - xi
	q, dq := xi*one, 1-2*xi
	e := b.d0 + b.d1 - 2*m
	num, den := m*xi*xi+b.d0*q, m+e*q        // y = y_k + h num/den
	top := b.d1*xi*xi + 2*m*q + b.d0*one*one // l = 2 log m + log top - 2 log den
	a, c := b.h/den, b.h*num/(den*den)
	d.yxi = a*(2*m*xi+b.d0*dq) - c*e*dq
	d.ym = a*xi*xi - c*(1-2*q)
	d.yh = num / den
	d.yd0 = (a - c) * q
	d.yd1 = -c * q
	u, v := 1/top, 2/den
	d.lxi = u*(2*b.d1*xi+2*m*dq-2*b.d0*one) - v*e*dq
	d.lm = 2/m + 2*u*q - v*(1-2*q)
	d.ld0 = u*one*one - v*q
	d.ld1 = u*xi*xi - v*q
	d.slope = m * m * top / (den * den)
	return d
}
