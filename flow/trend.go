package flow

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// trend is a linear regression of the standardised x on the standardised y, of
// which a flow has the residuals: r = (x - B y)/Scale. Its fields are encoded in
// files. A nil trend is none.
type trend struct {
	B     []float64 // one row of coefficients for each x, one after another
	Scale []float64 // standard deviations of the residuals
}

// maxRegressors limits the matrix that is decomposed.
const maxRegressors = 1024

// newTrend returns the ridge regression on the training rows,
//
//	B = XᵀY (YᵀY + nλI)⁻¹,
//
// with the λ for each x that generalised cross-validation chooses (Golub, Heath
// and Wahba, 1979), infinite if there is nothing to be learned. Scale is the
// square root of its estimate of the mean squared error.
func newTrend(x, y *mat.Dense, xs, ys scaling, train []int) (*trend, error) {
	n := len(train)
	_, dx := x.Dims()
	_, dy := y.Dims()
	if dy > maxRegressors {
		return nil, fmt.Errorf("flow: Regress: y has %d columns, want at most %d", dy, maxRegressors)
	}
	X, Y := mat.NewDense(n, dx, nil), mat.NewDense(n, dy, nil)
	for k, i := range train {
		xs.apply(X.RawRowView(k), x.RawRowView(i))
		ys.apply(Y.RawRowView(k), y.RawRowView(i))
	}
	cov := mat.NewSymDense(dy, nil)
	cov.SymOuterK(1/float64(n), Y.T())
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return nil, errors.New("flow: Regress: the eigenvalues of the covariance of y do not converge")
	}
	var v, cross, p, b mat.Dense
	eig.VectorsTo(&v)
	cross.Mul(Y.T(), X)
	cross.Scale(1/float64(n), &cross)
	p.Mul(v.T(), &cross) // the covariances of x with the principal components of y
	values := eig.Values(nil)
	for k := range values {
		values[k] = max(values[k], 0)
	}
	t := &trend{Scale: make([]float64, dx)}
	for j := range dx {
		best, ridge := 1.0, math.Inf(1)
		for e := -16; e <= 4; e++ {
			lambda := math.Pow(10, float64(e)/2)
			rss, dof := 1.0, 1.0 // the mean is one parameter
			for k, l := range values {
				rss -= p.At(k, j) * p.At(k, j) * (l + 2*lambda) / ((l + lambda) * (l + lambda))
				dof += l / (l + lambda)
			}
			if free := 1 - dof/float64(n); free > 0.1 {
				if gcv := max(rss, 0) / (free * free); gcv < best {
					best, ridge = gcv, lambda
				}
			}
		}
		for k, l := range values {
			p.Set(k, j, p.At(k, j)/(l+ridge))
		}
		// Where x is a function of y, rounding is what is left of it.
		t.Scale[j] = max(math.Sqrt(best), 1e-6)
	}
	b.Mul(&v, &p)
	t.B = mat.DenseCopyOf(b.T()).RawMatrix().Data
	return t, nil
}

// remove replaces the rows of x by the residuals, given a row of c for each or
// one for all.
func (t *trend) remove(x, c []float64) {
	t.each(x, c, func(x, by []float64) {
		for j, s := range t.Scale {
			x[j] = (x[j] - by[j]) / s
		}
	})
}

// add is the inverse of remove.
func (t *trend) add(x, c []float64) {
	t.each(x, c, func(x, by []float64) {
		for j, s := range t.Scale {
			x[j] = s*x[j] + by[j]
		}
	})
}

// each calls f with the rows of x and of B c.
func (t *trend) each(x, c []float64, f func(x, by []float64)) {
	if t == nil {
		return
	}
	d := len(t.Scale)
	dy, rows := len(t.B)/d, len(x)/d
	by := make([]float64, d)
	for i := range rows {
		if i == 0 || len(c) > dy {
			y := c[i*dy : (i+1)*dy]
			for j := range by {
				by[j] = floats.Dot(t.B[j*dy:(j+1)*dy], y)
			}
		}
		f(x[i*d:(i+1)*d], by)
	}
}

// pullback adds to the rows of gc, gradients in c of a function of the
// residuals, what comes by way of them, of which gr are the gradients.
func (t *trend) pullback(gc, gr []float64) {
	if t == nil {
		return
	}
	d := len(t.Scale)
	dy := len(t.B) / d
	for i := range len(gr) / d {
		for j, s := range t.Scale {
			g := -gr[i*d+j] / s
			for k, b := range t.B[j*dy : (j+1)*dy] {
				gc[i*dy+k] += g * b
			}
		}
	}
}

// logDet returns log |det ∂r/∂x|.
func (t *trend) logDet() (l float64) {
	if t == nil {
		return 0
	}
	for _, s := range t.Scale {
		l -= math.Log(s)
	}
	return l
}

// check returns an error unless the trend, read from a file, is one of dx
// columns on dy.
func (t *trend) check(dx, dy int) error {
	if t == nil {
		return nil
	}
	if len(t.Scale) != dx || dy == 0 || len(t.B) != dx*dy || notFinite(t.B) >= 0 {
		return fmt.Errorf("trend of %d scales and %d coefficients, want %d and %d", len(t.Scale), len(t.B), dx, dx*dy)
	}
	for j, s := range t.Scale {
		if !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("trend: column %d has scale %g", j, s)
		}
	}
	return nil
}
