package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// Family is a family of distributions that [Fit] can approximate a density
// by, with the algorithm that does so: *[ADVI], *[Pathfinder] or *[SVGD].
type Family interface {
	// String names the family.
	String() string
	// fit returns the member of the family that is nearest to the target on
	// the unconstrained space.
	fit(ctx context.Context, f *fitting) (variational, error)
}

// variational is a distribution on the unconstrained space that is safe for
// concurrent use.
type variational interface {
	// draw sets u to a draw and returns its log density, better than logProb
	// can if the covariance matrix is ill-conditioned.
	draw(u []float64, rnd *rand.Rand) (logProb float64)
	// logProb returns the normalised log density at u.
	logProb(u []float64) float64
}

// FitOptions are the options of [Fit]. The zero value of a field, and a nil
// *FitOptions, stand for the default.
type FitOptions struct {
	// Init holds points to start from, one a row, in the target's own space;
	// paths and particles beyond them start again from the first. If Init is
	// nil, each coordinate is drawn from U(-2, 2) on the unconstrained space,
	// anew until the target is finite there, at most 100 times.
	Init *mat.Dense
	// Transform takes the target's bounded parameters to the whole space, on
	// which the approximation is made. If Transform is nil, the target's
	// method Transform() prior.Transform is used if it has one, and no
	// transform otherwise.
	Transform prior.Transform
	// Names are the names of the parameters. If Names is nil, the target's
	// method Names() []string is used if it has one, and x[1], x[2], ...
	// otherwise.
	Names []string
	// Draws is the number of draws by which the approximation is judged. If
	// Draws is 0, it will be defaulted to 1000.
	Draws int

	// Workers is the number of goroutines that evaluate the target. If
	// Workers is 0, it will be defaulted to GOMAXPROCS; 1 suits a target that
	// is not safe for concurrent use.
	Workers int
	// Src seeds the random streams. If Src is nil, they are seeded afresh.
	Src rand.Source
	// Progress, if not nil, is called about ten times a second. Calls do not
	// overlap.
	Progress func(FitProgress)
}

// FitProgress says how far a fit is.
type FitProgress struct {
	Done, Total int           // iterations, and their greatest number
	ELBO        float64       // the best evidence lower bound so far; NaN before there is one
	Elapsed     time.Duration // since the start of Fit
}

// Fit approximates a density by a member of the family. The [Approximation]
// is judged by importance sampling: its String and its Good say whether it is
// a good one.
//
// The target is one with gonum's LogProb and ScoreInput; the methods of
// [inverse.LogProbScorer] and [Evaluator] are used where present. Its
// dimension is that of its method Dim() int, of FitOptions.Transform or of
// FitOptions.Init. It need not be normalised.
//
// If ctx ends, Fit returns its error. Other errors name the step that failed,
// and, where the target did, the point.
func Fit(ctx context.Context, target inverse.Density, family Family, options *FitOptions) (*Approximation, error) {
	f, err := newFitting(target, family, options)
	if err != nil {
		return nil, err
	}
	var a *Approximation
	// The user's code may panic, and that is to be an error.
	err = par.Each(ctx, 1, 1, func(int) error {
		q, err := family.fit(ctx, f)
		if err != nil {
			return err
		}
		a, err = f.judge(ctx, q)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("sampler: fit of %v: %w", family, err)
	}
	a.Names, a.family = f.names, family.String()
	return a, nil
}

// fitting is a fit under way.
type fitting struct {
	FitOptions
	names     []string
	dim       int // of the unconstrained space
	seed      uint64
	start     time.Time
	targets   sync.Pool // of *Target
	warnings  []string
	quiet     bool       // not to report progress
	particles *mat.Dense // of SVGD, on the unconstrained space

	mu   sync.Mutex // of the fields below
	done int
	elbo float64
	next time.Time
}

// Numbers of random streams: those below streamELBO belong to the families.
const (
	streamELBO  = 1 << 40
	streamADVI  = 3 << 39 // of its lower bounds
	streamJudge = 2 << 40
	streamUser  = 3 << 40
)

func newFitting(target inverse.Density, family Family, options *FitOptions) (*fitting, error) {
	if target == nil {
		return nil, errors.New("sampler: target is nil")
	}
	if family == nil {
		return nil, errors.New("sampler: family is nil")
	}
	f := &fitting{elbo: math.NaN(), start: time.Now()}
	if options != nil {
		f.FitOptions = *options
	}
	if f.Draws < 0 {
		return nil, fmt.Errorf("sampler: FitOptions.Draws is %d, want 1 or more", f.Draws)
	}
	if f.Draws == 0 {
		f.Draws = 1000
	}
	// What Run and Fit know of a target is found in one way.
	s := &Settings{Transform: f.Transform, Init: f.Init}
	if s.Transform == nil {
		if t, ok := target.(interface{ Transform() prior.Transform }); ok {
			s.Transform = t.Transform()
		}
	}
	f.Transform = s.Transform
	dim, err := dimOf(target, s)
	if err != nil {
		return nil, err
	}
	if f.names, err = names(target, f.Names, dim); err != nil {
		return nil, err
	}
	t, err := NewTarget(target, dim, f.Transform)
	if err != nil {
		return nil, err
	}
	if !t.HasScore() || !t.HasLogProb() {
		return nil, fmt.Errorf("sampler: Fit needs a target with LogProb and ScoreInput, which %T is not", target)
	}
	f.dim = t.Dim()
	f.targets.New = func() any {
		t, _ := NewTarget(target, dim, f.Transform) // the same call has succeeded
		return t
	}
	f.seed = rng.Seed(f.Src)
	return f, nil
}

// with calls g with a target of its own.
func (f *fitting) with(g func(t *Target) error) error {
	t := f.targets.Get().(*Target)
	defer f.targets.Put(t)
	return g(t)
}

// first sets u to the point to start from with number i, where the target is
// finite.
func (f *fitting) first(u []float64, i int) error {
	return f.with(func(t *Target) error {
		score := make([]float64, f.dim)
		if f.Init != nil {
			if n, _ := f.Init.Dims(); i >= n {
				i = 0
			}
			x := f.Init.RawRowView(i)
			if f.Transform == nil {
				copy(u, x)
			} else if err := f.Transform.Unconstrain(u, x); err != nil {
				return fmt.Errorf("FitOptions.Init, row %d: %w", i, err)
			}
			if math.IsInf(t.LogProbScore(score, u), -1) {
				return fmt.Errorf("cannot start from FitOptions.Init, row %d: %w", i, t.why())
			}
			return nil
		}
		rnd := rand.New(rng.New(f.seed, uint64(i)))
		var err error
		for range initTries {
			for j := range u {
				u[j] = initRadius * (2*rnd.Float64() - 1)
			}
			if !math.IsInf(t.LogProbScore(score, u), -1) {
				return nil
			}
			err = t.why()
		}
		return fmt.Errorf("no point to start from in %d tries from U(-%d, %d): %w; give FitOptions.Init", initTries, initRadius, initRadius, err)
	})
}

// why returns the reason for which the target's density was -Inf, and forgets
// it.
func (t *Target) why() error {
	at := t.at
	if err := t.takeErr(); err != nil {
		return fmt.Errorf("the target fails at %.6g: %w", at, err)
	}
	return errors.New("the target's density is zero")
}

// advance reports n iterations more, of total, and an evidence lower bound
// that is NaN if there is none.
func (f *fitting) advance(n, total int, elbo float64) {
	if f.Progress == nil || f.quiet {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done += n
	if !(elbo <= f.elbo) && !math.IsNaN(elbo) {
		f.elbo = elbo
	}
	if now := time.Now(); !now.Before(f.next) {
		f.Progress(FitProgress{Done: f.done, Total: total, ELBO: f.elbo, Elapsed: now.Sub(f.start)})
		f.next = time.Now().Add(100 * time.Millisecond)
	}
}

// ratios sets the rows of draws to draws from q and ratio[i] to
// log p(u) - log q(u) at row i, -Inf where the target or q fails; reason is
// one of those failures.
func (f *fitting) ratios(ctx context.Context, workers int, q variational, draws *mat.Dense, ratio []float64, stream uint64) (reason, err error) {
	const block = 16
	reasons := make([]error, (len(ratio)+block-1)/block)
	err = par.For(ctx, workers, len(ratio), block, func(lo, hi int) error {
		return f.with(func(t *Target) error {
			rnd := rand.New(rng.New(f.seed, stream+uint64(lo/block)))
			for i := lo; i < hi; i++ {
				u := draws.RawRowView(i)
				lq := q.draw(u, rnd)
				lp := t.LogProb(u)
				switch {
				case math.IsInf(lp, -1):
					reasons[lo/block] = t.why()
					ratio[i] = lp
				case math.IsNaN(lq) || math.IsInf(lq, 0):
					reasons[lo/block] = fmt.Errorf("the approximation's log density is %g", lq)
					ratio[i] = math.Inf(-1)
				default:
					ratio[i] = lp - lq
				}
			}
			return nil
		})
	})
	for _, r := range reasons {
		if r != nil {
			reason = r
		}
	}
	return reason, err
}

// lowerBound estimates the evidence lower bound E_q[log p - log q] by n draws.
// It is -Inf if the target is zero at one of them.
func (f *fitting) lowerBound(ctx context.Context, workers int, q variational, n int, stream uint64) (float64, error) {
	draws := mat.NewDense(n, f.dim, nil)
	ratio := make([]float64, n)
	if _, err := f.ratios(ctx, workers, q, draws, ratio, stream); err != nil {
		return 0, err
	}
	return floats.Sum(ratio) / float64(n), nil
}

// judge draws from q and weighs the draws.
func (f *fitting) judge(ctx context.Context, q variational) (*Approximation, error) {
	n := f.Draws
	u := mat.NewDense(n, f.dim, nil)
	lw := make([]float64, n)
	reason, err := f.ratios(ctx, f.Workers, q, u, lw, streamJudge)
	if err != nil {
		return nil, err
	}
	a := &Approximation{q: q, transform: f.Transform, seed: f.seed, dim: len(f.names), free: f.dim, Warnings: f.warnings}
	zero := 0
	for _, w := range lw {
		if math.IsInf(w, -1) {
			zero++
			continue
		}
		a.ELBO += w
	}
	if zero == n {
		return nil, fmt.Errorf("the target's density is zero at all of %d draws of the approximation: %w", n, reason)
	}
	a.ELBO /= float64(n - zero)
	for _, w := range lw {
		if !math.IsInf(w, -1) {
			a.ELBOSE += (w - a.ELBO) * (w - a.ELBO)
		}
	}
	a.ELBOSE = math.Sqrt(a.ELBOSE) / float64(n-zero)
	if zero > 0 {
		a.ELBO = math.Inf(-1)
		a.Warnings = append(a.Warnings, fmt.Sprintf("%d of %d draws of the approximation have target density zero: %v.", zero, n, reason))
	}
	a.LogEvidence = floats.LogSumExp(lw) - math.Log(float64(n))
	if a.LogWeights, a.KHat, err = PSIS(nil, lw, 1); err != nil {
		return nil, err
	}
	for _, w := range a.LogWeights {
		a.ESS += math.Exp(2 * w)
	}
	a.ESS = 1 / a.ESS
	a.Draws = mat.NewDense(n, a.dim, nil)
	for i := range n {
		a.constrain(a.Draws.RawRowView(i), u.RawRowView(i))
	}
	if f.particles != nil {
		rows, _ := f.particles.Dims()
		a.Particles = mat.NewDense(rows, a.dim, nil)
		for i := range rows {
			a.constrain(a.Particles.RawRowView(i), f.particles.RawRowView(i))
		}
	}
	return a, nil
}
