package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// LogProbOptions are the options of LogProb.
type LogProbOptions struct {
	// Steps is the number of Runge-Kutta steps of order 4, of four evaluations
	// each; 100 if 0.
	Steps int
	// To and From are the times of the first and last noise levels; 0 means
	// the ends of the schedule's Span. The density is that of x₀ + (σ/α) z at
	// the time To, which differs from that of x₀ by O(σ²).
	To, From float64
	// Start has the moments of x₀, as in [Reverse].
	Start Moments
	// Probes is the number of random directions that estimate the divergence
	// of the flow (Hutchinson 1989). If it is 0, the divergence is exact, by
	// one product with the Hessian for each dimension, up to 64 dimensions,
	// and estimated from 16 directions above.
	Probes int

	Src      rand.Source           // of the directions; nil means a freshly seeded one
	Workers  int                   // goroutines, GOMAXPROCS if 0
	Progress func(done, total int) // called with numbers of finished rows
}

// exactTrace is the largest dimension with an exact divergence by default.
const exactTrace = 64

// LogProb sets dst[i] to the log density of x₀ at row i of x (r×n), by the
// probability flow (Song et al. 2021, eq. 39): in the coordinates u = x_t/α
// and τ = log(σ/α), it is
//
//	du/dτ = u - D,   log p(x) = log p(u_T) + ∫ (n - tr ∂D/∂u) dτ
//
// with the Gaussian of matched moments at the end. With Probes the integral
// is unbiased, and the log density has Monte Carlo error. The score may be a
// posterior's, through [NewScore].
func LogProb(ctx context.Context, dst []float64, x *mat.Dense, score Score, opt *LogProbOptions) error {
	if score == nil {
		return errors.New("diffusion: LogProb: the score is nil")
	}
	if opt == nil {
		opt = &LogProbOptions{}
	}
	n := score.Dim()
	rows, cols := x.Dims()
	if cols != n || rows != len(dst) {
		panic(fmt.Sprintf("diffusion: dst has length %d, x is %d×%d, the score has dimension %d", len(dst), rows, cols, n))
	}
	if opt.Steps < 0 || opt.Probes < 0 {
		return fmt.Errorf("diffusion: LogProb: Steps is %d and Probes %d", opt.Steps, opt.Probes)
	}
	if err := opt.Start.check(n); err != nil {
		return err
	}
	o := *opt
	if o.Steps == 0 {
		o.Steps = 100
	}
	if o.Probes == 0 && n > exactTrace {
		o.Probes = 16
	}
	lo, hi := score.Schedule().Span()
	if o.To == 0 {
		o.To = lo
	}
	if o.From == 0 {
		o.From = hi
	}
	if !(o.To > 0 && o.From > o.To) {
		return fmt.Errorf("diffusion: LogProb: the times From %g and To %g must fall and be positive", o.From, o.To)
	}
	seed := rng.Seed(o.Src)
	progress := par.NewProgress(rows, o.Progress)
	size := blockRows(n)
	return par.For(ctx, o.Workers, rows, size, func(lo, hi int) error {
		block := x.Slice(lo, hi, 0, n).(*mat.Dense)
		l := newLogProb(score, block, &o, rng.New(seed, uint64(lo/size)))
		if err := l.run(ctx, dst[lo:hi]); err != nil {
			return err
		}
		for i, v := range dst[lo:hi] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("diffusion: LogProb: the log density of row %d is %g: it has elements that are not finite, or the score has at a time between %g and %g", lo+i, v, o.To, o.From)
			}
		}
		progress.Add(hi - lo)
		return nil
	})
}

// logProb integrates a block of rows.
type logProb struct {
	o          *LogProbOptions
	schedule   Schedule
	lin        inverse.ScoreLinearization
	u          *mat.Dense
	at, x      *mat.Dense // the point of a stage, and times α
	du         [4]*mat.Dense
	rate       [4][]float64 // of the integral
	probes     []*mat.Dense
	direction  *mat.Dense
	derivative *mat.Dense
}

func newLogProb(score Score, x *mat.Dense, o *LogProbOptions, src rand.Source) *logProb {
	r, n := x.Dims()
	fresh := func() *mat.Dense { return mat.NewDense(r, n, nil) }
	l := &logProb{o: o, schedule: score.Schedule(), lin: score.LinearizeScore(), u: mat.DenseCopyOf(x), at: fresh(), x: fresh(), direction: fresh(), derivative: fresh()}
	for k := range l.du {
		l.du[k], l.rate[k] = fresh(), make([]float64, r)
	}
	random := rand.New(src)
	for range o.Probes {
		p := fresh()
		for i := range p.RawMatrix().Data {
			p.RawMatrix().Data[i] = 1 - 2*float64(random.Uint64()>>63)
		}
		l.probes = append(l.probes, p)
	}
	return l
}

func (l *logProb) run(ctx context.Context, dst []float64) error {
	tau := -LogSNR(l.schedule, l.o.To) / 2
	end := -LogSNR(l.schedule, l.o.From) / 2
	h := (end - tau) / float64(l.o.Steps)
	clear(dst)
	for k := range l.o.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := tau + float64(k)*h
		l.stage(0, l.u, start)
		for s, c := range [3]float64{h / 2, h / 2, h} {
			combine(l.at, 1, l.u, c, l.du[s])
			l.stage(s+1, l.at, start+c)
		}
		for s, c := range [4]float64{h / 6, h / 3, h / 3, h / 6} {
			addScaled(l.u, c, l.du[s])
			floats.AddScaled(dst, c, l.rate[s])
		}
	}
	spread := math.Exp(2 * end)
	for i := range dst {
		for j, v := range l.u.RawRowView(i) {
			mean, variance := l.o.Start.at(j)
			dst[i] += logNormal(v-mean, variance+spread)
		}
	}
	return nil
}

// stage evaluates du/dτ = -σ²/α ∇log p_t and the divergence -σ² tr ∇²log p_t.
func (l *logProb) stage(s int, u *mat.Dense, tau float64) {
	t := l.schedule.Time(-2 * tau)
	alpha, sigma := l.schedule.At(t)
	combine(l.x, alpha, u, 0, u)
	l.lin.Score(l.du[s], l.x, t)
	combine(l.du[s], -sigma*sigma/alpha, l.du[s], 0, l.du[s])
	rate := l.rate[s]
	clear(rate)
	for _, p := range l.probes {
		l.lin.VJP(l.derivative, p)
		for i := range rate {
			rate[i] -= sigma * sigma / float64(len(l.probes)) * floats.Dot(p.RawRowView(i), l.derivative.RawRowView(i))
		}
	}
	if len(l.probes) > 0 {
		return
	}
	_, n := u.Dims()
	for j := range n {
		l.direction.Zero()
		for i := range rate {
			l.direction.Set(i, j, 1)
		}
		l.lin.VJP(l.derivative, l.direction)
		for i := range rate {
			rate[i] -= sigma * sigma * l.derivative.At(i, j)
		}
	}
}
