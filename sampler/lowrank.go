package sampler

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// lowRank is the metric L = diag(Sigma) (I + U (Λ^½ - I) Uᵀ), where the rows
// of U are orthonormal directions and Λ their variances in scaled
// coordinates.
type lowRank struct {
	Sigma []float64
	U     []float64 // K×d, row-major, a direction a row
	Root  []float64 // Λ^½ - 1, of length K
	c, v  []float64
}

func newLowRank(d int) *lowRank {
	return &lowRank{Sigma: newDiagonal(d).Sigma, v: make([]float64, d)}
}

// stretch adds U (Λ^½ - I) Uᵀ v to v.
func (m *lowRank) stretch(v []float64) {
	k := len(m.Root)
	if k == 0 {
		return
	}
	d := len(v)
	u := blas64.General{Rows: k, Cols: d, Data: m.U, Stride: d}
	if len(m.c) < k {
		m.c = make([]float64, d)
	}
	c := blas64.Vector{N: k, Data: m.c[:k], Inc: 1}
	x := blas64.Vector{N: d, Data: v, Inc: 1}
	blas64.Gemv(blas.NoTrans, 1, u, x, 0, c)
	for i, r := range m.Root {
		c.Data[i] *= r
	}
	blas64.Gemv(blas.Trans, 1, u, c, 1, x)
}

func (m *lowRank) pull(w, g []float64) {
	for i, s := range m.Sigma {
		w[i] = s * g[i]
	}
	m.stretch(w)
}

func (m *lowRank) move(x, x0, p []float64, eps float64) {
	copy(m.v, p)
	m.stretch(m.v)
	for i, s := range m.Sigma {
		x[i] = x0[i] + eps*s*m.v[i]
	}
}

func (m *lowRank) drift(q, from *point, eps float64) {
	if len(m.Root) == 0 {
		kernel.Drift(q.x, q.p, from.x, from.p, from.g, m.Sigma, eps)
		return
	}
	kickHalf(q, from, eps)
	m.move(q.x, from.x, q.p, eps)
}

func (m *lowRank) kick(q *point, eps float64) float64 {
	if len(m.Root) == 0 {
		return kernel.Kick(q.p, q.g, m.Sigma, eps)
	}
	m.pull(q.w, q.g)
	return kickRest(q, eps)
}

const (
	lowRankGamma    = 1e-5 // regularisation of the projected covariances
	lowRankCutoff   = 2    // variances within a factor of it of 1 are left alone
	lowRankGrowth   = 2    // of the number of draws between estimates
	maxLowRankDraws = 400  // that an estimate uses; older ones are forgotten
)

// fisherLowRank keeps the draws and scores of the foreground; the background
// are those from Split on.
type fisherLowRank struct {
	X, G  []float64 // one row a draw
	Split int
	Next  int // number of draws at which the next estimate is due
	d     int
}

func newFisherLowRank(d int) *fisherLowRank {
	return &fisherLowRank{
		X: make([]float64, 0, d*(maxLowRankDraws+1)), G: make([]float64, 0, d*(maxLowRankDraws+1)), d: d,
	}
}

func (e *fisherLowRank) init(m metric, x, g []float64) {
	sigma := m.(*lowRank).Sigma
	for i, gi := range g {
		if gi != 0 {
			sigma[i] = clampScale(1 / math.Abs(gi))
		}
	}
	e.add(x, g)
}

func (e *fisherLowRank) add(x, g []float64) {
	e.X = append(e.X, x...)
	e.G = append(e.G, g...)
	if n := len(e.X) / e.d; n > maxLowRankDraws {
		e.drop(n - maxLowRankDraws)
	}
}

// drop forgets the first n draws.
func (e *fisherLowRank) drop(n int) {
	e.X = e.X[:copy(e.X, e.X[n*e.d:])]
	e.G = e.G[:copy(e.G, e.G[n*e.d:])]
	e.Split = max(0, e.Split-n)
}

func (e *fisherLowRank) background() int { return len(e.X)/e.d - e.Split }

func (e *fisherLowRank) swap() {
	e.drop(e.Split)
	e.Split = len(e.X) / e.d
	e.Next = 0
}

func (e *fisherLowRank) set(m metric, force bool) bool {
	n := len(e.X) / e.d
	if n < 3 || !force && n < e.Next {
		return false
	}
	e.Next = max(n+1, int(lowRankGrowth*float64(n)))
	return m.(*lowRank).estimate(mat.NewDense(len(e.X)/e.d, e.d, e.X), mat.NewDense(len(e.G)/e.d, e.d, e.G))
}

// estimate sets m from draws and scores, one a row: the scales of
// DiagonalFisher, and then, in the space that the scaled and centred draws D
// and scores G span, the geometric mean of DᵀD + γI and (GᵀG + γI)⁻¹, which
// minimises the Fisher divergence there.
func (m *lowRank) estimate(draws, scores *mat.Dense) bool {
	n, d := draws.Dims()
	wx, wg := newWelford(d), newWelford(d)
	for i := range n {
		wx.add(draws.RawRowView(i))
		wg.add(scores.RawRowView(i))
	}
	sigma := make([]float64, d)
	for i := range sigma {
		// Where the score does not vary, the scale stays what it is.
		sigma[i] = m.Sigma[i]
		if v := math.Sqrt(wx.S[i] / wg.S[i]); v > 0 && !math.IsInf(v, 1) {
			sigma[i] = clampScale(v)
		}
	}
	x, g := mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	for i := range n {
		for j, s := range sigma {
			x.Set(i, j, (draws.At(i, j)-wx.Mean[j])/s)
			g.Set(i, j, (scores.At(i, j)-wg.Mean[j])*s)
		}
	}
	// With enough draws the space is the whole one.
	var basis *mat.Dense
	k := d
	if d > 2*n {
		var ok bool
		if basis, ok = rowSpace(x, g); !ok {
			return false
		}
		k, _ = basis.Dims()
		x, g = project(basis, x), project(basis, g)
	}
	values, vectors, ok := fisherMean(x, g)
	if !ok {
		return false
	}
	copy(m.Sigma, sigma)
	m.U, m.Root = m.U[:0], m.Root[:0]
	row := mat.NewVecDense(d, nil)
	for i := range k {
		v := values[i]
		if v <= lowRankCutoff && v >= 1.0/lowRankCutoff {
			continue
		}
		if basis == nil {
			row.CopyVec(vectors.ColView(i))
		} else {
			row.MulVec(basis.T(), vectors.ColView(i))
		}
		m.Root = append(m.Root, math.Sqrt(v)-1)
		m.U = append(m.U, row.RawVector().Data...)
	}
	return true
}

// project returns the coordinates of the rows of x in the basis.
func project(basis, x *mat.Dense) *mat.Dense {
	var y mat.Dense
	y.Mul(x, basis.T())
	return &y
}

// rowSpace returns an orthonormal basis, a vector a row, of the space that
// the rows of x and g span.
func rowSpace(x, g *mat.Dense) (*mat.Dense, bool) {
	n, d := x.Dims()
	var all mat.Dense
	all.Stack(x, g)
	// Rows of unit length, so that neither draws nor scores decide alone what
	// is negligible.
	for i := range 2 * n {
		r := all.RawRowView(i)
		if norm := blas64.Nrm2(blas64.Vector{N: d, Data: r, Inc: 1}); norm > 0 {
			blas64.Scal(1/norm, blas64.Vector{N: d, Data: r, Inc: 1})
		}
	}
	var svd mat.SVD
	if !svd.Factorize(&all, mat.SVDThinV) {
		return nil, false
	}
	s := svd.Values(nil)
	k := 0
	for k < len(s) && s[k] > 1e-10*s[0] {
		k++
	}
	if k == 0 {
		return nil, false
	}
	var v mat.Dense
	svd.VTo(&v)
	return mat.DenseCopyOf(v.Slice(0, d, 0, k).T()), true
}

// fisherMean returns the eigenvalues and eigenvectors of the solution S of
// S B S = A, where A and B are the regularised second moments of the rows of x
// and g: with B = R Rᵀ it is S = R⁻ᵀ (Rᵀ A R)^½ R⁻¹.
func fisherMean(x, g *mat.Dense) ([]float64, *mat.Dense, bool) {
	var chol mat.Cholesky
	if !chol.Factorize(moment(g)) {
		return nil, nil, false
	}
	var r mat.TriDense
	chol.LTo(&r)
	a := moment(x)
	var m mat.Dense
	m.Product(r.T(), a, &r)
	root, ok := squareRoot(symmetric(&m))
	if !ok {
		return nil, nil, false
	}
	m.Reset()
	if err := m.Solve(r.T(), root); err != nil {
		return nil, nil, false
	}
	var s mat.Dense
	if err := s.Solve(r.T(), m.T()); err != nil {
		return nil, nil, false
	}
	var eig mat.EigenSym
	if !eig.Factorize(symmetric(&s), true) {
		return nil, nil, false
	}
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	values := eig.Values(nil)
	for _, v := range values {
		if !(v > 0) || math.IsInf(v, 1) {
			return nil, nil, false
		}
	}
	return values, &vectors, true
}

// moment returns xᵀx/γ + I.
func moment(x *mat.Dense) *mat.SymDense {
	_, k := x.Dims()
	s := mat.NewSymDense(k, nil)
	s.SymOuterK(1/lowRankGamma, x.T())
	for i := range k {
		s.SetSym(i, i, s.At(i, i)+1)
	}
	return s
}

// symmetric returns (m + mᵀ)/2.
func symmetric(m *mat.Dense) *mat.SymDense {
	n, _ := m.Dims()
	s := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			s.SetSym(i, j, (m.At(i, j)+m.At(j, i))/2)
		}
	}
	return s
}

// squareRoot returns the square root of a positive definite a.
func squareRoot(a *mat.SymDense) (*mat.SymDense, bool) {
	var eig mat.EigenSym
	if !eig.Factorize(a, true) {
		return nil, false
	}
	n := a.SymmetricDim()
	var v mat.Dense
	eig.VectorsTo(&v)
	// V Λ^½ Vᵀ = (V Λ^¼)(V Λ^¼)ᵀ.
	for k, lambda := range eig.Values(nil) {
		if !(lambda > 0) {
			return nil, false
		}
		f := math.Sqrt(math.Sqrt(lambda))
		for i := range n {
			v.Set(i, k, v.At(i, k)*f)
		}
	}
	s := mat.NewSymDense(n, nil)
	s.SymOuterK(1, &v)
	return s, true
}
