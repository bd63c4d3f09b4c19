package prior

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// diffused evaluates the density of α x₀ + σ z for x₀ from the mixture
// Σ w_k N(μ_k, S_k), which is the mixture Σ w_k N(α μ_k, α²S_k + σ²I).
//
// Components that share a covariance S = V diag(λ) Vᵀ form a group and are
// evaluated together, by matrix products in the coordinates e = Vᵀ(x - α c)
// about the centre c of the group's means. There component k has mean α m_k
// and variances v = α²λ + σ².
type diffused struct {
	n, k    int
	groups  []group
	scratch scratch
}

type group struct {
	cov    *covariance
	first  int       // its components are first, first+1, ...
	logW   []float64 // log weights
	centre []float64 // c
	means  []float64 // row k is m_k = Vᵀ(μ_k - c)
}

// newDiffused returns the mixture of the rows of means, where equal pointers
// in covs, one for each row, are next to each other.
func newDiffused(logW []float64, means *mat.Dense, covs []*covariance) *diffused {
	k, n := means.Dims()
	d := &diffused{n: n, k: k}
	for i := 0; i < k; {
		j := i + 1
		for j < k && covs[j] == covs[i] {
			j++
		}
		g := group{cov: covs[i], first: i, logW: logW[i:j], centre: make([]float64, n)}
		for l := i; l < j; l++ {
			floats.AddScaled(g.centre, 1/float64(j-i), means.RawRowView(l))
		}
		shifted := make([]float64, 0, (j-i)*n)
		for l := i; l < j; l++ {
			shifted = append(shifted, means.RawRowView(l)...)
			floats.Sub(shifted[len(shifted)-n:], g.centre)
		}
		g.cov.decompose()
		if g.means = shifted; g.cov.v != nil {
			g.means = make([]float64, len(shifted))
			g.cov.toEigen(j-i, g.means, shifted)
		}
		d.groups = append(d.groups, g)
		i = j
	}
	return d
}

// fewColumns is the dimension up to which a plain loop over a row is faster
// than a call.
const fewColumns = 8

// rowBlock is the number of rows of a batch that are worked on together.
const rowBlock = 64

// pass is the workspace of one call: a block of rows at one (α, σ).
type pass struct {
	*diffused
	alpha, sigma float64
	invVar       []float64 // of each group: 1/v, n values
	scaled       []float64 // of each component: α m_k/v, n values
	bias         []float64 // of each component: log w_k - Σ(α²m_k²/v + log 2πv)/2

	e, f  []float64 // of each group: a block of rows of x and of v in its coordinates
	logit []float64 // of each row: log w_k N(x; k), k values
	resp  []float64 // of each row: the responsibilities r_k
	push  []float64 // of each row: the derivatives of r_k along v
	turn  []float64 // a block of rows
}

// start prepares a pass in *buf, a slice from d.scratch.
func (d *diffused) start(alpha, sigma float64, buf []float64) pass {
	n, k, groups := d.n, d.k, len(d.groups)
	take := func(n int) []float64 {
		s := buf[:n:n]
		buf = buf[n:]
		return s
	}
	p := pass{
		diffused: d, alpha: alpha, sigma: sigma,
		invVar: take(groups * n), scaled: take(k * n), bias: take(k),
		e: take(groups * rowBlock * n), f: take(groups * rowBlock * n), logit: take(rowBlock * k), resp: take(rowBlock * k),
		push: take(rowBlock * k), turn: take(rowBlock * n),
	}
	for i, g := range d.groups {
		inv := p.invVar[i*n : (i+1)*n]
		logNorm := 0.0
		for j, l := range g.cov.lambda {
			v := alpha*alpha*l + sigma*sigma
			inv[j] = 1 / v
			logNorm += math.Log(2 * math.Pi * v)
		}
		for l, w := range g.logW {
			m := g.means[l*n : (l+1)*n]
			s := p.scaled[(g.first+l)*n : (g.first+l+1)*n]
			sum := logNorm
			for j, v := range m {
				s[j] = alpha * v * inv[j]
				sum += alpha * v * s[j]
			}
			p.bias[g.first+l] = w - 0.5*sum
		}
	}
	return p
}

// size is the length of the buffer that start cuts up.
func (d *diffused) size() int {
	groups := len(d.groups)
	return groups*d.n + d.k*d.n + d.k + (2*groups+1)*rowBlock*d.n + 3*rowBlock*d.k
}

// rows takes rows lo, ..., lo+r-1 of x into the coordinates of each group and
// finds their logits, if relative without what a group has in common.
func (p *pass) rows(x *mat.Dense, lo, r int, relative bool) {
	n := p.n
	for i, g := range p.groups {
		e := p.block(p.e, i, r)
		p.coordinates(e, x, p.alpha, i, lo, r)
		k := len(g.logW)
		logit := p.logit[g.first:]
		kernel.GemmEpilogue(false, true, r, k, n, 1, e, n, p.scaled[g.first*n:], n, 0, logit, p.k,
			kernel.Epilogue[float64]{Bias: p.bias[g.first : g.first+k]})
		if relative {
			continue
		}
		inv := p.invVar[i*n : (i+1)*n]
		for l := range r {
			quad := 0.0
			for j, v := range e[l*n : (l+1)*n] {
				quad += v * v * inv[j]
			}
			floats.AddConst(-0.5*quad, logit[l*p.k:l*p.k+k])
		}
	}
}

func (d *diffused) logProb(dst []float64, x *mat.Dense, alpha, sigma float64) {
	if r, c := x.Dims(); r != len(dst) || c != d.n {
		panic(fmt.Sprintf("prior: dst has length %d, x is %d×%d, want %d columns and as many rows", len(dst), r, c, d.n))
	}
	buf := d.scratch.get(d.size())
	defer d.scratch.put(buf)
	p := d.start(alpha, sigma, *buf)
	for lo := 0; lo < len(dst); lo += rowBlock {
		r := min(rowBlock, len(dst)-lo)
		p.rows(x, lo, r, false)
		kernel.LogSumExpRows(dst[lo:lo+r], r, d.k, p.logit, d.k)
	}
}

func (d *diffused) score(dst, x *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, d.n)
	d.evaluate(dst, x, nil, alpha, sigma, score)
}

func (d *diffused) denoise(dst, x *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, d.n)
	d.evaluate(dst, x, nil, alpha, sigma, denoised)
}

func (d *diffused) vjp(dst, x, v *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, d.n)
	checkRows(dst, v, d.n)
	d.evaluate(dst, x, v, alpha, sigma, scoreVJP)
}

type quantity int

const (
	score    quantity = iota // Σ r_k (α m_k - e)/v
	denoised                 // Σ r_k (c + (αλe + σ²m_k)/v)
	scoreVJP                 // -Σ r_k f/v + Σ P_k (α m_k - e)/v, f = Vᵀv, P_k the derivative of r_k
)

func (d *diffused) evaluate(dst, x, v *mat.Dense, alpha, sigma float64, what quantity) {
	buf := d.scratch.get(d.size())
	defer d.scratch.put(buf)
	p := d.start(alpha, sigma, *buf)
	rows, n := x.RawMatrix().Rows, d.n
	direct := len(d.groups) == 1 && d.groups[0].cov.v == nil && alpha > 1e-100
	for lo := 0; lo < rows; lo += rowBlock {
		r := min(rowBlock, rows-lo)
		p.rows(x, lo, r, len(d.groups) == 1)
		kernel.SoftmaxRows(r, d.k, p.resp, d.k, p.logit, d.k)
		if what == scoreVJP {
			p.pushforward(v, lo, r)
		}
		if direct {
			p.direct(dst, lo, r, what)
			continue
		}
		for i, g := range d.groups {
			e := p.block(p.e, i, r)
			switch what {
			case score:
				p.scaleByMass(e, -1, p.resp, i, r)
				p.addMeans(e, alpha, p.resp, i, r)
				p.emit(dst, e, i, lo, r)
			case denoised:
				for l := range r {
					row := e[l*n : (l+1)*n]
					for j, lambda := range g.cov.lambda {
						row[j] *= alpha * lambda
					}
				}
				p.scaleByMass(e, 1, p.resp, i, r)
				p.addMeans(e, sigma*sigma, p.resp, i, r)
				p.emit(dst, e, i, lo, r)
				for l := range r {
					floats.AddScaled(dst.RawRowView(lo+l), p.mass(p.resp, i, l), g.centre)
				}
			case scoreVJP:
				f := p.block(p.f, i, r)
				p.scaleByMass(f, -1, p.resp, i, r)
				if len(d.groups) > 1 { // else Σ P_k = 0
					p.scaleByMass(e, -1, p.push, i, r)
					floats.Add(f, e)
				}
				p.addMeans(f, alpha, p.push, i, r)
				p.emit(dst, f, i, lo, r)
			}
		}
	}
}

// direct is what evaluate does with one group whose covariance is diagonal:
// the sum over components is a product with scaled, α m_k/v, and the rest is
// one pass over the rows.
func (p *pass) direct(dst *mat.Dense, lo, r int, what quantity) {
	g, n := &p.groups[0], p.n
	weights, factor, e, gain := p.resp, 1.0, p.e, p.turn[:n]
	for j, inv := range p.invVar[:n] {
		gain[j] = -inv
	}
	switch what {
	case denoised:
		factor = p.sigma * p.sigma / p.alpha
		for j, lambda := range g.cov.lambda {
			gain[j] *= -p.alpha * lambda
		}
	case scoreVJP:
		weights, e = p.push, p.f
	}
	raw := dst.RawMatrix()
	to := raw.Data[lo*raw.Stride:]
	kernel.Gemm(false, false, r, n, p.k, factor, weights, p.k, p.scaled, n, 0, to, raw.Stride)
	for l := range r {
		row := to[l*raw.Stride:][:n]
		kernel.AddMul(row, gain, e[l*n:][:n])
		if what == denoised {
			kernel.Add(row, row, g.centre)
		}
	}
}

// pushforward takes rows of v into the coordinates of each group and finds
// the derivatives P_k = r_k (g_k·v - Σ r_l g_l·v) of the responsibilities
// along v, where g_k = (α m_k - e)/v is the score of component k.
func (p *pass) pushforward(v *mat.Dense, lo, r int) {
	n := p.n
	for i, g := range p.groups {
		e, f := p.block(p.e, i, r), p.block(p.f, i, r)
		p.coordinates(f, v, 0, i, lo, r)
		push := p.push[g.first:]
		k := len(g.logW)
		kernel.Gemm(false, true, r, k, n, 1, f, n, p.scaled[g.first*n:], n, 0, push, p.k)
		inv := p.invVar[i*n : (i+1)*n]
		for l := range r {
			dot := 0.0
			for j, w := range f[l*n : (l+1)*n] {
				dot += e[l*n+j] * w * inv[j]
			}
			floats.AddConst(-dot, push[l*p.k:l*p.k+k])
		}
	}
	kernel.SoftmaxBackwardRows(r, p.k, p.push, p.push, p.resp, p.k)
}

// block returns the r rows of group i in e or f.
func (p *pass) block(e []float64, i, r int) []float64 { return e[i*rowBlock*p.n:][:r*p.n] }

// coordinates sets e to Vᵀ(x - shift c) for rows lo, ..., lo+r-1 of x.
func (p *pass) coordinates(e []float64, x *mat.Dense, shift float64, i, lo, r int) {
	g, n := &p.groups[i], p.n
	to := e
	if g.cov.v != nil {
		to = p.turn[:r*n]
	}
	for l := range r {
		row, from := to[l*n:(l+1)*n], x.RawRowView(lo+l)
		if n > fewColumns {
			copy(row, from)
			kernel.Axpy(row, -shift, g.centre)
			continue
		}
		for j, c := range g.centre {
			row[j] = from[j] - shift*c
		}
	}
	if g.cov.v != nil {
		g.cov.toEigen(r, e, to)
	}
}

// mass returns the sum of row l of the weights w (r×k) over group i.
func (p *pass) mass(w []float64, i, l int) float64 {
	g := &p.groups[i]
	sum := 0.0
	for _, v := range w[l*p.k+g.first:][:len(g.logW)] {
		sum += v
	}
	return sum
}

// scaleByMass multiplies row l of e by f times the mass of group i in row l
// of w, which are the responsibilities if there is only one group.
func (p *pass) scaleByMass(e []float64, f float64, w []float64, i, r int) {
	if len(p.groups) == 1 {
		floats.Scale(f, e)
		return
	}
	for l := range r {
		mass, row := f*p.mass(w, i, l), e[l*p.n:(l+1)*p.n]
		if p.n > fewColumns {
			floats.Scale(mass, row)
			continue
		}
		for j := range row {
			row[j] *= mass
		}
	}
}

// addMeans adds f Σ w_k m_k over group i to the rows of e.
func (p *pass) addMeans(e []float64, f float64, w []float64, i, r int) {
	if g := &p.groups[i]; len(g.logW) > 1 { // else m = 0
		kernel.Gemm(false, false, r, p.n, len(g.logW), f, w[g.first:], p.k, g.means, p.n, 1, e, p.n)
	}
}

// emit divides the rows of e by v and adds V e_l to rows lo, ..., lo+r-1 of
// dst, or sets them if the group is the first.
func (p *pass) emit(dst *mat.Dense, e []float64, i, lo, r int) {
	n := p.n
	inv := p.invVar[i*n : (i+1)*n]
	v := p.groups[i].cov.v
	for l := range r {
		row := e[l*n : (l+1)*n]
		switch {
		case v == nil && n <= fewColumns:
			to := dst.RawRowView(lo + l)
			for j, u := range row {
				if i == 0 {
					to[j] = 0
				}
				to[j] += u * inv[j]
			}
		case v == nil && i == 0:
			floats.MulTo(dst.RawRowView(lo+l), row, inv)
		case v == nil:
			floats.Mul(row, inv)
			floats.Add(dst.RawRowView(lo+l), row)
		default:
			floats.Mul(row, inv)
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
	kernel.Gemm(false, true, r, n, n, 1, e, n, v, n, beta, raw.Data[lo*raw.Stride:], raw.Stride)
}
