package prior

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
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

func (d *diffused) logProb(dst []float64, x *mat.Dense, alpha, sigma float64) {
	if r, c := x.Dims(); r != len(dst) || c != d.n {
		panic(fmt.Sprintf("prior: dst has length %d, x is %d×%d, want %d columns and as many rows", len(dst), r, c, d.n))
	}
	buf := d.scratch.get(d.size())
	defer d.scratch.put(buf)
	p := d.start(score, alpha, sigma, *buf)
	for lo := 0; lo < len(dst); lo += rowBlock {
		p.logProb(dst[lo:min(len(dst), lo+rowBlock)], x, lo)
	}
}

func (d *diffused) score(dst, x *mat.Dense, alpha, sigma float64) {
	d.evaluate(dst, x, nil, alpha, sigma, score)
}

func (d *diffused) denoise(dst, x *mat.Dense, alpha, sigma float64) {
	d.evaluate(dst, x, nil, alpha, sigma, denoised)
}

func (d *diffused) vjp(dst, x, v *mat.Dense, alpha, sigma float64) {
	checkRows(dst, v, d.n)
	d.evaluate(dst, x, v, alpha, sigma, score)
}

func (d *diffused) evaluate(dst, x, v *mat.Dense, alpha, sigma float64, what quantity) {
	checkRows(dst, x, d.n)
	buf := d.scratch.get(d.size())
	defer d.scratch.put(buf)
	p := d.start(what, alpha, sigma, *buf)
	rows := x.RawMatrix().Rows
	for lo := 0; lo < rows; lo += rowBlock {
		r := min(rowBlock, rows-lo)
		p.responsibilities(x, lo, r)
		p.emit(dst, v, lo, r)
	}
}

// linearized is the score at given points and its derivative there, which
// shares the coordinates and the responsibilities.
type linearized struct {
	*diffused
	buf  []float64
	kept []float64 // what pass.keep takes, of each block of rows
	at   pass
	rows int
}

func (l *linearized) Score(dst, x *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, l.n)
	if l.buf == nil {
		l.buf = make([]float64, l.size())
	}
	l.rows = x.RawMatrix().Rows
	blocks := (l.rows + rowBlock - 1) / rowBlock
	if need := blocks * l.keptSize(); cap(l.kept) < need {
		l.kept = make([]float64, need)
	}
	l.at = l.start(score, alpha, sigma, l.buf)
	for lo := 0; lo < l.rows; lo += rowBlock {
		r := l.block(lo)
		l.at.responsibilities(x, lo, r)
		l.at.emit(dst, nil, lo, r)
	}
}

func (l *linearized) VJP(dst, v *mat.Dense) {
	checkRows(dst, v, l.n)
	if r := v.RawMatrix().Rows; r != l.rows {
		panic(fmt.Sprintf("prior: v has %d rows, the score was evaluated at %d", r, l.rows))
	}
	for lo := 0; lo < l.rows; lo += rowBlock {
		l.at.emit(dst, v, lo, l.block(lo))
	}
}

// block turns to the rows from lo and returns their number.
func (l *linearized) block(lo int) int {
	l.at.keep(l.kept[lo/rowBlock*l.keptSize():][:l.keptSize()])
	return min(rowBlock, l.rows-lo)
}
