package flow

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/prior"
)

// corrected is the loss of a mixture density network with the proposal
// Σ_k a_k N(m_k, P_k⁻¹) in place of the prior N(m₀, P₀⁻¹), up to a constant
// (Greenberg et al. 2019, appendix A.1):
//
//	-log q(x|c) + log Z(c),  Z = ∫ q p̃/p = Σ_kl w_kl
//
// where with P' = P_k + P_l - P₀ and h = P_k m_k + P_l m_l - P₀ m₀ of a
// component l of q and its precision P_l
//
//	log w = log a_k a_l + ½[log|P_k| + log|P_l| - log|P'| - m_k'P_k m_k - m_l'P_l m_l + h'P'⁻¹h]
type corrected[T kernel.Float] struct {
	net   *mdn[T]
	xs    []T
	d, k  int
	prec  []T // k×d²: P_k - P₀
	shift []T // k×d: P_k m_k - P₀ m₀
	level []T // k: log a_k + ½ log|P_k| - ½ m_k'P_k m_k
}

func newCorrected[T kernel.Float](r *run, net *mdn[T], xs []T) *corrected[T] {
	p, f := r.options.Proposal, r.flow
	d := f.du
	weights := p.Mixture.Weights(nil)
	c := &corrected[T]{net: net, xs: xs, d: d, k: len(weights)}
	var cov mat.SymDense
	p.Prior.CovarianceMatrix(&cov)
	p0, _ := standardizedPrecision(&cov, f.xs.Scale)
	m0 := p.Prior.Mean(nil)
	f.xs.apply(m0, m0)
	var h0 mat.VecDense
	h0.MulVec(p0, mat.NewVecDense(d, m0))
	for k, w := range weights {
		component := p.Mixture.Component(k)
		component.CovarianceMatrix(&cov)
		pk, logDet := standardizedPrecision(&cov, f.xs.Scale)
		m := component.Mean(nil)
		f.xs.apply(m, m)
		var h mat.VecDense
		h.MulVec(pk, mat.NewVecDense(d, m))
		quad := mat.Dot(&h, mat.NewVecDense(d, m))
		c.level = append(c.level, T(math.Log(w)+logDet/2-quad/2))
		for i := range d {
			c.shift = append(c.shift, T(h.AtVec(i)-h0.AtVec(i)))
			for j := range d {
				c.prec = append(c.prec, T(pk.At(i, j)-p0.At(i, j)))
			}
		}
	}
	return c
}

// standardizedPrecision returns the precision of x/scale, where cov is the
// covariance of x, and its log determinant; cov is overwritten.
func standardizedPrecision(cov *mat.SymDense, scale []float64) (p *mat.SymDense, logDet float64) {
	for i := range scale {
		for j := range i + 1 {
			cov.SetSym(i, j, cov.At(i, j)/(scale[i]*scale[j]))
		}
	}
	p = new(mat.SymDense)
	var chol mat.Cholesky
	if !chol.Factorize(cov) || chol.InverseTo(p) != nil {
		// The covariance of a Gaussian is positive definite. What rounding
		// makes of one that hardly is ends as an error of training.
		return mat.NewSymDense(len(scale), nil), math.NaN()
	}
	return p, -chol.LogDet()
}

func (f *corrected[T]) loss(t *autodiff.Tape[T], b *optim.Block, c autodiff.Var) autodiff.Var {
	rows, d, l, k := len(b.Rows), f.d, f.net.k, f.k
	x := t.InputRows(f.xs, d, b.Rows)
	logWeight, mean, diagonal, below := f.net.mixture(t, c, rows)
	q := f.net.density(t, x, logWeight, mean, diagonal, below)

	// The precisions of the network's components, P = A'A (rows·l × d²).
	a := f.net.factors(t, diagonal, below)
	prec := t.BatchMatMul(true, false, a, a, d, d, d)
	h := t.BatchMatMul(false, false, prec, mean, d, 1, d)
	own := t.Add(t.Sub(t.RowSums(t.Log(diagonal)), t.Scale(0.5, t.RowSums(t.Mul(h, mean)))), t.Reshape(logWeight, rows*l, 1))

	// All pairs of components, those of the proposal the fastest.
	constant := func(v []T, cols int) autodiff.Var {
		in := t.Input(k, cols)
		copy(t.Value(in), v)
		return t.TileRows(in, rows*l)
	}
	pp := t.Add(t.RepeatRows(prec, k), constant(f.prec, d*d))
	hh := t.Add(t.RepeatRows(h, k), constant(f.shift, d))
	logw := t.Add(t.RepeatRows(own, k), constant(f.level, 1))
	logw = t.Sub(logw, t.Scale(0.5, t.LogDet(pp, d)))
	logw = t.Add(logw, t.Scale(0.5, t.RowSums(t.Mul(hh, t.Solve(pp, hh)))))
	return t.Sub(t.LogSumExp(t.Reshape(logw, rows, l*k)), q)
}

// factors returns the matrices A of the components, one a row, row by row.
func (m *mdn[T]) factors(t *autodiff.Tape[T], diagonal, below autodiff.Var) autodiff.Var {
	if m.d == 1 {
		return diagonal
	}
	all := t.ConcatCols(diagonal, below, t.Fill(rowsOf(t, diagonal), 1, 0))
	idx := make([]int, m.d*m.d)
	zero := m.d + len(m.column)
	next := m.d
	for i := range m.d {
		for j := range m.d {
			switch {
			case j < i:
				idx[i*m.d+j] = next
				next++
			case j == i:
				idx[i*m.d+j] = i
			default:
				idx[i*m.d+j] = zero
			}
		}
	}
	return t.GatherCols(all, idx)
}

func rowsOf[T kernel.Float](t *autodiff.Tape[T], v autodiff.Var) int {
	r, _ := t.Dims(v)
	return r
}

// MixtureAt returns the mixture q(·|y) of a flow whose architecture is MDN, in
// the coordinates of the network without standardisation: the unconstrained
// ones if the flow has a Transform. The error says that the flow is none, or
// that y is not finite.
func MixtureAt(f *Flow, y []float64) (*prior.Mixture, error) {
	switch e := f.net.(type) {
	case *evaluator[float32]:
		return mixtureAt(f, e, y)
	case *evaluator[float64]:
		return mixtureAt(f, e, y)
	}
	return nil, errors.New("flow: MixtureAt: unknown precision")
}

func mixtureAt[T kernel.Float](f *Flow, e *evaluator[T], y []float64) (*prior.Mixture, error) {
	net, ok := e.net.(*mdn[T])
	if !ok {
		return nil, fmt.Errorf("flow: MixtureAt needs an MDN, not a %T", f.arch)
	}
	if len(y) != f.dy || notFinite(y) >= 0 {
		return nil, fmt.Errorf("flow: MixtureAt: y is %v, want %d finite numbers", y, f.dy)
	}
	row := make([]float64, f.dy)
	f.ys.apply(row, y)
	w := e.get()
	defer e.pool.Put(w)
	c := e.context(w, row, 1)
	t := w.begin()
	logWeight, mean, diagonal, below := net.mixture(t, w.input(c, 1), 1)
	a := t.Value(net.factors(t, diagonal, below))
	d := net.d
	scale := slices.Clone(f.xs.Scale)
	if f.trend != nil {
		floats.Mul(scale, f.trend.Scale)
	}
	weights, means := make([]float64, net.k), mat.NewDense(net.k, d, nil)
	covs := make([]mat.Symmetric, net.k)
	for k := range net.k {
		weights[k] = math.Exp(float64(t.Value(logWeight)[k]))
		for j := range d {
			means.Set(k, j, float64(t.Value(mean)[k*d+j]))
		}
		f.trend.add(means.RawRowView(k), row)
		f.xs.undo(means.RawRowView(k), means.RawRowView(k))
		// The covariance is (A'A)⁻¹ = A⁻¹A⁻¹', scaled.
		A := mat.NewTriDense(d, mat.Lower, nil)
		for i := range d {
			for j := range i + 1 {
				A.SetTri(i, j, float64(a[k*d*d+i*d+j]))
			}
		}
		var inv mat.TriDense
		if err := inv.InverseTri(A); err != nil {
			return nil, fmt.Errorf("flow: MixtureAt: component %d: %w", k, err)
		}
		s := mat.NewSymDense(d, nil)
		for i := range d {
			for j := range i + 1 {
				var sum float64
				for n := range j + 1 {
					sum += inv.At(i, n) * inv.At(j, n)
				}
				s.SetSym(i, j, sum*scale[i]*scale[j])
			}
		}
		covs[k] = s
	}
	return prior.NewMixture(weights, means, covs, nil)
}
