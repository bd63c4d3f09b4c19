package forward

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// An Inversion is a regularised least-squares solution of A x = y.
type Inversion struct {
	X        []float64 // the solution, n long
	Residual float64   // ‖A x - y‖
	Norm     float64   // ‖x‖, or ‖L x‖ for [GeneralTikhonov]
	// Param is the regularisation parameter: the number of iterations or of
	// singular values kept, or Tikhonov's λ.
	Param float64
	Stop  Stop // why it ended here
}

// Stop says why an inversion ended where it did.
type Stop int

const (
	// StopLimit means that the limit of iterations was reached.
	StopLimit Stop = iota
	// StopConverged means that x is a least-squares solution to within Tol.
	StopConverged
	// StopRule means that the rule for the parameter chose x.
	StopRule
	// StopFixed means that the caller gave the parameter.
	StopFixed
	// StopBound means that the rule wanted a parameter beyond those that the
	// operator allows: the residual is below the noise level already at
	// x = 0, or GCV or the L-curve ended at the least or the greatest of them,
	// and is not to be trusted.
	StopBound
)

func (s Stop) String() string {
	switch s {
	case StopLimit:
		return "iteration limit"
	case StopConverged:
		return "converged"
	case StopRule:
		return "rule"
	case StopFixed:
		return "fixed parameter"
	case StopBound:
		return "bound of the parameter"
	}
	return fmt.Sprintf("Stop(%d)", int(s))
}

// Rule is a way to choose the regularisation parameter.
type Rule int

const (
	// DefaultRule is Discrepancy where a noise norm is given. Without one it
	// is GCV for the spectral methods, and for the iterative methods it is
	// to go on until convergence or the limit.
	DefaultRule Rule = iota
	// Discrepancy is Morozov's principle: the most regularised solution with
	// ‖A x - y‖ ≤ η δ, where δ is the norm of the noise.
	Discrepancy
	// GCV minimises the generalised cross-validation function
	// ‖A x - y‖² / (m - tr)², where tr is the trace of the matrix that takes
	// y to A x (Golub, Heath and Wahba, 1979). It needs no noise norm, but
	// white noise. The function is flat about its minimum: for severely
	// ill-posed problems of some 100 data, one draw of the noise in ten makes
	// it choose far too small a parameter, which the size of x gives away.
	GCV
	// LCurve takes the corner of the curve (log ‖A x - y‖, log ‖x‖)
	// (Hansen, 1992). It needs no noise norm. It regularises too little where
	// the solution is very smooth.
	LCurve
)

func (r Rule) String() string {
	switch r {
	case DefaultRule:
		return "default"
	case Discrepancy:
		return "discrepancy"
	case GCV:
		return "GCV"
	case LCurve:
		return "L-curve"
	}
	return fmt.Sprintf("Rule(%d)", int(r))
}

// IterOptions are the options of the iterative methods [Landweber], [CGLS]
// and [LSQR], whose regularisation parameter is the number of iterations.
type IterOptions struct {
	// X0 is the first guess, 0 if nil.
	X0 []float64
	// MaxIter limits the iterations. If 0, it is 100.
	MaxIter int
	// Tol ends the iteration when ‖Aᵀr‖ ≤ Tol ‖Aᵀy‖ or ‖r‖ ≤ Tol ‖y‖, where
	// r = y - A x. If 0, it is 1e-10.
	Tol float64
	// Rule chooses the iterate that is returned. GCV ends the iteration when
	// its function has not had a new minimum for 10 iterations and a fifth of
	// those done. LCurve goes on to the limit and then repeats the iterations
	// up to the corner.
	//
	// The trace that GCV needs is taken to be the number of iterations for
	// CGLS and LSQR, the dimension of the Krylov space (Hansen, Rank-Deficient
	// and Discrete Ill-Posed Problems, 1998, section 7.4). For Landweber it is
	// exact if the operator is Spectral, and else estimated with one random
	// probe, which doubles the work.
	Rule Rule
	// Noise is the norm δ = ‖e‖ of the noise in y; σ√m for independent noise
	// of standard deviation σ.
	Noise float64
	// Eta is the safety factor η of the discrepancy principle. If 0, it is 1.01.
	Eta float64
	// Step is Landweber's ω, at most 2/‖A‖². If 0, it is 1/‖A‖² with ‖A‖ by
	// power iteration. The other methods do not use it.
	Step float64
	// Progress, if not nil, is called after each iteration.
	Progress func(Iterate)
}

// Iterate is one iteration, as reported to Progress.
type Iterate struct {
	Iteration int       // from 1
	Residual  float64   // ‖A x - y‖
	Norm      float64   // ‖x‖
	X         []float64 // the iterate; read only, and valid during the call
}

// stepper is the state of an iterative method.
type stepper interface {
	// start sets the state for the first guess x.
	start()
	// step advances x. It returns ‖y - A x‖ and ‖Aᵀ(y - A x)‖, and reports
	// false if no step could be taken because x solves the normal equations.
	step() (residual, gradient float64, ok bool)
	// trace returns the trace of the influence matrix after k iterations.
	trace(k int) float64
}

// leastSquares is what the iterative methods share: the problem, the iterate
// x and the residual r = y - A x.
type leastSquares struct {
	a    inverse.Linear
	m, n int
	y    []float64
	x0   []float64
	x    *mat.Dense // 1×n
	r    *mat.Dense // 1×m
}

func newLeastSquares(method string, a inverse.Linear, y []float64, o *IterOptions) (*leastSquares, error) {
	m, n, err := checkData(method, a, y)
	if err != nil {
		return nil, err
	}
	switch {
	case o.X0 != nil && len(o.X0) != n:
		return nil, fmt.Errorf("forward: %s: X0 has length %d, the operator has %d unknowns", method, len(o.X0), n)
	case !finite(o.X0):
		return nil, fmt.Errorf("forward: %s: X0 has a value that is not finite", method)
	case o.MaxIter < 0:
		return nil, fmt.Errorf("forward: %s: MaxIter is %d, want at least 1, or 0 for the default", method, o.MaxIter)
	case !(o.Tol >= 0):
		return nil, fmt.Errorf("forward: %s: Tol is %v, want a positive number, or 0 for the default", method, o.Tol)
	case !(o.Step >= 0) || math.IsInf(o.Step, 1):
		return nil, fmt.Errorf("forward: %s: Step is %v, want a positive number, or 0 for the default", method, o.Step)
	}
	return &leastSquares{
		a: a, m: m, n: n, y: y, x0: o.X0,
		x: mat.NewDense(1, n, nil), r: mat.NewDense(1, m, nil),
	}, nil
}

// reset sets x to the first guess and r to its residual.
func (p *leastSquares) reset() {
	x, r := p.x.RawRowView(0), p.r.RawRowView(0)
	if p.x0 == nil {
		clear(x)
		copy(r, p.y)
		return
	}
	copy(x, p.x0)
	p.a.Apply(p.r, p.x)
	floats.SubTo(r, p.y, r)
}

// iterate runs a method to its end by the options' rule.
func iterate(ctx context.Context, method string, p *leastSquares, s stepper, o *IterOptions) (*Inversion, error) {
	rule, eta, err := checkRule(method, o.Rule, o.Noise, o.Eta)
	if err != nil {
		return nil, err
	}
	limit, tol := o.MaxIter, o.Tol
	if limit == 0 {
		limit = 100
	}
	if tol == 0 {
		tol = 1e-10
	}
	if rule == DefaultRule && o.Noise > 0 {
		rule = Discrepancy
	}

	x := p.x.RawRowView(0)
	g := mat.NewDense(1, p.n, nil)
	p.a.Adjoint(g, mat.NewDense(1, p.m, p.y))
	aty, ynorm := mat.Norm(g, 2), floats.Norm(p.y, 2)
	if math.IsNaN(aty) || math.IsInf(aty, 0) {
		return nil, fmt.Errorf("forward: %s: the operator's adjoint gives a value that is not finite", method)
	}
	if aty == 0 && ynorm > 0 && operatorNorm(p.a, 1) == 0 {
		return nil, fmt.Errorf("forward: %s: the operator is zero", method)
	}
	p.reset()
	residual := mat.Norm(p.r, 2)
	p.a.Adjoint(g, p.r)
	done := func(k int, stop Stop) *Inversion {
		return &Inversion{X: append([]float64(nil), x...), Residual: residual,
			Norm: floats.Norm(x, 2), Param: float64(k), Stop: stop}
	}
	if rule == Discrepancy && residual <= eta*o.Noise {
		return done(0, StopBound), nil
	}
	if mat.Norm(g, 2) <= tol*aty || residual <= tol*ynorm {
		return done(0, StopConverged), nil
	}

	s.start()
	var (
		best    *Inversion // so far, by GCV
		bestGCV = math.Inf(1)
		curve   []point // the L-curve
		stop    = StopLimit
		k       int
	)
	for k = 1; k <= limit; k++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		res, gradient, ok := s.step()
		if !ok {
			k--
			stop = StopConverged
			break
		}
		residual = res
		norm := floats.Norm(x, 2)
		if math.IsNaN(residual+norm) || math.IsInf(residual+norm, 0) {
			return nil, fmt.Errorf("forward: %s: diverged at iteration %d", method, k)
		}
		if o.Progress != nil {
			o.Progress(Iterate{Iteration: k, Residual: residual, Norm: norm, X: x})
		}
		switch rule {
		case Discrepancy:
			if residual <= eta*o.Noise {
				return done(k, StopRule), nil
			}
		case GCV:
			free := float64(p.m) - s.trace(k)
			if free > 0 {
				if v := residual / free; v < bestGCV {
					best, bestGCV = done(k, StopRule), v
				}
			}
			if best != nil && float64(k)-best.Param >= 10+float64(k)/5 {
				return best, nil
			}
		case LCurve:
			curve = append(curve, point{math.Log(residual), math.Log(norm)})
		}
		if gradient <= tol*aty || residual <= tol*ynorm {
			stop = StopConverged
			break
		}
	}
	k = min(k, limit)
	if best != nil {
		if best.Param == float64(k) {
			best.Stop = stop // still falling
		}
		return best, nil
	}
	if corner, ok := lcurveCorner(curve); ok && corner+1 < k {
		s.start()
		for k = 1; k <= corner+1; k++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			residual, _, _ = s.step()
		}
		return done(corner+1, StopRule), nil
	}
	return done(k, stop), nil
}

func checkData(method string, a inverse.Linear, y []float64) (m, n int, err error) {
	if a == nil {
		return 0, 0, fmt.Errorf("forward: %s: the operator is nil", method)
	}
	m, n = a.Dims()
	switch {
	case m <= 0 || n <= 0:
		return 0, 0, fmt.Errorf("forward: %s: the operator is %d×%d, want at least 1×1", method, m, n)
	case len(y) != m:
		return 0, 0, fmt.Errorf("forward: %s: y has length %d, the operator gives %d data", method, len(y), m)
	case !finite(y):
		return 0, 0, fmt.Errorf("forward: %s: y has a value that is not finite", method)
	}
	return m, n, nil
}

func checkRule(method string, rule Rule, noise, eta float64) (Rule, float64, error) {
	switch {
	case rule < DefaultRule || rule > LCurve:
		return 0, 0, fmt.Errorf("forward: %s: unknown Rule %d", method, int(rule))
	case !(noise >= 0) || math.IsInf(noise, 1):
		return 0, 0, fmt.Errorf("forward: %s: Noise is %v, want the norm of the noise", method, noise)
	case rule == Discrepancy && noise == 0:
		return 0, 0, fmt.Errorf("forward: %s: Noise is 0, the discrepancy principle needs the norm of the noise", method)
	case eta != 0 && !(eta >= 1 && !math.IsInf(eta, 1)):
		return 0, 0, fmt.Errorf("forward: %s: Eta is %v, want at least 1, or 0 for the default", method, eta)
	}
	if eta == 0 {
		eta = 1.01
	}
	return rule, eta, nil
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
