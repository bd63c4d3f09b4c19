package sbi

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// whitening maps data to coordinates of mean 0 and covariance I in the rows
// that it is made from: z = Λ^(-1/2) Vᵀ(y - mean), with the eigenvectors V of
// their covariance. Directions in which the data do not vary are left out.
//
// Beyond maxWhitened data, or with fewer rows than data, it only scales each
// datum.
type whitening struct {
	mean []float64
	w    *mat.Dense // k×m; nil if diagonal
	sd   []float64  // if diagonal; 0 where the datum does not vary
	size []float64  // standard deviations of the coordinates before scaling, relative to the largest
}

const maxWhitened = 1024

// newWhitening returns the whitening of rows of y with independent noise of
// the given variances, which may be 0.
func newWhitening(y *mat.Dense, rows []int, variance []float64) (whitening, error) {
	_, m := y.Dims()
	n := float64(len(rows))
	t := whitening{mean: make([]float64, m)}
	for _, i := range rows {
		floats.AddScaled(t.mean, 1/n, y.RawRowView(i))
	}
	if !finite(t.mean) {
		return t, errors.New("the mean of the data is not finite")
	}
	if m > maxWhitened || len(rows) <= m {
		t.sd = make([]float64, m)
		for j := range t.sd {
			var ss float64
			for _, i := range rows {
				d := y.At(i, j) - t.mean[j]
				ss += d * d / n
			}
			t.sd[j] = math.Sqrt(ss + variance[j])
		}
		if floats.Max(t.sd) == 0 {
			return t, errors.New("the data of all simulations are the same")
		}
		t.size = make([]float64, m)
		for j := range t.size {
			t.size[j] = 1 // data of different units
		}
		return t, nil
	}
	c := mat.NewDense(len(rows), m, nil)
	for k, i := range rows {
		floats.SubTo(c.RawRowView(k), y.RawRowView(i), t.mean)
	}
	cov := mat.NewSymDense(m, nil)
	cov.SymOuterK(1/n, c.T())
	for j, v := range variance {
		cov.SetSym(j, j, cov.At(j, j)+v)
	}
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return t, errors.New("the eigenvalues of the data's covariance do not converge")
	}
	values := eig.Values(nil)
	largest := values[m-1]
	if !(largest > 0) || math.IsInf(largest, 1) {
		return t, fmt.Errorf("the largest variance of the data is %g", largest)
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	// Eigenvalues have an error of about 1e-16 of the largest one.
	first := 0
	for values[first] < 1e-14*largest {
		first++
	}
	t.w, t.size = mat.NewDense(m-first, m, nil), make([]float64, m-first)
	for k := first; k < m; k++ {
		scale := 1 / math.Sqrt(values[k])
		t.size[m-1-k] = math.Sqrt(values[k] / largest)
		for j := range m {
			t.w.Set(m-1-k, j, scale*v.At(j, k))
		}
	}
	return t, nil
}

// floor returns variances that are small beside those of the data, so that
// directions in which the reference does not vary at all keep a scale, and data
// that do are far from it.
func floor(y *mat.Dense, rows []int) []float64 {
	_, m := y.Dims()
	most := 0.0
	for j := range m {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, i := range rows {
			lo, hi = min(lo, y.At(i, j)), max(hi, y.At(i, j))
		}
		most = max(most, hi-lo)
	}
	v := make([]float64, m)
	for j := range v {
		v[j] = 1e-10 * most * most
	}
	return v
}

// dim returns the number of coordinates.
func (t *whitening) dim() int {
	if t.w == nil {
		return len(t.sd)
	}
	k, _ := t.w.Dims()
	return k
}

// apply sets the rows of z (r×k, one after another) to the coordinates of the
// rows of y. scratch has at least r m elements.
func (t *whitening) apply(z []float64, y *mat.Dense, scratch []float64) {
	r, m := y.Dims()
	d := scratch[:r*m]
	for i := range r {
		floats.SubTo(d[i*m:(i+1)*m], y.RawRowView(i), t.mean)
	}
	t.scale(z, d, r)
}

// scale sets the r rows of z to the coordinates of differences of data.
func (t *whitening) scale(z, d []float64, r int) {
	if t.w != nil {
		k, m := t.w.Dims()
		kernel.Gemm(false, true, r, k, m, 1, d, m, t.w.RawMatrix().Data, m, 0, z, k)
		return
	}
	for i := range d {
		z[i] = 0
		if s := t.sd[i%len(t.sd)]; s > 0 {
			z[i] = d[i] / s
		}
	}
}

// scaleT is the transpose of scale.
func (t *whitening) scaleT(d, z []float64, r int) {
	if t.w == nil {
		t.scale(d, z, r)
		return
	}
	k, m := t.w.Dims()
	kernel.Gemm(false, false, r, m, k, 1, z, k, t.w.RawMatrix().Data, m, 0, d, m)
}

// pick returns the coordinates of rows of y, one after another.
func (t *whitening) pick(y *mat.Dense, rows []int) []float64 {
	_, m := y.Dims()
	z := make([]float64, len(rows)*t.dim())
	t.apply(z, selectRows(y, rows), make([]float64, len(rows)*m))
	return z
}
