package prior

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// covariance is a symmetric positive definite n×n matrix S = F Fᵀ, where F is
// diagonal, or the Cholesky factor L of S, or L⁻ᵀ with the factor L of S⁻¹.
type covariance struct {
	n         int
	sd        []float64         // the diagonal of F if it is diagonal, else nil
	l         blas64.Triangular // L
	precision bool              // L is the factor of S⁻¹
	logDet    float64           // log det S

	eigen  sync.Once
	lambda []float64 // eigenvalues of S
	v      []float64 // eigenvectors in columns, nil if S is diagonal
}

// newCovariance returns S from a covariance or, if precision, its inverse.
func newCovariance(name string, s mat.Symmetric, precision bool) (*covariance, error) {
	if s == nil {
		return nil, fmt.Errorf("%s is nil", name)
	}
	n := s.SymmetricDim()
	if n == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	if d, ok := s.(mat.Diagonal); ok {
		sd := make([]float64, n)
		for i := range sd {
			v := d.At(i, i)
			if !(v > 0) || math.IsInf(v, 1) {
				return nil, fmt.Errorf("%s is not positive definite: its element (%d, %d) is %g", name, i, i, v)
			}
			if sd[i] = math.Sqrt(v); precision {
				sd[i] = 1 / sd[i]
			}
		}
		return diagonalCovariance(sd), nil
	}
	for i := range n {
		for j := i; j < n; j++ {
			if v := s.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s: element (%d, %d) is %g", name, i, j, v)
			}
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(s) {
		return nil, fmt.Errorf("%s (%d×%d) is not positive definite", name, n, n)
	}
	return cholCovariance(&chol, precision), nil
}

func diagonalCovariance(sd []float64) *covariance {
	c := &covariance{n: len(sd), sd: sd}
	for _, v := range sd {
		c.logDet += 2 * math.Log(v)
	}
	return c
}

func cholCovariance(chol *mat.Cholesky, precision bool) *covariance {
	var l mat.TriDense
	chol.LTo(&l)
	return triangularCovariance(l.RawTriangular(), precision)
}

func triangularCovariance(l blas64.Triangular, precision bool) *covariance {
	c := &covariance{n: l.N, l: l, precision: precision}
	for i := range l.N {
		c.logDet += 2 * math.Log(l.Data[i*l.Stride+i])
	}
	if precision {
		c.logDet = -c.logDet
	}
	return c
}

// color sets x to F x: white noise becomes noise of covariance S.
func (c *covariance) color(x []float64) {
	switch {
	case c.sd != nil:
		floats.Mul(x, c.sd)
	case c.precision:
		blas64.Trsv(blas.Trans, c.l, vector(x))
	default:
		blas64.Trmv(blas.NoTrans, c.l, vector(x))
	}
}

// colorT sets x to Fᵀx.
func (c *covariance) colorT(x []float64) {
	switch {
	case c.sd != nil:
		floats.Mul(x, c.sd)
	case c.precision:
		blas64.Trsv(blas.NoTrans, c.l, vector(x))
	default:
		blas64.Trmv(blas.Trans, c.l, vector(x))
	}
}

// whiten sets x to F⁻¹x, whose squared norm is xᵀS⁻¹x.
func (c *covariance) whiten(x []float64) {
	switch {
	case c.sd != nil:
		floats.Div(x, c.sd)
	case c.precision:
		blas64.Trmv(blas.Trans, c.l, vector(x))
	default:
		blas64.Trsv(blas.NoTrans, c.l, vector(x))
	}
}

// whitenT sets x to F⁻ᵀx.
func (c *covariance) whitenT(x []float64) {
	switch {
	case c.sd != nil:
		floats.Div(x, c.sd)
	case c.precision:
		blas64.Trmv(blas.NoTrans, c.l, vector(x))
	default:
		blas64.Trsv(blas.Trans, c.l, vector(x))
	}
}

// to stores S in dst.
func (c *covariance) to(dst *mat.SymDense) {
	if dst.IsEmpty() {
		*dst = *mat.NewSymDense(c.n, nil)
	} else if dst.SymmetricDim() != c.n {
		panic(fmt.Sprintf("prior: dst is %d×%d, want %d×%d", dst.SymmetricDim(), dst.SymmetricDim(), c.n, c.n))
	}
	if c.sd == nil && !c.precision {
		l := mat.NewTriDense(c.n, mat.Lower, c.l.Data)
		dst.SymOuterK(1, l)
		return
	}
	row := make([]float64, c.n)
	for i := range c.n {
		clear(row)
		row[i] = 1
		c.colorT(row)
		c.color(row)
		for j := i; j < c.n; j++ {
			dst.SetSym(i, j, row[j])
		}
	}
}

// decompose finds S = V diag(λ) Vᵀ, once.
func (c *covariance) decompose() { c.eigen.Do(c.decomposeOnce) }

func (c *covariance) decomposeOnce() {
	c.lambda = make([]float64, c.n)
	if c.sd != nil {
		for i, v := range c.sd {
			c.lambda[i] = v * v
		}
		return
	}
	// Of L Lᵀ, that is of S or of S⁻¹.
	m := mat.NewSymDense(c.n, nil)
	(&covariance{n: c.n, l: c.l}).to(m)
	var e mat.EigenSym
	if !e.Factorize(m, true) {
		panic("prior: the eigenvalues of a positive definite matrix do not converge") // not seen to happen
	}
	e.Values(c.lambda)
	var v mat.Dense
	e.VectorsTo(&v)
	c.v = v.RawMatrix().Data
	// Rounding may bring the smallest to 0 or below.
	floor := c.lambda[c.n-1] * 1e-17
	for i, l := range c.lambda {
		c.lambda[i] = math.Max(l, floor)
		if c.precision {
			c.lambda[i] = 1 / c.lambda[i]
		}
	}
}

// toEigen sets the r rows of dst to Vᵀx_l. Call decompose first; where v is
// nil, V = I.
func (c *covariance) toEigen(r int, dst, x []float64) {
	kernel.Gemm(false, false, r, c.n, c.n, 1, x, c.n, c.v, c.n, 0, dst, c.n)
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }

// update is the effect of data y = A x + e, e ~ N(0, R), on a Gaussian of
// covariance S = F Fᵀ: with B = R^(-1/2) A F the posterior covariance is
// F (I + BᵀB)⁻¹ Fᵀ. Nothing is subtracted from a covariance, so that precise
// data lose no digits.
type update struct {
	a           mat.Matrix
	prior       *covariance
	noise       *covariance
	post        *covariance
	bt          *mat.Dense    // Bᵀ
	svd         *mat.SVD      // of B, if m < n
	chol        *mat.Cholesky // of I + BᵀB, if m >= n
	logEvidence float64       // its part that does not depend on y
}

func newUpdate(prior *covariance, a mat.Matrix, r mat.Symmetric) (*update, error) {
	if a == nil {
		return nil, errors.New("a is nil")
	}
	m, n := a.Dims()
	if n != prior.n || m == 0 {
		return nil, fmt.Errorf("a is %d×%d, want %d columns and at least one row", m, n, prior.n)
	}
	noise, err := newCovariance("r", r, false)
	if err != nil {
		return nil, err
	}
	if noise.n != m {
		return nil, fmt.Errorf("r is %d×%d and a is %d×%d: want one row of r for each row of a", noise.n, noise.n, m, n)
	}
	u := &update{a: a, prior: prior, noise: noise}

	b := mat.NewDense(m, n, nil)
	for i := range m {
		row := b.RawRowView(i)
		for j := range row {
			row[j] = a.At(i, j)
			if math.IsNaN(row[j]) || math.IsInf(row[j], 0) {
				return nil, fmt.Errorf("a: element (%d, %d) is %g", i, j, row[j])
			}
		}
		prior.colorT(row)
	}
	u.bt = mat.DenseCopyOf(b.T())
	for j := range n {
		noise.whiten(u.bt.RawRowView(j))
	}

	// The posterior square root G = F (I + BᵀB)^(-1/2), by the smaller system.
	var gt mat.Dense
	logDet := 0.0
	if m < n {
		u.svd = new(mat.SVD)
		if !u.svd.Factorize(u.bt.T(), mat.SVDThin) {
			return nil, errors.New("the singular values of the whitened a do not converge")
		}
		var w, ws mat.Dense
		u.svd.VTo(&w)
		ws.CloneFrom(&w)
		for k, s := range u.svd.Values(nil) {
			logDet += math.Log1p(s * s)
			h := math.Hypot(1, s)
			// 1 - 1/h without cancellation.
			f := s * s / (h * (h + 1))
			for j := range n {
				ws.Set(j, k, -f*w.At(j, k))
			}
		}
		gt.Mul(&ws, w.T())
		for j := range n {
			gt.Set(j, j, 1+gt.At(j, j))
		}
	} else {
		h := mat.NewSymDense(n, nil)
		h.SymOuterK(1, u.bt)
		for j := range n {
			h.SetSym(j, j, 1+h.At(j, j))
		}
		u.chol = new(mat.Cholesky)
		if !u.chol.Factorize(h) {
			return nil, errors.New("the whitened a overflows")
		}
		logDet = u.chol.LogDet()
		var l, inv mat.TriDense
		u.chol.LTo(&l)
		if err := inv.InverseTri(&l); err != nil {
			if _, ill := err.(mat.Condition); !ill {
				return nil, err
			}
		}
		gt.CloneFrom(&inv)
	}
	for j := range n {
		prior.color(gt.RawRowView(j))
	}
	u.logEvidence = -0.5 * (float64(m)*math.Log(2*math.Pi) + noise.logDet + logDet)

	// G Gᵀ = L Lᵀ with L from the QR factors of Gᵀ.
	var qr mat.QR
	qr.Factorize(&gt)
	var rt mat.Dense
	qr.RTo(&rt)
	l := mat.NewTriDense(n, mat.Lower, nil)
	for i := range n {
		sign := math.Copysign(1, rt.At(i, i))
		if !(math.Abs(rt.At(i, i)) > 0) {
			return nil, errors.New("the posterior covariance is singular to working precision")
		}
		for j := i; j < n; j++ {
			l.SetTri(j, i, sign*rt.At(i, j))
		}
	}
	u.post = triangularCovariance(l.RawTriangular(), false)
	return u, nil
}

// mean returns the posterior mean from the prior mean, and the log evidence
// log N(y; A μ, A S Aᵀ + R).
func (u *update) mean(mu, y []float64) (mean []float64, logEvidence float64, err error) {
	m, n := u.a.Dims()
	if len(y) != m {
		return nil, 0, fmt.Errorf("y has length %d, want one for each of the %d rows of a", len(y), m)
	}
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, 0, fmt.Errorf("y[%d] is %g", i, v)
		}
	}
	var r mat.VecDense
	r.MulVec(u.a, mat.NewVecDense(n, mu))
	r.SubVec(mat.NewVecDense(m, y), &r)
	res := r.RawVector().Data
	u.noise.whiten(res)

	// The maximum of the whitened posterior: w = (I + BᵀB)⁻¹Bᵀr.
	w := mat.NewVecDense(n, nil)
	if u.svd != nil {
		var left, right mat.Dense
		u.svd.UTo(&left)
		u.svd.VTo(&right)
		var c mat.VecDense
		c.MulVec(left.T(), &r)
		for k, s := range u.svd.Values(nil) {
			c.SetVec(k, c.AtVec(k)*s/(1+s*s))
		}
		w.MulVec(&right, &c)
	} else {
		w.MulVec(u.bt, &r)
		if err := u.chol.SolveVecTo(w, w); err != nil {
			if _, ill := err.(mat.Condition); !ill {
				return nil, 0, err
			}
		}
	}
	// rᵀ(I + BBᵀ)⁻¹r = |r - B w|² + |w|²
	var fit mat.VecDense
	fit.MulVec(u.bt.T(), w)
	fit.SubVec(&r, &fit)
	logEvidence = u.logEvidence - 0.5*(mat.Dot(&fit, &fit)+mat.Dot(w, w))

	mean = w.RawVector().Data
	u.prior.color(mean)
	floats.Add(mean, mu)
	return mean, logEvidence, nil
}
