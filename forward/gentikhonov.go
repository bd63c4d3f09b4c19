package forward

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

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
// factorisation. Larger problems are solved matrix-free, by CGLS on the
// damped system [A; λL]: then λ is given, or found by the discrepancy
// principle from about ten such solutions, to 1 part in 1000 of the residual.
//
// Nil options mean the defaults.
func GeneralTikhonov(ctx context.Context, a, l inverse.Linear, y []float64, o *FilterOptions) (*Inversion, error) {
	const method = "GeneralTikhonov"
	if o == nil {
		o = &FilterOptions{}
	}
	m, n, err := checkData(method, a, y)
	if err != nil {
		return nil, err
	}
	rule, eta, err := checkFilter(method, o)
	if err != nil {
		return nil, err
	}
	if l == nil {
		l = eye(n)
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

	s := &damped{a: a, l: l, m: m, p: p, n: n}
	switch rule {
	case DefaultRule:
		inv, err := s.solve(ctx, y, o.Param, nil)
		if err != nil {
			return nil, err
		}
		inv.Stop = StopFixed
		return inv, nil
	case Discrepancy:
		return s.discrepancy(ctx, y, eta*o.Noise)
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

// eye is the identity on Rⁿ.
type eye int

func (e eye) Dims() (m, n int)          { return int(e), int(e) }
func (e eye) Apply(dst, x *mat.Dense)   { dst.Copy(x) }
func (e eye) Adjoint(dst, y *mat.Dense) { dst.Copy(y) }

// damped is the operator [A; λL] on one row.
type damped struct {
	a, l    inverse.Linear
	m, p, n int
	lambda  float64
}

func (s *damped) Dims() (m, n int) { return s.m + s.p, s.n }

func (s *damped) Apply(dst, x *mat.Dense) {
	top, bottom := s.split(dst)
	s.a.Apply(top, x)
	s.l.Apply(bottom, x)
	bottom.Scale(s.lambda, bottom)
}

func (s *damped) Adjoint(dst, y *mat.Dense) {
	top, bottom := s.split(y)
	lty := mat.NewDense(1, s.n, nil)
	s.a.Adjoint(dst, top)
	s.l.Adjoint(lty, bottom)
	floats.AddScaled(dst.RawRowView(0), s.lambda, lty.RawRowView(0))
}

func (s *damped) split(y *mat.Dense) (top, bottom *mat.Dense) {
	return y.Slice(0, 1, 0, s.m).(*mat.Dense), y.Slice(0, 1, s.m, s.m+s.p).(*mat.Dense)
}

// solve minimises ‖A x - y‖² + λ²‖L x‖², starting at x0.
func (s *damped) solve(ctx context.Context, y []float64, lambda float64, x0 []float64) (*Inversion, error) {
	s.lambda = lambda
	inv, err := CGLS(ctx, s, append(append(make([]float64, 0, s.m+s.p), y...), make([]float64, s.p)...),
		&IterOptions{X0: x0, MaxIter: max(500, 2*s.n), Tol: 1e-10})
	if err != nil {
		return nil, err
	}
	r := mat.NewDense(1, s.m+s.p, nil)
	s.Apply(r, mat.NewDense(1, s.n, inv.X))
	top, bottom := s.split(r)
	inv.Residual = floats.Distance(top.RawRowView(0), y, 2)
	inv.Norm = mat.Norm(bottom, 2) / lambda
	inv.Param = lambda
	return inv, nil
}

// discrepancy finds λ with ‖A x - y‖ = want, by bisection of log λ from a
// bracket about ‖A‖/‖L‖, each solution starting from the one before it.
func (s *damped) discrepancy(ctx context.Context, y []float64, want float64) (*Inversion, error) {
	const method = "GeneralTikhonov"
	na, nl := operatorNorm(s.a, 10), operatorNorm(s.l, 10)
	if na == 0 || nl == 0 {
		return nil, fmt.Errorf("forward: %s: the operator or L is zero", method)
	}
	lambda := na / nl
	inv, err := s.solve(ctx, y, lambda, nil)
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
				inv.Stop = StopBound
				return inv, nil
			}
			return nil, unreachable(method, inv.Residual, want)
		}
		if inv, err = s.solve(ctx, y, lambda, inv.X); err != nil {
			return nil, err
		}
	}
	for range 60 {
		lambda = math.Sqrt(weak) * math.Sqrt(strong)
		if inv, err = s.solve(ctx, y, lambda, inv.X); err != nil {
			return nil, err
		}
		if inv.Residual <= want && inv.Residual >= (1-1e-3)*want {
			break
		}
		if inv.Residual <= want {
			weak = lambda
		} else {
			strong = lambda
		}
	}
	inv.Stop = StopRule
	return inv, nil
}
