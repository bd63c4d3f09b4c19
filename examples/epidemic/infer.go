package main

import (
	"context"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/sbi"
)

// settings say how much is spent.
type settings struct {
	table, epochs    int // simulations that NPE learns from, and passes (0: until it has learned)
	particles, abc   int // of SMC-ABC, and its simulations
	draws            int
	weighted, filter int // draws that are weighed, and particles of the filter
	replications     int // of simulation-based calibration
}

var (
	full  = settings{table: 30_000, particles: 2000, abc: 1_000_000, draws: 10_000, weighted: 4000, filter: 400, replications: 500}
	quick = settings{table: 3000, epochs: 15, particles: 300, abc: 20_000, draws: 2000, weighted: 200, filter: 60, replications: 50}
)

type result struct {
	posteriors []*posterior
	ess        float64 // of the weights
	weighted   int
	predictive *sbi.PredictiveCheck
	sbc        *sbi.Calibration
	seconds    float64
}

// posterior are draws of a route.
type posterior struct {
	name, key   string
	colour      color.RGBA
	simulations int
	draws       *mat.Dense // of R₀ = β/γ, 1/γ and φ
	summary     []summary
}

type summary struct{ mean, sd, q5, q95 float64 }

func infer(ctx context.Context, p *problem, s settings, src rand.Source, progress func(format string, args ...any)) (*result, error) {
	seed := rng.Seed(src)
	start := time.Now()
	table, err := sbi.Simulate(ctx, p.prior, p, s.table, &sbi.SimulateOptions{Src: rng.New(seed, 0)})
	if err != nil {
		return nil, err
	}
	npe, err := sbi.NPE(ctx, p.prior, table, &sbi.Options{Flow: flow.NSF{}, Src: rng.New(seed, 1), Fit: &flow.FitOptions{
		Epochs: s.epochs,
		Progress: func(q flow.Progress) {
			progress("NPE: epoch %d, validation loss %.3f", q.Epoch, q.Valid)
		},
	}})
	if err != nil {
		return nil, err
	}
	learned := npe.Given(p.y)
	theta := mat.NewDense(s.draws, 3, nil)
	if err := learned.SampleFrom(ctx, theta, rng.New(seed, 2)); err != nil {
		return nil, err
	}
	r := &result{weighted: s.weighted}
	r.add("NPE", "npe", show.Blue, table.Len(), theta)

	abc, err := sbi.SMCABC(ctx, p.prior, p, p.y, &sbi.SMCABCOptions{
		Particles: s.particles, MaxSimulations: s.abc, Src: rng.New(seed, 3),
		Progress: func(q sbi.SMCABCProgress) {
			progress("SMC-ABC: population %d, tolerance %.2f, %d simulations", q.Population, q.Epsilon, q.Simulations)
		},
	})
	if err != nil {
		return nil, err
	}
	adjusted, err := sbi.RegressionAdjust(abc, p.prior, p.y)
	if err != nil {
		return nil, err
	}
	theta = mat.NewDense(s.draws, 3, nil)
	if err := adjusted.SampleFrom(ctx, theta, rng.New(seed, 4)); err != nil {
		return nil, err
	}
	r.add("SMC-ABC, adjusted", "abc", show.Orange, abc.Simulations, theta)

	progress("particle filter: %d likelihoods", s.weighted)
	theta, r.ess, err = weigh(ctx, p, learned, s, rng.New(seed, 5))
	if err != nil {
		return nil, err
	}
	r.add("NPE, weighed by the filter", "filter", show.Green, s.weighted*s.filter, theta)

	r.predictive, err = sbi.PosteriorPredictive(ctx, learned, p, p.y, &sbi.PredictiveOptions{Draws: min(s.draws, 4000), Src: rng.New(seed, 6)})
	if err != nil {
		return nil, err
	}
	model := sbi.Model{Prior: p.prior, Simulator: p}
	r.sbc, err = sbi.SBC(ctx, model, func(y []float64) (inverse.Sampler, error) { return npe.Given(y), nil }, &sbi.SBCOptions{
		Replications: s.replications, Names: []string{"β", "γ", "φ"}, Src: rng.New(seed, 7),
		Progress: func(done, total int) { progress("calibration: %d of %d", done, total) },
	})
	r.seconds = time.Since(start).Seconds()
	return r, err
}

// add puts a route's draws of β, γ and φ beside the others.
func (r *result) add(name, key string, c color.RGBA, simulations int, theta *mat.Dense) {
	q := &posterior{name: name, key: key, colour: c, simulations: simulations, draws: theta}
	n, d := theta.Dims()
	for i := range n {
		row := theta.RawRowView(i)
		row[0], row[1] = row[0]/row[1], 1/row[1]
	}
	for j := range d {
		x := slices.Sorted(slices.Values(mat.Col(nil, j, theta)))
		mean, sd := stat.MeanStdDev(x, nil)
		q.summary = append(q.summary, summary{mean, sd,
			stat.Quantile(0.05, stat.Empirical, x, nil), stat.Quantile(0.95, stat.Empirical, x, nil)})
	}
	r.posteriors = append(r.posteriors, q)
}

// weigh draws from q, weighs each draw by prior × likelihood / q, the
// likelihood estimated without bias, and resamples: what comes out is drawn
// from the exact posterior, up to the error of so many weights (Tran et al.,
// 2013, IS²). It also returns their effective number.
func weigh(ctx context.Context, p *problem, q *sbi.Posterior, s settings, src rand.Source) (*mat.Dense, float64, error) {
	seed := rng.Seed(src)
	theta := mat.NewDense(s.weighted, 3, nil)
	if err := q.SampleFrom(ctx, theta, rng.New(seed, 0)); err != nil {
		return nil, 0, err
	}
	w := make([]float64, s.weighted)
	q.LogProbs(w, theta)
	err := par.Each(ctx, 0, s.weighted, func(i int) error {
		t := theta.RawRowView(i)
		w[i] = p.prior.LogProb(t) + logLikelihood(inBed, t, s.filter, rand.New(rng.New(seed, uint64(1+i)))) - w[i]
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	top := floats.Max(w)
	for i, v := range w {
		w[i] = math.Exp(v - top)
	}
	sum := floats.Sum(w)
	ess := sum * sum / floats.Dot(w, w)
	// Systematic resampling.
	out := mat.NewDense(s.draws, 3, nil)
	step := sum / float64(s.draws)
	u := rand.New(rng.New(seed, uint64(1+s.weighted))).Float64() * step
	cum := w[0]
	for i, k := 0, 0; i < s.draws; i++ {
		for cum < u && k < len(w)-1 {
			k++
			cum += w[k]
		}
		out.SetRow(i, theta.RawRowView(k))
		u += step
	}
	return out, ess, nil
}

func leastTail(r *result) float64 { return floats.Min(r.predictive.Tail) }
