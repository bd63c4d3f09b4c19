package prior

import (
	"fmt"
	"math"
)

// Transform is a smooth one-to-one map x = T(u) from all of R^k onto a
// constrained set, so that an algorithm made for R^k (HMC, variational
// inference, a normalising flow) can work on a density with bounded support.
// The density of u is that of T(u) times |det J(u)|.
//
// The set may have fewer free coordinates than x has (a simplex): J is then
// the Jacobian of the first k coordinates of x, with respect to which such
// densities are written.
//
// Transforms are safe for concurrent use and do not allocate.
type Transform interface {
	// Dims returns the dimensions of the constrained x and of the
	// unconstrained u.
	Dims() (x, u int)
	// Constrain sets x to T(u) and returns log |det J(u)|. However large the
	// coordinates of u, x is finite; short of overflow of exp(u) it is
	// strictly inside the set, also where rounding would put it on an edge.
	Constrain(x, u []float64) (logDet float64)
	// Unconstrain sets u to T⁻¹(x). The error says which coordinate of x is
	// not inside the set.
	Unconstrain(u, x []float64) error
	// Pullback sets gu to J(u)ᵀgx + ∇ log |det J(u)|, the gradient in u of
	// log p(T(u)) + log |det J(u)| where gx is the gradient of log p at
	// x = T(u). The destination gu may be u.
	Pullback(gu, u, x, gx []float64)
}

// TransformOf returns the natural transform of the support of p: what p's own
// method Transform() Transform returns, which the bounded priors of this
// package and posteriors of them have, or else, also if that returns nil,
// Identity(p.Dim()).
func TransformOf(p interface{ Dim() int }) Transform {
	if b, ok := p.(interface{ Transform() Transform }); ok {
		if t := b.Transform(); t != nil {
			return t
		}
	}
	return Identity(p.Dim())
}

// Identity returns the identity of Rⁿ. It panics if n < 1.
func Identity(n int) Transform {
	mustBePositive("Identity", n)
	return &interval{kind: make([]boundKind, n), lower: make([]float64, n), upper: make([]float64, n)}
}

// Positive returns the transform x = exp(u) of each of n coordinates, onto
// (0, ∞)ⁿ. It panics if n < 1.
func Positive(n int) Transform {
	mustBePositive("Positive", n)
	t := Identity(n).(*interval)
	for i := range t.kind {
		t.kind[i] = boundedBelow
	}
	return t
}

// Interval returns a transform onto the open box with the given sides, which
// may be infinite, coordinate by coordinate:
//
//	(-∞, ∞)   x = u
//	(L, ∞)    x = L + exp(u)
//	(-∞, U)   x = U - exp(u)
//	(L, U)    x = L + (U - L)/(1 + exp(-u))
//
// It returns an error if the lengths differ or are 0, or unless
// lower[i] < upper[i] for all i.
func Interval(lower, upper []float64) (Transform, error) {
	if err := checkBounds("Interval", lower, upper); err != nil {
		return nil, err
	}
	t := &interval{
		kind:  make([]boundKind, len(lower)),
		lower: append([]float64(nil), lower...),
		upper: append([]float64(nil), upper...),
	}
	for i := range lower {
		below, above := !math.IsInf(lower[i], 0), !math.IsInf(upper[i], 0)
		switch {
		case below && above:
			t.kind[i] = boundedBoth
		case below:
			t.kind[i] = boundedBelow
		case above:
			t.kind[i] = boundedAbove
		}
	}
	return t, nil
}

// checkBounds returns an error unless lower[i] < upper[i] for all i and each
// side is finite or the infinity of its own end.
func checkBounds(name string, lower, upper []float64) error {
	if len(lower) == 0 {
		return fmt.Errorf("prior: %s: lower is empty", name)
	}
	if len(lower) != len(upper) {
		return fmt.Errorf("prior: %s: lower has length %d, upper has length %d", name, len(lower), len(upper))
	}
	for i, l := range lower {
		if u := upper[i]; !(l < u) || math.IsInf(l, 1) || math.IsInf(u, -1) {
			return fmt.Errorf("prior: %s: lower[%d] = %g is not below upper[%d] = %g", name, i, l, i, u)
		}
		if w := upper[i] - l; math.IsInf(w, 0) && !math.IsInf(l, 0) && !math.IsInf(upper[i], 0) {
			return fmt.Errorf("prior: %s: upper[%d] - lower[%d] overflows", name, i, i)
		}
	}
	return nil
}

type boundKind byte

const (
	unbounded boundKind = iota
	boundedBelow
	boundedAbove
	boundedBoth
)

// interval is the transform of each coordinate by its own bounds.
type interval struct {
	kind         []boundKind
	lower, upper []float64
}

var _ Transform = (*interval)(nil)

func (t *interval) Dims() (x, u int) { return len(t.kind), len(t.kind) }

func (t *interval) Constrain(x, u []float64) (logDet float64) {
	checkTransformLengths(t, x, u)
	for i, v := range u {
		switch t.kind[i] {
		case unbounded:
			x[i] = v
		case boundedBelow:
			x[i] = above(t.lower[i], exp(v))
			logDet += v
		case boundedAbove:
			x[i] = below(t.upper[i], exp(v))
			logDet += v
		case boundedBoth:
			l, w := t.lower[i], t.upper[i]-t.lower[i]
			// From the nearer end, so that neither end loses digits.
			if v < 0 {
				x[i] = math.Min(above(l, w*sigmoid(v)), math.Nextafter(t.upper[i], l))
			} else {
				x[i] = math.Max(below(t.upper[i], w*sigmoid(-v)), math.Nextafter(l, t.upper[i]))
			}
			logDet += math.Log(w) - math.Abs(v) - 2*math.Log1p(math.Exp(-math.Abs(v)))
		}
	}
	return logDet
}

func (t *interval) Unconstrain(u, x []float64) error {
	checkTransformLengths(t, x, u)
	for i, v := range x {
		l, h := t.lower[i], t.upper[i]
		switch t.kind[i] {
		case unbounded:
			u[i] = v
		case boundedBelow:
			u[i] = math.Log(v - l)
		case boundedAbove:
			u[i] = math.Log(h - v)
		case boundedBoth:
			u[i] = math.Log(v-l) - math.Log(h-v)
		}
		if math.IsNaN(u[i]) || math.IsInf(u[i], 0) {
			if t.kind[i] == boundedBelow || t.kind[i] == unbounded {
				h = math.Inf(1)
			}
			if t.kind[i] == boundedAbove || t.kind[i] == unbounded {
				l = math.Inf(-1)
			}
			return fmt.Errorf("prior: x[%d] = %g is not inside (%g, %g)", i, v, l, h)
		}
	}
	return nil
}

func (t *interval) Pullback(gu, u, x, gx []float64) {
	checkPullbackLengths(t, gu, u, x, gx)
	for i, v := range u {
		switch t.kind[i] {
		case unbounded:
			gu[i] = gx[i]
		case boundedBelow:
			gu[i] = gx[i]*exp(v) + 1
		case boundedAbove:
			gu[i] = -gx[i]*exp(v) + 1
		case boundedBoth:
			s, c := sigmoid(v), sigmoid(-v)
			gu[i] = gx[i]*(t.upper[i]-t.lower[i])*s*c + c - s
		}
	}
}

// Joint returns the transform that acts with each of ts on its own block of
// coordinates, in order. It panics if ts is empty.
func Joint(ts ...Transform) Transform {
	mustBePositive("Joint", len(ts))
	return &joint{blocks: append([]Transform(nil), ts...)}
}

type joint struct{ blocks []Transform }

var _ Transform = (*joint)(nil)

func (j *joint) Dims() (x, u int) {
	for _, t := range j.blocks {
		nx, nu := t.Dims()
		x, u = x+nx, u+nu
	}
	return x, u
}

func (j *joint) Constrain(x, u []float64) (logDet float64) {
	checkTransformLengths(j, x, u)
	for _, t := range j.blocks {
		nx, nu := t.Dims()
		logDet += t.Constrain(x[:nx], u[:nu])
		x, u = x[nx:], u[nu:]
	}
	return logDet
}

func (j *joint) Unconstrain(u, x []float64) error {
	checkTransformLengths(j, x, u)
	at := 0
	for k, t := range j.blocks {
		nx, nu := t.Dims()
		if err := t.Unconstrain(u[:nu], x[:nx]); err != nil {
			return fmt.Errorf("%w (in block %d, which begins at x[%d])", err, k, at)
		}
		x, u, at = x[nx:], u[nu:], at+nx
	}
	return nil
}

func (j *joint) Pullback(gu, u, x, gx []float64) {
	checkPullbackLengths(j, gu, u, x, gx)
	for _, t := range j.blocks {
		nx, nu := t.Dims()
		t.Pullback(gu[:nu], u[:nu], x[:nx], gx[:nx])
		gu, u, x, gx = gu[nu:], u[nu:], x[nx:], gx[nx:]
	}
}

// above returns l + d for d >= 0, kept above l and finite.
func above(l, d float64) float64 {
	return math.Min(math.Max(l+d, math.Nextafter(l, math.Inf(1))), math.MaxFloat64)
}

// below returns h - d for d >= 0, kept below h and finite.
func below(h, d float64) float64 { return -above(-h, d) }

// exp is the exponential, kept finite.
func exp(v float64) float64 { return math.Min(math.Exp(v), math.MaxFloat64) }

func sigmoid(v float64) float64 {
	if v >= 0 {
		return 1 / (1 + math.Exp(-v))
	}
	e := math.Exp(v)
	return e / (1 + e)
}

// logSigmoid is log(1/(1+exp(-v))).
func logSigmoid(v float64) float64 {
	if v >= 0 {
		return -math.Log1p(math.Exp(-v))
	}
	return v - math.Log1p(math.Exp(v))
}

func mustBePositive(name string, n int) {
	if n < 1 {
		panic(fmt.Sprintf("prior: %s: dimension %d is not positive", name, n))
	}
}

func checkTransformLengths(t Transform, x, u []float64) {
	if nx, nu := t.Dims(); len(x) != nx || len(u) != nu {
		panic(fmt.Sprintf("prior: lengths of x and u are %d and %d, want %d and %d", len(x), len(u), nx, nu))
	}
}

func checkPullbackLengths(t Transform, gu, u, x, gx []float64) {
	checkTransformLengths(t, x, u)
	checkTransformLengths(t, gx, gu)
}
