package prior

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

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
