package prior

import (
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// diagonal is what a pass has for a mixture whose components share one
// diagonal covariance. With e = x - αc, all quantities are
//
//	Σ w_k out_k + gain ⊙ e
//
// for weights w_k, the responsibilities or their derivatives: one product of
// matrices and one pass over the rows.
type diagonal struct {
	out         []float64 // a row for each component
	gain, shift []float64 // gain and αc, repeated over a stretch of rows
	from        []float64 // e, which is x itself if c = 0
	ld          int       // the distance of the rows of from
}

// stretch is the least number of elements of rows that lie next to each other
// that are worth a call.
const stretch = 512

func (d *diffused) isDiagonal() bool { return len(d.groups) == 1 && d.groups[0].cov.v == nil }

// stretchRows is the number of rows in gain and shift.
func (d *diffused) stretchRows() int { return max(1, min(rowBlock, stretch/d.n)) }

// startDiagonal prepares what the quantity of the pass wants.
func (p *pass) startDiagonal(take func(n int) []float64) {
	g, n := &p.groups[0], p.n
	size := p.stretchRows() * n
	p.out, p.gain = p.scaled, take(size)
	for j, inv := range p.invVar[:n] {
		p.gain[j] = -inv
	}
	if p.what == denoised {
		p.out = take(p.k * n)
		share := p.turn[:n] // σ²/v
		kernel.Scale(share, p.sigma*p.sigma, p.invVar[:n])
		for i := 0; i < len(p.out); i += n {
			kernel.Mul(p.out[i:i+n], g.means[i:i+n], share)
			kernel.Add(p.out[i:i+n], p.out[i:i+n], g.centre)
		}
		for j, lambda := range g.cov.lambda {
			p.gain[j] *= -p.alpha * lambda
		}
	}
	repeat(p.gain, n)
	if p.alpha != 0 && floats.Norm(g.centre, 1) != 0 {
		p.shift = take(size)
		floats.ScaleTo(p.shift[:n], p.alpha, g.centre)
		repeat(p.shift, n)
	}
}

// diagonalSize is the number of elements that startDiagonal takes at most.
func (d *diffused) diagonalSize() int { return 2*d.stretchRows()*d.n + d.k*d.n }

// repeat repeats the first n elements of x.
func repeat(x []float64, n int) {
	for i := n; i < len(x); i *= 2 {
		copy(x[i:], x[:i])
	}
}

// stretchOf is the number of elements of rows, ld apart, that are worked on in
// one call.
func (p *pass) stretchOf(ld int) int {
	if ld == p.n {
		return len(p.gain)
	}
	return p.n
}

// centre finds e for rows lo, ..., lo+r-1 of x.
func (p *pass) centre(x *mat.Dense, lo, r int) {
	raw := x.RawMatrix()
	p.from, p.ld = raw.Data[lo*raw.Stride:], raw.Stride
	if p.shift == nil {
		return
	}
	n, step := p.n, p.stretchOf(p.ld)
	for at := 0; at < r*n; at += step {
		size := min(step, r*n-at)
		kernel.Sub(p.e[at:][:size], p.from[at/n*p.ld:][:size], p.shift[:size])
	}
	p.from, p.ld = p.e, n
}

// emitDiagonal sets rows lo, ..., lo+r-1 of dst to the quantity of the pass.
func (p *pass) emitDiagonal(dst, v *mat.Dense, lo, r int) {
	weights, e, ld := p.resp, p.from, p.ld
	if v != nil {
		raw := v.RawMatrix()
		weights, e, ld = p.push, raw.Data[lo*raw.Stride:], raw.Stride
		kernel.Gemm(false, true, p.k, r, p.n, 1, p.scaled, p.n, e, ld, 0, p.push, rowBlock)
		kernel.SoftmaxBackwardColumns(p.k, r, p.push, p.resp, rowBlock)
	}
	raw, n := dst.RawMatrix(), p.n
	to, step := raw.Data[lo*raw.Stride:], n
	if raw.Stride == n {
		step = p.stretchOf(ld)
	}
	for at := 0; at < r*n; at += step {
		size := min(step, r*n-at)
		kernel.Mul(to[at/n*raw.Stride:][:size], p.gain[:size], e[at/n*ld:][:size])
	}
	kernel.Gemm(true, false, r, n, p.k, 1, weights, rowBlock, p.out, n, 1, to, raw.Stride)
}
