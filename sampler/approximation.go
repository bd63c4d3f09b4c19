package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// Approximation is a distribution that [Fit] has found, with what importance
// sampling says of it. Its methods are safe for concurrent use.
type Approximation struct {
	// Names names the parameters.
	Names []string
	// Draws holds draws of the approximation, one a row, in the target's own
	// space.
	Draws *mat.Dense
	// LogWeights are the logarithms of the Pareto-smoothed importance weights
	// that make Draws draws of the target; they sum to one.
	LogWeights []float64
	// ESS is the effective number of Draws with these weights, 1/Σw².
	ESS float64
	// KHat is the Pareto shape of the importance weights. Above
	// [KHatThreshold] the approximation is not to be trusted, unless it is
	// below 1, so that the weights have a mean, and ESS says that they hardly
	// differ. A low value says that the approximation is good where its draws
	// are: a mode that no draw has reached cannot show.
	KHat float64
	// ELBO is the evidence lower bound E[log p - log q] and ELBOSE its
	// standard error. ELBO is -Inf if the target is zero at some draw.
	ELBO, ELBOSE float64
	// LogEvidence is the log of the mean importance weight, an estimate of
	// the logarithm of the integral of the target's density that is as good
	// as KHat is small.
	LogEvidence float64
	// Particles holds the particles of [SVGD], one a row, in the target's own
	// space, and is nil for other families.
	Particles *mat.Dense
	// Warnings are what else speaks against the fit, a sentence each.
	Warnings []string

	family    string
	q         variational
	transform prior.Transform
	dim, free int // of the target's space and of the unconstrained one

	seed  uint64
	mu    sync.Mutex
	calls uint64
	pool  sync.Pool
}

var (
	_ inverse.Sampler = (*Approximation)(nil)
	_ inverse.Density = (*Approximation)(nil)
)

// Dim returns the number of parameters.
func (a *Approximation) Dim() int { return a.dim }

// Sample fills the rows of dst with independent draws from the approximation.
// The order in which calls come decides what each of them gets.
func (a *Approximation) Sample(ctx context.Context, dst *mat.Dense) error {
	a.mustFit(dst)
	stream := a.nextStream()
	rows, _ := dst.Dims()
	const block = 64
	return par.For(ctx, 0, rows, block, func(lo, hi int) error {
		rnd := rand.New(rng.New(a.seed, stream+uint64(lo/block)))
		u := make([]float64, a.free)
		for i := lo; i < hi; i++ {
			a.q.draw(u, rnd)
			a.constrain(dst.RawRowView(i), u)
		}
		return nil
	})
}

// Resample fills the rows of dst with rows of Draws, each chosen with the
// probability of its weight, so that they are draws of the target as far as
// KHat allows. The same row may come several times.
func (a *Approximation) Resample(ctx context.Context, dst *mat.Dense) error {
	a.mustFit(dst)
	if err := ctx.Err(); err != nil {
		return err
	}
	cum := make([]float64, len(a.LogWeights))
	var sum float64
	for i, w := range a.LogWeights {
		sum += math.Exp(w)
		cum[i] = sum
	}
	// Systematic resampling (Kitagawa, 1996): one uniform number for all rows,
	// which are then shuffled.
	rnd := rand.New(rng.New(a.seed, a.nextStream()))
	rows, _ := dst.Dims()
	order := rnd.Perm(rows)
	shift := rnd.Float64()
	i := 0
	for k, row := range order {
		for i < len(cum)-1 && cum[i]/sum*float64(rows) <= float64(k)+shift {
			i++
		}
		copy(dst.RawRowView(row), a.Draws.RawRowView(i))
	}
	return nil
}

// nextStream returns the number of the first of 2^32 random streams.
func (a *Approximation) nextStream() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	return streamUser + a.calls<<32
}

func (a *Approximation) mustFit(dst *mat.Dense) {
	if r, c := dst.Dims(); c != a.dim {
		panic(fmt.Sprintf("sampler: dst is %d×%d, want %d columns", r, c, a.dim))
	}
}

// LogProb returns the normalised log density of the approximation at x, -Inf
// outside the target's support.
func (a *Approximation) LogProb(x []float64) float64 {
	if len(x) != a.dim {
		panic(fmt.Sprintf("sampler: x has %d elements, want %d", len(x), a.dim))
	}
	if a.transform == nil {
		return a.q.logProb(x)
	}
	s, _ := a.pool.Get().(*[2][]float64)
	if s == nil {
		s = &[2][]float64{make([]float64, a.free), make([]float64, a.dim)}
	}
	defer a.pool.Put(s)
	if a.transform.Unconstrain(s[0], x) != nil {
		return math.Inf(-1)
	}
	return a.q.logProb(s[0]) - a.transform.Constrain(s[1], s[0])
}

// constrain sets x to the parameters at u.
func (a *Approximation) constrain(x, u []float64) {
	if a.transform == nil {
		copy(x, u)
		return
	}
	a.transform.Constrain(x, u)
}

// Good reports whether KHat is at most [KHatThreshold], or below 1 with an ESS
// of at least 95 % of the number of draws, and there are no warnings.
func (a *Approximation) Good() bool {
	n, _ := a.Draws.Dims()
	return (a.KHat <= KHatThreshold(n) || a.even()) && len(a.Warnings) == 0
}

// even reports whether the weights hardly differ and their tail has a mean.
func (a *Approximation) even() bool {
	n, _ := a.Draws.Dims()
	return a.KHat < 1 && a.ESS >= 0.95*float64(n)
}

// String returns a table of the parameters, a verdict on the approximation,
// and the warnings.
func (a *Approximation) String() string {
	rows := [][]string{{"", "mean", "sd", "5%", "50%", "95%", ""}}
	for j, name := range a.Names {
		x := mat.Col(nil, j, a.Draws)
		p := ParamSummary{Name: name}
		p.Mean, p.SD = stat.MeanStdDev(x, nil)
		sorted := pooled([][]float64{x})
		p.Q5, p.Q50, p.Q95 = quantile(sorted, 0.05), quantile(sorted, 0.5), quantile(sorted, 0.95)
		r := p.row(0)
		rows = append(rows, []string{name, r[1], r[3], r[4], r[5], r[6], ""})
	}
	var b strings.Builder
	writeTable(&b, rows)
	n, _ := a.Draws.Dims()
	fmt.Fprintf(&b, "\n%s: ELBO %.2f ± %.2f, log evidence %.2f.\n", a.family, a.ELBO, a.ELBOSE, a.LogEvidence)
	limit := KHatThreshold(n)
	switch {
	case math.IsNaN(a.KHat):
		fmt.Fprintf(&b, "PSIS k-hat is not known: %s are too few.\n", counted(n, "draw"))
	case a.KHat <= limit:
		fmt.Fprintf(&b, "PSIS k-hat %.2f (at most %.2f): good where its draws are.\n", a.KHat, limit)
	case a.even():
		fmt.Fprintf(&b, "PSIS k-hat %.2f (above %.2f), but the weights hardly differ: good where its draws are.\n", a.KHat, limit)
	default:
		fmt.Fprintf(&b, "PSIS k-hat %.2f (above %.2f): A BAD APPROXIMATION. Try a richer family, or NUTS.\n", a.KHat, limit)
	}
	for _, w := range a.Warnings {
		b.WriteString("Warning: " + w + "\n")
	}
	return b.String()
}
