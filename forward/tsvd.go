package forward

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// TSVD inverts A x = y by the truncated singular value decomposition
//
//	x = Σ (u_iᵀy / σ_i) v_i   over the k largest σ_i.
//
// The sum never takes in singular values below max(m, n) ε σ₁, which are zero
// to rounding. Nil options mean the defaults.
func TSVD(a inverse.Spectral, y []float64, o *FilterOptions) (*Inversion, error) {
	if o == nil {
		o = &FilterOptions{}
	}
	f, err := newFilter("TSVD", a, y)
	if err != nil {
		return nil, err
	}
	rule, eta, err := checkFilter("TSVD", o)
	if err != nil {
		return nil, err
	}
	order := descending(f.alpha)
	rank := 0
	for rank < len(order) && f.alpha[order[rank]] > f.tiny() {
		rank++
	}
	// residual[k] and norm[k] belong to the sum of k terms.
	residual, norm := make([]float64, rank+1), make([]float64, rank+1)
	rest := f.rest
	for _, i := range order[rank:] {
		rest = math.Hypot(rest, f.b[i])
	}
	residual[rank] = rest
	for k := rank - 1; k >= 0; k-- {
		residual[k] = math.Hypot(residual[k+1], f.b[order[k]])
	}
	for k := range rank {
		norm[k+1] = math.Hypot(norm[k], f.b[order[k]]/f.alpha[order[k]])
	}

	var k int
	stop := StopRule
	switch rule {
	case DefaultRule:
		k, stop = int(o.Param), StopFixed
		if float64(k) != o.Param || k > rank {
			return nil, fmt.Errorf("forward: TSVD: Param is %v, want a whole number of singular values up to the rank %d", o.Param, rank)
		}
	case Discrepancy:
		for k < rank && residual[k] > eta*o.Noise {
			k++
		}
		if residual[k] > eta*o.Noise {
			return nil, unreachable("TSVD", residual[k], eta*o.Noise)
		}
		if k == 0 {
			stop = StopBound
		}
	case GCV:
		best := math.Inf(1)
		for i := 0; i <= min(rank, f.m-1); i++ {
			if v := residual[i] / float64(f.m-i); v < best {
				best, k = v, i
			}
		}
	case LCurve:
		curve := make([]point, rank)
		for i := range curve {
			curve[i] = point{math.Log(residual[i+1]), math.Log(norm[i+1])}
		}
		corner, ok := lcurveCorner(curve)
		if !ok {
			return nil, fmt.Errorf("forward: TSVD: an L-curve of %d points has no corner, want at least 3", rank)
		}
		k = corner + 1
	}
	c := mat.NewDense(1, len(f.b), nil)
	for _, i := range order[:k] {
		c.Set(0, i, f.b[i]/f.alpha[i])
	}
	x := mat.NewDense(1, f.n, nil)
	a.MulV(x, c)
	return &Inversion{X: x.RawRowView(0), Residual: residual[k], Norm: norm[k], Param: float64(k), Stop: stop}, nil
}

// A PicardTerm is one term of the singular value expansion of A⁺y.
type PicardTerm struct {
	Sigma float64 // σ_i
	Coef  float64 // |u_iᵀy|
	Ratio float64 // |u_iᵀy| / σ_i; +Inf where σ_i is 0 and the coefficient is not
}

// Picard returns the terms of a Picard plot, in order of falling σ_i. The
// solution exists, and regularisation can find it, if the coefficients fall
// faster than the singular values until they reach the noise (Hansen, 1990).
func Picard(a inverse.Spectral, y []float64) ([]PicardTerm, error) {
	f, err := newFilter("Picard", a, y)
	if err != nil {
		return nil, err
	}
	terms := make([]PicardTerm, len(f.b))
	for k, i := range descending(f.alpha) {
		t := PicardTerm{Sigma: f.alpha[i], Coef: math.Abs(f.b[i])}
		if t.Coef > 0 {
			t.Ratio = t.Coef / t.Sigma
		}
		terms[k] = t
	}
	return terms, nil
}

// descending returns the indices of x in order of falling values.
func descending(x []float64) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(x[j], x[i]) })
	return order
}
