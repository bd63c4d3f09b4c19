package forward

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Tikhonov inverts A x = y by
//
//	min ‖A x - y‖² + λ² ‖x‖²,
//
// that is with the filter factors σ²/(σ² + λ²). For other seminorms, and for
// operators without a singular value decomposition, see [GeneralTikhonov].
//
// Nil options mean the defaults.
func Tikhonov(a inverse.Spectral, y []float64, o *FilterOptions) (*Inversion, error) {
	if o == nil {
		o = &FilterOptions{}
	}
	f, err := newFilter("Tikhonov", a, y)
	if err != nil {
		return nil, err
	}
	lambda, stop, err := f.choose("Tikhonov", o)
	if err != nil {
		return nil, err
	}
	x := mat.NewDense(1, f.n, nil)
	a.MulV(x, mat.NewDense(1, len(f.b), f.solution(lambda)))
	return f.inversion(x.RawRowView(0), lambda, stop), nil
}

// denseLimit is the largest number of unknowns for which GeneralTikhonov
// forms the matrices of its operators.
const denseLimit = 600

// GeneralTikhonov inverts A x = y by
//
//	min ‖A x - y‖² + λ² ‖L x‖²,
//
// where L (p×n) is usually a difference operator; a nil L is the identity.
// A and L must not take the same vector to 0. The Norm of the result is ‖L x‖.
//
// Up to 600 unknowns, it forms both matrices and their generalised singular
// value decomposition, which gives every rule for the price of one
// factorisation. Larger problems are solved matrix-free, by LSQR on the
// stacked system [A; λL]: then λ is given, or found by the discrepancy
// principle from about ten such solutions, to 1 part in 1000 of the residual.
// Stop is then StopLimit if the last of them took all of 5000 iterations.
//
// Nil options mean the defaults.
func GeneralTikhonov(ctx context.Context, a, l inverse.Linear, y []float64, o *FilterOptions) (*Inversion, error) {
	const method = "GeneralTikhonov"
	if o == nil {
		o = &FilterOptions{}
	}
	_, n, err := checkData(method, a, y)
	if err != nil {
		return nil, err
	}
	rule, eta, err := checkFilter(method, o)
	if err != nil {
		return nil, err
	}
	if l == nil {
		if l, err = NewIdentity(n); err != nil {
			return nil, err
		}
	}
	p, ln := l.Dims()
	if p < 1 || ln != n {
		return nil, fmt.Errorf("forward: %s: L is %d×%d, want %d columns as the operator has", method, p, ln, n)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n <= denseLimit {
		f, basis, err := generalFilter(a, l, y)
		if err != nil {
			return nil, err
		}
		lambda, stop, err := f.choose(method, o)
		if err != nil {
			return nil, err
		}
		var x mat.VecDense
		x.MulVec(basis, mat.NewVecDense(n, f.solution(lambda)))
		return f.inversion(x.RawVector().Data, lambda, stop), nil
	}

	s := &penalised{a, l, y}
	switch rule {
	case DefaultRule:
		inv, err := s.solve(ctx, o.Param, nil)
		if err != nil {
			return nil, err
		}
		return inv.stopped(StopFixed), nil
	case Discrepancy:
		return s.discrepancy(ctx, eta*o.Noise)
	}
	return nil, fmt.Errorf("forward: %s: Rule is %v, which needs at most %d unknowns: the operator has %d; give Param or Noise", method, rule, denseLimit, n)
}

// generalFilter returns the problem in the basis X of the generalised
// singular value decomposition A X = U diag(α), L X = V diag(β), and X.
func generalFilter(a, l inverse.Linear, y []float64) (*filter, *mat.Dense, error) {
	const method = "GeneralTikhonov"
	m, n := a.Dims()
	at, lt := transpose(a), transpose(l)
	if !finite(at.RawMatrix().Data) || !finite(lt.RawMatrix().Data) {
		return nil, nil, fmt.Errorf("forward: %s: the operator or L has an element that is not finite", method)
	}
	if mat.Norm(at, math.Inf(1)) == 0 {
		return nil, nil, fmt.Errorf("forward: %s: the operator is zero", method)
	}
	var svd mat.GSVD
	if !svd.Factorize(at.T(), lt.T(), mat.GSVDAll) {
		return nil, nil, fmt.Errorf("forward: %s: the generalised singular value decomposition did not converge", method)
	}
	k, rank := svd.Rank()
	rank += k
	if rank < n {
		return nil, nil, fmt.Errorf("forward: %s: A and L stacked have rank %d, want the number of unknowns %d: they must not take the same vector to 0", method, rank, n)
	}
	// A = U diag(α) [0 R] Qᵀ with [0 R] = R here, so X = Q R⁻¹.
	var zeroR, q, basis, u mat.Dense
	svd.ZeroRTo(&zeroR)
	svd.QTo(&q)
	if err := basis.Solve(zeroR.T(), q.T()); err != nil {
		return nil, nil, fmt.Errorf("forward: %s: A and L nearly take the same vector to 0: %w", method, err)
	}
	svd.UTo(&u)

	f := &filter{m: m, n: n, alpha: make([]float64, n), beta: make([]float64, n), b: make([]float64, n)}
	// The first k pairs are (1, 0). With m < n the last n-m are (0, 1).
	for i := range f.alpha {
		switch {
		case i < k:
			f.alpha[i] = 1
		case i >= m:
			f.beta[i] = 1
		}
	}
	if k < min(m, n) {
		copy(f.alpha[k:min(m, n)], svd.ValuesA(nil))
		copy(f.beta[k:min(m, n)], svd.ValuesB(nil))
	}
	for i := range m {
		var b float64
		for j, v := range y {
			b += u.At(j, i) * v
		}
		if i < n {
			f.b[i] = b
		} else {
			f.rest = math.Hypot(f.rest, b)
		}
	}
	return f, mat.DenseCopyOf(basis.T()), nil
}

// transpose returns the matrix of aᵀ.
func transpose(a inverse.Linear) *mat.Dense {
	m, n := a.Dims()
	unit, at := mat.NewDense(n, n, nil), mat.NewDense(n, m, nil)
	for i := range n {
		unit.Set(i, i, 1)
	}
	a.Apply(at, unit)
	return at
}

// penalised is Tikhonov's problem without matrices.
type penalised struct {
	a, l inverse.Linear
	y    []float64
}

// solve minimises ‖A x - y‖² + λ²‖L x‖², starting at x0. It stops by
// StopConverged or StopLimit.
func (p *penalised) solve(ctx context.Context, lambda float64, x0 []float64) (*Inversion, error) {
	weighted, err := Scale(lambda, p.l)
	if err != nil {
		return nil, err
	}
	both, err := Stack(p.a, weighted)
	if err != nil {
		return nil, err
	}
	m, n := both.Dims()
	inv, err := LSQR(ctx, both.(inverse.Linear), append(slices.Clone(p.y), make([]float64, m-len(p.y))...),
		&IterOptions{X0: x0, MaxIter: 5000, Tol: 1e-13})
	if err != nil {
		return nil, err
	}
	r := make([]float64, m)
	both.Apply(mat.NewDense(1, m, r), mat.NewDense(1, n, inv.X))
	inv.Residual = floats.Distance(r[:len(p.y)], p.y, 2)
	inv.Norm = floats.Norm(r[len(p.y):], 2) / lambda
	inv.Param = lambda
	return inv, nil
}

// discrepancy finds λ with ‖A x - y‖ = want, by bisection of log λ from a
// bracket about ‖A‖/‖L‖, each solution starting from the one before it.
func (p *penalised) discrepancy(ctx context.Context, want float64) (*Inversion, error) {
	na, nl := operatorNorm(p.a, 10), operatorNorm(p.l, 10)
	if na == 0 || nl == 0 {
		return nil, errors.New("forward: GeneralTikhonov: the operator or L is zero")
	}
	lambda := na / nl
	inv, err := p.solve(ctx, lambda, nil)
	if err != nil {
		return nil, err
	}
	// Walk by factors of 10 to the bracket, weak (met) and strong (not met).
	weak, strong := 0.0, math.Inf(1)
	for step := 0; ; step++ {
		if inv.Residual <= want {
			weak = lambda
			lambda *= 10
		} else {
			strong = lambda
			lambda /= 10
		}
		if weak > 0 && !math.IsInf(strong, 1) {
			break
		}
		if step == 12 {
			if weak > 0 {
				return inv.stopped(StopBound), nil
			}
			return nil, unreachable("GeneralTikhonov", inv.Residual, want)
		}
		if inv, err = p.solve(ctx, lambda, inv.X); err != nil {
			return nil, err
		}
	}
	for range 60 {
		if inv, err = p.solve(ctx, math.Sqrt(weak)*math.Sqrt(strong), inv.X); err != nil {
			return nil, err
		}
		if inv.Residual > want {
			strong = inv.Param
		} else if weak = inv.Param; inv.Residual >= (1-1e-3)*want {
			break
		}
	}
	return inv.stopped(StopRule), nil
}

// stopped sets the reason of an inner solution that has converged.
func (inv *Inversion) stopped(why Stop) *Inversion {
	if inv.Stop == StopConverged {
		inv.Stop = why
	}
	return inv
}
