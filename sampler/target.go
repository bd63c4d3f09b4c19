package sampler

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/mat"
)

// Evaluator is a target whose evaluation may fail, as that of a differential
// equation does. Kernels use it where it is present: an error makes the
// transition a divergence with that reason.
type Evaluator interface {
	// Evaluate returns the log density at x, and stores its gradient in score
	// unless score is nil.
	Evaluate(score, x []float64) (float64, error)
}

// ScoreOnly is a target with a score and no density, for kernels that need no
// more: the score function at diffusion time T.
type ScoreOnly struct {
	Score inverse.ScoreFunc
	T     float64
}

// Dim returns the dimension of the space.
func (s ScoreOnly) Dim() int { return s.Score.Dim() }

// LogProb returns NaN: the density is not known.
func (s ScoreOnly) LogProb([]float64) float64 { return math.NaN() }

// ScoreInput stores the score at x in dst and returns it. A nil dst is
// allocated.
func (s ScoreOnly) ScoreInput(dst, x []float64) []float64 {
	if dst == nil {
		dst = make([]float64, len(x))
	}
	s.Score.Score(mat.NewDense(1, len(x), dst), mat.NewDense(1, len(x), x), s.T)
	return dst
}

// Target is a density as kernels see it, on all of Rᵈ: a bounded parameter
// has been transformed, value and score are fused where the density allows,
// and a failure (an error, NaN or +Inf) is a log density of -Inf whose reason
// the loop collects. It belongs to one chain and is not safe for concurrent
// use.
type Target struct {
	dim      int
	name     string // of the user's type, for errors
	score    bool
	value    bool
	evaluate func(score, x []float64) (float64, error)
	point    func(x []float64) []float64 // in the user's space
	tr       prior.Transform             // or nil
	userDim  int                         // dimension of the user's space
	derived  bool                        // it is a conditional or tempered density of another one
	climbs   bool                        // its kernel uses value and score

	err error     // the first failure since takeErr
	at  []float64 // and where, in the user's space
}

// NewTarget returns density as a Target of dimension dim, for those who use a
// Kernel without [Run]. If transform is not nil it takes the density's
// argument to all of Rᵈ, and dim is that of the density's argument.
func NewTarget(density inverse.Density, dim int, transform prior.Transform) (*Target, error) {
	if dim < 1 {
		return nil, fmt.Errorf("sampler: target: dimension is %d, want 1 or more", dim)
	}
	t := &Target{
		dim: dim, userDim: dim,
		name:  fmt.Sprintf("%T", density),
		value: true,
		point: func(x []float64) []float64 { return x },
	}
	switch d := density.(type) {
	case Evaluator:
		t.score, t.evaluate = true, d.Evaluate
	case inverse.LogProbScorer:
		t.score = true
		t.evaluate = func(score, x []float64) (float64, error) {
			if score == nil {
				return density.LogProb(x), nil
			}
			return d.LogProbScore(score, x), nil
		}
	case ScoreOnly:
		t.score, t.value = true, false
		dst, in := mat.NewDense(1, dim, nil), mat.NewDense(1, dim, nil)
		t.evaluate = func(score, x []float64) (float64, error) {
			if score != nil {
				in.SetRow(0, x)
				d.Score.Score(dst, in, d.T)
				copy(score, dst.RawRowView(0))
			}
			return 0, nil
		}
	case inverse.DifferentiableDensity:
		t.score = true
		t.evaluate = func(score, x []float64) (float64, error) {
			if score != nil {
				d.ScoreInput(score, x)
			}
			return d.LogProb(x), nil
		}
	default:
		t.evaluate = func(_, x []float64) (float64, error) { return density.LogProb(x), nil }
	}
	if d, ok := density.(interface{ Differentiable() error }); ok && d.Differentiable() != nil {
		t.score = false
	}
	if transform != nil {
		if err := t.transform(transform); err != nil {
			return nil, err
		}
	}
	t.at = make([]float64, dim)
	return t, nil
}

// transform makes t the density of u, where x = T(u) has the density t.
func (t *Target) transform(tr prior.Transform) error {
	nx, nu := tr.Dims()
	if nx != t.dim {
		return fmt.Errorf("sampler: Transform has dimension %d, the target %d", nx, t.dim)
	}
	x, gx := make([]float64, nx), make([]float64, nx)
	inner := t.evaluate
	t.dim, t.tr = nu, tr
	t.point = func(u []float64) []float64 {
		tr.Constrain(x, u)
		return x
	}
	t.evaluate = func(score, u []float64) (float64, error) {
		logDet := tr.Constrain(x, u)
		if score == nil {
			lp, err := inner(nil, x)
			return lp + logDet, err
		}
		lp, err := inner(gx, x)
		tr.Pullback(score, u, x, gx)
		return lp + logDet, err
	}
	return nil
}

// Dim returns the dimension of the space.
func (t *Target) Dim() int { return t.dim }

// HasScore reports whether LogProbScore can be called.
func (t *Target) HasScore() bool { return t.score }

// HasLogProb reports whether the log density is known, not only its score.
func (t *Target) HasLogProb() bool { return t.value }

// LogProb returns the log density at x: finite, or -Inf outside the support
// and where the target fails.
func (t *Target) LogProb(x []float64) float64 {
	lp, err := t.evaluate(nil, x)
	if err != nil || math.IsNaN(lp) || lp > math.MaxFloat64 {
		t.fail(lp, err, x)
		return math.Inf(-1)
	}
	return lp
}

// LogProbScore stores the score at x in score and returns the log density:
// finite with a finite score, or -Inf outside the support and where the
// target fails. The value is 0 if only the score is known.
func (t *Target) LogProbScore(score, x []float64) float64 {
	lp := t.unchecked(score, x)
	if lp < -math.MaxFloat64 || t.checkScore(score, x) {
		return lp
	}
	return math.Inf(-1)
}

// unchecked is LogProbScore for a caller that sees for itself that a score is
// not finite.
func (t *Target) unchecked(score, x []float64) float64 {
	lp, err := t.evaluate(score, x)
	if err != nil || math.IsNaN(lp) || lp > math.MaxFloat64 {
		t.fail(lp, err, x)
		return math.Inf(-1)
	}
	return lp
}

// checkScore reports whether the score at x is finite, and records the failure
// if it is not.
func (t *Target) checkScore(score, x []float64) bool {
	if allFinite(score) {
		return true
	}
	t.fail(0, errors.New("its score is not finite"), x)
	return false
}

func (t *Target) fail(lp float64, err error, x []float64) {
	if t.err != nil {
		return
	}
	if err == nil {
		err = fmt.Errorf("its log density is %g", lp)
	}
	t.err = err
	t.at = append(t.at[:0], t.point(x)...)
}

// takeErr returns the first failure since the last call, and nil if there was
// none.
func (t *Target) takeErr() error {
	err := t.err
	t.err = nil
	return err
}

// derive returns a target of dimension dim that is evaluated through t, which
// collects the failures: a conditional or a tempered density.
func (t *Target) derive(dim int, evaluate func(score, x []float64) float64) *Target {
	return &Target{
		dim: dim, userDim: dim, derived: true, name: t.name, score: t.score, value: t.value, point: func(x []float64) []float64 { return x },
		evaluate: func(score, x []float64) (float64, error) { return evaluate(score, x), nil },
	}
}

// needs returns an error unless t has what the named kernel asks for.
func (t *Target) needs(kernel string, value, score bool) error {
	if score && !t.score {
		return fmt.Errorf("sampler: %s needs the score of the target: %s has none of the methods ScoreInput, LogProbScore, Evaluate", kernel, t.name)
	}
	if value && !t.value {
		return fmt.Errorf("sampler: %s needs the log density of the target, not only its score", kernel)
	}
	t.climbs = value && score
	return nil
}

// startError describes a point that a chain cannot be started from.
func (t *Target) startError(lp float64) error {
	if err := t.takeErr(); err != nil {
		return fmt.Errorf("the target fails at %.6g: %w", t.at, err)
	}
	return fmt.Errorf("the log density is %g", lp)
}

func allFinite(x []float64) bool {
	var s0, s1 float64
	for len(x) >= 2 {
		s0 += x[0] - x[0]
		s1 += x[1] - x[1]
		x = x[2:]
	}
	for _, v := range x {
		s0 += v - v
	}
	return s0+s1 == 0
}
