package prior

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// checkTol is what CheckScore and CheckTransform hold derivatives to,
// relative to the largest of them.
const checkTol = 1e-6

// CheckScore checks the score of a density at x, which must lie inside the
// support: that it agrees with central differences of LogProb to 1e-6 of its
// largest coordinate, that ScoreInput fills and returns the slice it is given
// and allocates when given nil, that it and LogProb leave x alone, and, if p
// is an inverse.LogProbScorer, that the fused evaluation agrees with the
// separate ones. It returns an error that says what is wrong, and nil if all
// is well. Use it to test a density of your own.
func CheckScore(p inverse.DifferentiableDensity, x []float64) error {
	at := slices.Clone(x)
	logp := p.LogProb(at)
	if math.IsNaN(logp) || math.IsInf(logp, 0) {
		return fmt.Errorf("LogProb(x) is %g: the score is checked where it is finite", logp)
	}
	score := p.ScoreInput(nil, at)
	if i := differ(x, at, 0); i >= 0 {
		return fmt.Errorf("x[%d] was changed from %v to %v", i, x[i], at[i])
	}
	if len(score) != len(x) {
		return fmt.Errorf("ScoreInput(nil, x) has length %d, want %d", len(score), len(x))
	}
	into := make([]float64, len(x))
	for i := range into {
		into[i] = math.NaN()
	}
	if got := p.ScoreInput(into, at); len(got) != len(x) || &got[0] != &into[0] {
		return fmt.Errorf("ScoreInput(score, x) does not return score")
	}
	if i := differ(score, into, 0); i >= 0 {
		return fmt.Errorf("ScoreInput(score, x)[%d] is %v, ScoreInput(nil, x)[%d] is %v", i, into[i], i, score[i])
	}
	if f, ok := p.(inverse.LogProbScorer); ok {
		fused := make([]float64, len(x))
		if v := f.LogProbScore(fused, at); !(math.Abs(v-logp) <= 1e-10*math.Max(1, math.Abs(logp))) {
			return fmt.Errorf("LogProbScore(score, x) returns %v, LogProb(x) is %v", v, logp)
		}
		if i := differ(score, fused, 1e-10); i >= 0 {
			return fmt.Errorf("LogProbScore(score, x) sets score[%d] to %v, ScoreInput to %v", i, fused[i], score[i])
		}
	}
	return compareGradient("score", score, p.LogProb, at)
}

// CheckTransform checks a transform at u: that Unconstrain inverts Constrain,
// that the log determinant is that of the Jacobian by central differences,
// and that Pullback agrees with central differences, all to 1e-6. It returns
// an error that says what is wrong, and nil if all is well.
func CheckTransform(t Transform, u []float64) error {
	nx, nu := t.Dims()
	if len(u) != nu {
		return fmt.Errorf("length of u is %d, Dims says %d", len(u), nu)
	}
	x, back := make([]float64, nx), make([]float64, nu)
	logDet := t.Constrain(x, u)
	if err := t.Unconstrain(back, x); err != nil {
		return fmt.Errorf("Unconstrain(Constrain(u)): %w", err)
	}
	if i := differ(u, back, checkTol); i >= 0 {
		return fmt.Errorf("Unconstrain(Constrain(u))[%d] is %v, u[%d] is %v", i, back[i], i, u[i])
	}

	jac := mat.NewDense(nu, nu, nil)
	at, y := slices.Clone(u), make([]float64, nx)
	for j := range u {
		for i := range nu {
			d, _ := derivative(func(v float64) float64 {
				at[j] = v
				t.Constrain(y, at)
				return y[i]
			}, u[j])
			jac.Set(i, j, d)
		}
		at[j] = u[j]
	}
	if want, _ := mat.LogDet(jac); !(math.Abs(logDet-want) <= checkTol*math.Max(1, math.Abs(want))) {
		return fmt.Errorf("log |det J(u)| is %v, by differences %v", logDet, want)
	}

	// Pull back the gradient of a function that is linear in x.
	gx, gu := make([]float64, nx), make([]float64, nu)
	for i := range gx {
		gx[i] = math.Sin(float64(3*i + 1))
	}
	t.Pullback(gu, u, x, gx)
	return compareGradient("Pullback", gu, func(u []float64) float64 {
		f := t.Constrain(y, u)
		for i, v := range y {
			f += gx[i] * v
		}
		return f
	}, at)
}

// compareGradient returns an error unless grad is the gradient of f at x. It
// leaves x as it was.
func compareGradient(name string, grad []float64, f func(x []float64) float64, x []float64) error {
	largest := 0.0
	for i, g := range grad {
		if math.IsNaN(g) || math.IsInf(g, 0) {
			return fmt.Errorf("%s[%d] is %g", name, i, g)
		}
		largest = math.Max(largest, math.Abs(g))
	}
	for i, g := range grad {
		at := x[i]
		d, e := derivative(func(v float64) float64 {
			x[i] = v
			return f(x)
		}, at)
		x[i] = at
		if !(e <= checkTol*math.Max(1, largest)) {
			return fmt.Errorf("central differences do not converge at coordinate %d, where x is %v and %s is %v (%v, error %.1e)", i, at, name, g, d, e)
		}
		if math.Abs(g-d) > checkTol*largest+e {
			return fmt.Errorf("%s[%d] is %v, central differences give %v", name, i, g, d)
		}
	}
	return nil
}

// derivative returns f'(x) and an estimate of its error, by Ridders' method:
// central differences of shrinking step, extrapolated to step 0 (Ridders,
// Adv. Eng. Software 4, 1982).
func derivative(f func(float64) float64, x float64) (d, err float64) {
	const (
		n      = 16
		shrink = 2
	)
	var a, b [n]float64
	h := 0.1 * math.Max(1, math.Abs(x))
	err = math.Inf(1)
	for i := range n {
		a[0] = (f(x+h) - f(x-h)) / ((x + h) - (x - h))
		factor := 1.0
		for j := 1; j <= i; j++ {
			factor *= shrink * shrink
			a[j] = (factor*a[j-1] - b[j-1]) / (factor - 1)
			// Bounded by both parents of the extrapolation.
			if e := math.Max(math.Abs(a[j]-a[j-1]), math.Abs(a[j]-b[j-1])); e <= err {
				d, err = a[j], e
			}
		}
		a, b = b, a
		h /= shrink
	}
	return d, err
}

// differ returns the first i at which a and b differ by more than tol of the
// largest coordinate of a (or of 1, if that is larger), and -1 if there is none.
func differ(a, b []float64, tol float64) int {
	scale := 1.0
	for _, v := range a {
		scale = math.Max(scale, math.Abs(v))
	}
	for i, v := range a {
		if !(math.Abs(v-b[i]) <= tol*scale) {
			return i
		}
	}
	return -1
}
