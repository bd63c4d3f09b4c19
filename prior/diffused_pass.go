package prior

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// rowBlock is the number of rows of a batch that are worked on together.
const rowBlock = 64

// pass is the workspace of one call: a block of rows at one (α, σ).
//
// What there is of each row and component, such as the responsibilities, is
// kept in matrices with a row of length rowBlock for each component: softmax
// and its derivative then go down columns, without sums within a vector.
type pass struct {
	*diffused
	alpha, sigma float64
	invVar       []float64 // of each group: 1/v, n values
	scaled       []float64 // of each component: α m_k/v, n values
	bias         []float64 // of each component: log w_k - Σ(α²m_k²/v + log 2πv)/2

	e    []float64 // of each group: the rows of x in its coordinates
	f    []float64 // of each group: those of v, or of the result
	resp []float64 // the logits log w_k N(x; k), then the responsibilities r_k
	push []float64 // the derivatives of r_k along v
	turn []float64 // rows on their way to other coordinates
	sums []float64 // of each row

	what     quantity
	diagonal // if isDiagonal
}

// quantity is what is computed from the responsibilities.
type quantity int

const (
	score    quantity = iota // Σ r_k (α m_k - e)/v
	denoised                 // Σ r_k (c + (αλe + σ²m_k)/v)
	hessian                  // -Σ r_k f/v + Σ P_k (α m_k - e)/v, f = Vᵀv, P_k the derivative of r_k
)

// start prepares a pass in buf, a slice of length size.
func (d *diffused) start(what quantity, alpha, sigma float64, buf []float64) pass {
	n, k, groups := d.n, d.k, len(d.groups)
	take := func(n int) []float64 {
		s := buf[:n:n]
		buf = buf[n:]
		return s
	}
	p := pass{
		diffused: d, what: what, alpha: alpha, sigma: sigma,
		invVar: take(groups * n), scaled: take(k * n), bias: take(k),
		f: take(groups * rowBlock * n), push: take(rowBlock * k), turn: take(rowBlock * n), sums: take(rowBlock),
	}
	p.keep(take(d.keptSize()))
	for i, g := range d.groups {
		inv := p.invVar[i*n : (i+1)*n]
		logNorm := 0.0
		for j, l := range g.cov.lambda {
			v := alpha*alpha*l + sigma*sigma
			inv[j] = 1 / v
			logNorm += math.Log(2 * math.Pi * v)
		}
		gain := p.turn[:n]
		kernel.Scale(gain, alpha, inv)
		for l, w := range g.logW {
			m := g.means[l*n : (l+1)*n]
			s := p.scaled[(g.first+l)*n : (g.first+l+1)*n]
			kernel.Mul(s, m, gain)
			p.bias[g.first+l] = w - 0.5*(logNorm+alpha*kernel.Dot(m, s))
		}
	}
	if d.isDiagonal() {
		p.startDiagonal(take)
	}
	return p
}

// size is the length of the buffer that start cuts up.
func (d *diffused) size() int {
	groups := len(d.groups)
	return groups*d.n + d.k*d.n + d.k + (groups+1)*rowBlock*d.n + rowBlock*(d.k+1) + d.keptSize() + d.diagonalSize()
}

// keep makes buf the memory of what the derivative needs of a block of rows.
func (p *pass) keep(buf []float64) {
	split := len(p.groups) * rowBlock * p.n
	p.e, p.resp = buf[:split:split], buf[split:]
}

func (d *diffused) keptSize() int { return rowBlock * (len(d.groups)*d.n + d.k) }

// logits takes rows lo, ..., lo+r-1 of x into the coordinates of each group
// and finds log w_k N(x; k) less the bias, if relative also without what all k
// have in common.
func (p *pass) logits(x *mat.Dense, lo, r int, relative bool) {
	n := p.n
	for i, g := range p.groups {
		e, ld, k := p.rows(p.e, i, r), n, len(g.logW)
		if p.isDiagonal() {
			p.centre(x, lo, r)
			e, ld = p.from, p.ld
		} else {
			p.coordinates(e, x, p.alpha, i, lo, r)
		}
		logit := p.resp[g.first*rowBlock:]
		kernel.Gemm(false, true, k, r, n, 1, p.scaled[g.first*n:], n, e, ld, 0, logit, rowBlock)
		if relative && len(p.groups) == 1 {
			return
		}
		quad, inv := p.sums[:r], p.invVar[i*n:(i+1)*n]
		for l := range quad {
			quad[l] = 0
			for j, v := range e[l*ld:][:n] {
				quad[l] -= 0.5 * v * v * inv[j]
			}
		}
		for l := range k {
			kernel.Add(logit[l*rowBlock:][:r], logit[l*rowBlock:][:r], quad)
		}
	}
}

// responsibilities finds those of the components for rows lo, ..., lo+r-1
// of x.
func (p *pass) responsibilities(x *mat.Dense, lo, r int) {
	p.logits(x, lo, r, true)
	kernel.SoftmaxColumns(p.k, r, p.resp, rowBlock, p.bias)
}

// logProb sets dst to the log densities at the rows of x from lo.
func (p *pass) logProb(dst []float64, x *mat.Dense, lo int) {
	r := len(dst)
	p.logits(x, lo, r, false)
	kernel.Transpose(p.k, r, p.push, p.k, p.resp, rowBlock)
	for l := range r {
		kernel.Add(p.push[l*p.k:][:p.k], p.push[l*p.k:][:p.k], p.bias)
	}
	kernel.LogSumExpRows(dst, r, p.k, p.push, p.k)
}

// emit sets rows lo, ..., lo+r-1 of dst to the quantity of the pass, or, if v
// is not nil, to the derivative of the score along the rows of v.
func (p *pass) emit(dst, v *mat.Dense, lo, r int) {
	if p.isDiagonal() {
		p.emitDiagonal(dst, v, lo, r)
		return
	}
	what := p.what
	if v != nil {
		what = hessian
		p.pushforward(v, lo, r)
	}
	n := p.n
	for i, g := range p.groups {
		e, f := p.rows(p.e, i, r), p.rows(p.f, i, r)
		switch what {
		case score:
			copy(f, e)
			p.scaleByMass(f, -1, p.resp, i, r)
			p.addMeans(f, p.alpha, p.resp, i, r)
			p.divide(dst, f, i, lo, r)
		case denoised:
			for l := range r {
				for j, lambda := range g.cov.lambda {
					f[l*n+j] = p.alpha * lambda * e[l*n+j]
				}
			}
			p.scaleByMass(f, 1, p.resp, i, r)
			p.addMeans(f, p.sigma*p.sigma, p.resp, i, r)
			p.divide(dst, f, i, lo, r)
			for l, m := range p.mass(p.resp, i, r) {
				to := dst.RawRowView(lo + l)
				for j, c := range g.centre {
					to[j] += m * c
				}
			}
		case hessian:
			p.scaleByMass(f, -1, p.resp, i, r)
			if len(p.groups) > 1 { // else Σ P_k = 0
				for l, m := range p.mass(p.push, i, r) {
					for j := l * n; j < (l+1)*n; j++ {
						f[j] -= m * e[j]
					}
				}
			}
			p.addMeans(f, p.alpha, p.push, i, r)
			p.divide(dst, f, i, lo, r)
		}
	}
}

// pushforward takes rows of v into the coordinates of each group and finds
// the derivatives P_k = r_k (g_k·v - Σ r_l g_l·v) of the responsibilities
// along v, where g_k = (α m_k - e)/v is the score of component k. What the
// g_k·v have in common does not matter, so if there is one group, e does not.
func (p *pass) pushforward(v *mat.Dense, lo, r int) {
	n := p.n
	for i, g := range p.groups {
		e, f := p.rows(p.e, i, r), p.rows(p.f, i, r)
		p.coordinates(f, v, 0, i, lo, r)
		push, k := p.push[g.first*rowBlock:], len(g.logW)
		kernel.Gemm(false, true, k, r, n, 1, p.scaled[g.first*n:], n, f, n, 0, push, rowBlock)
		if len(p.groups) == 1 {
			break
		}
		inv, dots := p.invVar[i*n:(i+1)*n], p.sums[:r]
		for l := range dots {
			dots[l] = 0
			for j, w := range f[l*n : (l+1)*n] {
				dots[l] += e[l*n+j] * w * inv[j]
			}
		}
		for l := range k {
			kernel.Sub(push[l*rowBlock:][:r], push[l*rowBlock:][:r], dots)
		}
	}
	kernel.SoftmaxBackwardColumns(p.k, r, p.push, p.resp, rowBlock)
}

// rows returns the r rows of group i in e or f.
func (p *pass) rows(e []float64, i, r int) []float64 { return e[i*rowBlock*p.n:][:r*p.n] }

// coordinates sets e to Vᵀ(x - shift c) for rows lo, ..., lo+r-1 of x.
func (p *pass) coordinates(e []float64, x *mat.Dense, shift float64, i, lo, r int) {
	g, n := &p.groups[i], p.n
	to := e
	if g.cov.v != nil {
		to = p.turn[:r*n]
	}
	for l := range r {
		row, from := to[l*n:(l+1)*n], x.RawRowView(lo+l)
		for j, c := range g.centre {
			row[j] = from[j] - shift*c
		}
	}
	if g.cov.v != nil {
		g.cov.toEigen(r, e, to)
	}
}

// mass returns the sums of the weights w over group i, one for each row.
func (p *pass) mass(w []float64, i, r int) []float64 {
	g, sums := &p.groups[i], p.sums[:r]
	clear(sums)
	for l := range g.logW {
		kernel.Add(sums, sums, w[(g.first+l)*rowBlock:][:r])
	}
	return sums
}

// scaleByMass multiplies row l of f by c times the mass of group i in the
// weights w, which are the responsibilities if there is only one group.
func (p *pass) scaleByMass(f []float64, c float64, w []float64, i, r int) {
	if len(p.groups) == 1 {
		kernel.Scale(f, c, f)
		return
	}
	for l, m := range p.mass(w, i, r) {
		row := f[l*p.n : (l+1)*p.n]
		for j := range row {
			row[j] *= c * m
		}
	}
}

// addMeans adds c Σ w_k m_k over group i to the rows of f.
func (p *pass) addMeans(f []float64, c float64, w []float64, i, r int) {
	if g := &p.groups[i]; len(g.logW) > 1 { // else m = 0
		kernel.Gemm(true, false, r, p.n, len(g.logW), c, w[g.first*rowBlock:], rowBlock, g.means, p.n, 1, f, p.n)
	}
}

// divide divides the rows of f by v and adds V f_l to rows lo, ..., lo+r-1 of
// dst, or sets them if the group is the first.
func (p *pass) divide(dst *mat.Dense, f []float64, i, lo, r int) {
	n := p.n
	inv := p.invVar[i*n : (i+1)*n]
	v := p.groups[i].cov.v
	for l := range r {
		row := f[l*n : (l+1)*n]
		for j, w := range inv {
			row[j] *= w
		}
		if v != nil {
			continue
		}
		to := dst.RawRowView(lo + l)
		if i == 0 {
			copy(to, row)
			continue
		}
		for j, w := range row {
			to[j] += w
		}
	}
	if v == nil {
		return
	}
	beta := 1.0
	if i == 0 {
		beta = 0
	}
	raw := dst.RawMatrix()
	kernel.Gemm(false, true, r, n, n, 1, f, n, v, n, beta, raw.Data[lo*raw.Stride:], raw.Stride)
}
