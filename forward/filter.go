package forward

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// FilterOptions are the options of the spectral methods [TSVD], [Tikhonov]
// and [GeneralTikhonov].
type FilterOptions struct {
	// Param, if positive, is the regularisation parameter: the number of
	// singular values kept, or Tikhonov's λ. If 0, Rule chooses it.
	Param float64
	// Rule chooses the parameter. The default is Discrepancy if Noise is
	// positive, else GCV.
	Rule Rule
	// Noise is the norm δ = ‖e‖ of the noise in y; σ√m for independent noise
	// of standard deviation σ.
	Noise float64
	// Eta is the safety factor η of the discrepancy principle. If 0, it is 1.01.
	Eta float64
}

// filter is the problem min Σ (α_i z_i - b_i)² + λ² Σ (β_i z_i)² that
// Tikhonov's becomes in the basis of a (generalised) singular value
// decomposition; in standard form α = σ and β = 1.
type filter struct {
	m, n        int
	alpha, beta []float64 // nil beta: all 1
	b           []float64 // Uᵀy
	rest        float64   // ‖y - U Uᵀy‖
}

func newFilter(method string, a inverse.Spectral, y []float64) (*filter, error) {
	m, n, err := checkData(method, a, y)
	if err != nil {
		return nil, err
	}
	f := &filter{m: m, n: n, alpha: a.SingularValues()}
	if !finite(f.alpha) {
		return nil, fmt.Errorf("forward: %s: the operator has a singular value that is not finite", method)
	}
	if floats.Max(f.alpha) == 0 {
		return nil, fmt.Errorf("forward: %s: the operator is zero", method)
	}
	f.b = make([]float64, len(f.alpha))
	b, uuy := mat.NewDense(1, len(f.b), f.b), mat.NewDense(1, m, nil)
	a.MulUT(b, mat.NewDense(1, m, y))
	if !finite(f.b) {
		return nil, fmt.Errorf("forward: %s: the operator gives a value that is not finite", method)
	}
	if m > len(f.b) {
		a.MulU(uuy, b)
		f.rest = floats.Distance(uuy.RawRowView(0), y, 2)
	}
	return f, nil
}

func checkFilter(method string, o *FilterOptions) (Rule, float64, error) {
	rule, eta, err := checkRule(method, o.Rule, o.Noise, o.Eta)
	switch {
	case err != nil:
		return 0, 0, err
	case !(o.Param >= 0) || math.IsInf(o.Param, 1):
		return 0, 0, fmt.Errorf("forward: %s: Param is %v, want a positive number, or 0 for the rule to choose", method, o.Param)
	case o.Param > 0 && rule != DefaultRule:
		return 0, 0, fmt.Errorf("forward: %s: Param is %v and Rule is %v, want one of them", method, o.Param, rule)
	case o.Param > 0:
		return DefaultRule, eta, nil
	case rule == DefaultRule && o.Noise > 0:
		return Discrepancy, eta, nil
	case rule == DefaultRule:
		return GCV, eta, nil
	}
	return rule, eta, nil
}

func unreachable(method string, residual, want float64) error {
	return fmt.Errorf("forward: %s: the residual is at least %.4g, above Eta·Noise = %.4g, for every parameter: the noise is stronger than Noise says, or the operator is not the one that made y",
		method, residual, want)
}

// tiny is the size of a singular value that is zero to rounding.
func (f *filter) tiny() float64 {
	return float64(max(f.m, f.n)) * 0x1p-52 * floats.Max(f.alpha)
}

// parts returns α, β and the filter factor α²/(α² + λ²β²) of component i.
func (f *filter) parts(i int, lambda float64) (alpha, beta, phi float64) {
	alpha, beta = f.alpha[i], 1
	if f.beta != nil {
		beta = f.beta[i]
	}
	switch {
	case alpha == 0:
		return alpha, beta, 0
	case beta == 0:
		return alpha, beta, 1
	}
	g := lambda * beta / alpha
	return alpha, beta, 1 / (1 + g*g)
}

// at returns ‖A x - y‖², ‖L x‖², λ d‖L x‖²/dλ and the trace of the influence
// matrix at λ.
func (f *filter) at(lambda float64) (residual2, norm2, slope, trace float64) {
	residual2 = f.rest * f.rest
	for i, b := range f.b {
		alpha, beta, phi := f.parts(i, lambda)
		r := (1 - phi) * b
		residual2 += r * r
		trace += phi
		if phi > 0 {
			v := phi * beta / alpha * b
			norm2 += v * v
			slope -= 4 * (1 - phi) * v * v
		}
	}
	return residual2, norm2, slope, trace
}

// solution returns the coefficients z at λ.
func (f *filter) solution(lambda float64) []float64 {
	z := make([]float64, len(f.b))
	for i, b := range f.b {
		if alpha, _, phi := f.parts(i, lambda); phi > 0 {
			z[i] = phi / alpha * b
		}
	}
	return z
}

func (f *filter) inversion(x []float64, lambda float64, stop Stop) *Inversion {
	residual2, norm2, _, _ := f.at(lambda)
	return &Inversion{X: x, Residual: math.Sqrt(residual2), Norm: math.Sqrt(norm2), Param: lambda, Stop: stop}
}

// choose returns λ by the options' rule.
func (f *filter) choose(method string, o *FilterOptions) (lambda float64, stop Stop, err error) {
	rule, eta, err := checkFilter(method, o)
	if err != nil {
		return 0, 0, err
	}
	if rule == DefaultRule {
		return o.Param, StopFixed, nil
	}
	lo, hi := f.span()
	if hi == 0 {
		return 0, 0, fmt.Errorf("forward: %s: the regularisation has no effect on any solution", method)
	}
	switch rule {
	case Discrepancy:
		return f.discrepancy(method, eta*o.Noise, lo, hi)
	case GCV:
		lambda = minimise(lo, hi, func(lambda float64) float64 {
			residual2, _, _, trace := f.at(lambda)
			free := float64(f.m) - trace
			return residual2 / (free * free)
		})
	case LCurve:
		lambda = minimise(lo, hi, func(lambda float64) float64 { return -f.curvature(lambda) })
	}
	if lambda < 1.01*lo || lambda > 0.99*hi {
		return lambda, StopBound, nil
	}
	return lambda, StopRule, nil
}

// span returns the least and the greatest α/β, between which λ has effect.
func (f *filter) span() (lo, hi float64) {
	lo = math.Inf(1)
	for i := range f.alpha {
		if alpha, beta, _ := f.parts(i, 1); alpha > 0 && beta > 0 {
			lo, hi = min(lo, alpha/beta), max(hi, alpha/beta)
		}
	}
	return max(lo, 16*0x1p-52*hi), hi
}

// discrepancy solves ‖A x - y‖ = want for λ by bisection of log λ. The
// residual rises with λ.
func (f *filter) discrepancy(method string, want, lo, hi float64) (float64, Stop, error) {
	residual := func(lambda float64) float64 {
		residual2, _, _, _ := f.at(lambda)
		return math.Sqrt(residual2)
	}
	if residual(math.Inf(1)) <= want {
		return math.Inf(1), StopBound, nil
	}
	if least := residual(0); least > want {
		return 0, 0, unreachable(method, least, want)
	}
	for residual(lo) > want {
		lo /= 1024
	}
	for residual(hi) <= want {
		hi *= 1024
	}
	for range 100 {
		mid := math.Sqrt(lo) * math.Sqrt(hi)
		if mid <= lo || mid >= hi {
			break
		}
		if residual(mid) <= want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, StopRule, nil
}

// curvature returns the curvature of (log ‖A x - y‖, log ‖L x‖) at λ, which is
// positive at the corner. It follows from ρ' = -λ²η' for ρ = ‖A x - y‖² and
// η = ‖L x‖² (Hansen and O'Leary, SIAM J. Sci. Comput. 14, 1993).
func (f *filter) curvature(lambda float64) float64 {
	rho, eta, slope, _ := f.at(lambda)
	if rho == 0 || slope == 0 {
		return 0
	}
	l2 := lambda * lambda
	return -2 * eta * rho / slope * (l2*slope*rho + 2*l2*eta*rho + l2*l2*eta*slope) / math.Pow(l2*l2*eta*eta+rho*rho, 1.5)
}

// minimise returns the minimiser of g over [lo, hi] by a scan of log λ in
// steps of at most 10 % and a golden-section search about the best point.
func minimise(lo, hi float64, g func(lambda float64) float64) float64 {
	a, b := math.Log(lo), math.Log(hi)
	n := 1 + int(10*(b-a))
	step := (b - a) / float64(n)
	best, at := math.Inf(1), a
	for i := range n + 1 {
		t := a + float64(i)*step
		if v := g(math.Exp(t)); v < best {
			best, at = v, t
		}
	}
	a, b = max(a, at-step), min(b, at+step)
	ratio := (math.Sqrt(5) - 1) / 2
	c, d := b-ratio*(b-a), a+ratio*(b-a)
	gc, gd := g(math.Exp(c)), g(math.Exp(d))
	for range 50 {
		if gc < gd {
			b, d, gd = d, c, gc
			c = b - ratio*(b-a)
			gc = g(math.Exp(c))
		} else {
			a, c, gc = c, d, gd
			d = a + ratio*(b-a)
			gd = g(math.Exp(d))
		}
	}
	return math.Exp((a + b) / 2)
}
