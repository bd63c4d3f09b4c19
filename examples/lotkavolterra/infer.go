package main

import (
	"context"
	"errors"
	"image/color"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// problem is the system, its prior and the observed data.
type problem struct {
	number int
	system *tasks.Gillespie // with data on the scale that is good for networks
	raw    *tasks.Gillespie // with the statistics themselves
	prior  *prior.Box
	y      []float64 // of system
	s      []float64 // of raw
	truth  []float64
}

func newProblem(number int) (*problem, error) {
	p := &problem{number: number, system: &tasks.Gillespie{Log: true}, raw: new(tasks.Gillespie)}
	p.prior = p.system.Prior()
	var err error
	if p.y, p.truth, err = p.system.Observation(number); err != nil {
		return nil, err
	}
	p.s, _, err = p.raw.Observation(number)
	return p, err
}

// budget is what the routes may spend.
type budget struct {
	particles, abc int // of SMC-ABC, and its simulations
	table          int // simulations of a network
	rounds         int // of the sequential method, with as many in all
	draws          int
	epochs         int // 0 means until the network has learned
}

var (
	full  = budget{particles: 2000, abc: 1_000_000, table: 50_000, rounds: 5, draws: 10_000}
	quick = budget{particles: 200, abc: 6000, table: 1500, rounds: 2, draws: 1000, epochs: 8}
)

// posterior is what a route has found.
type posterior struct {
	name        string
	colour      color.RGBA
	sampler     inverse.Sampler
	simulations int
	seconds     float64
	draws       *mat.Dense
	mean, sd    []float64
	predictive  *sbi.PredictiveCheck
	endless     float64 // share of draws at which the simulator never ends
}

type route struct {
	name   string
	colour color.RGBA
	infer  func(ctx context.Context, p *problem, b budget, src rand.Source, progress func(format string, args ...any)) (*posterior, error)
}

var routes = []route{
	{"SMC-ABC", show.Gray, smcABC},
	{"NPE", show.Blue, npe},
	{"TSNPE", show.Orange, tsnpe},
	{"COT-Flow", show.Green, cotFlow},
}

func smcABC(ctx context.Context, p *problem, b budget, src rand.Source, progress func(string, ...any)) (*posterior, error) {
	start := time.Now()
	// Distances are in units of the prior predictive standard deviations.
	pilot, err := sbi.Simulate(ctx, p.prior, p.raw, b.particles, &sbi.SimulateOptions{Policy: sbi.Record, Src: src})
	if err != nil {
		return nil, err
	}
	valid := pilot.Valid()
	scale := make([]float64, len(p.s))
	for j := range scale {
		scale[j] = stat.StdDev(mat.Col(nil, j, valid.Y), nil)
	}
	s, err := sbi.SMCABC(ctx, p.prior, p.raw, p.s, &sbi.SMCABCOptions{
		Particles: b.particles, MaxSimulations: b.abc, Scale: scale, Src: src,
		Progress: func(q sbi.SMCABCProgress) {
			progress("population %d, tolerance %.3f, %d simulations", q.Population, q.Epsilon, q.Simulations)
		},
	})
	if err != nil {
		return nil, err
	}
	return &posterior{sampler: s, simulations: s.Simulations + pilot.Len(), seconds: time.Since(start).Seconds()}, nil
}

// splines are the options of the networks of splines.
func (b *budget) splines(progress func(string, ...any)) *flow.FitOptions {
	return &flow.FitOptions{Batch: 256, Rate: 1e-3, EMA: 0.999, Patience: 4, Drops: 2, Epochs: b.epochs, Progress: epochs(progress)}
}

func epochs(progress func(string, ...any)) func(flow.Progress) {
	return func(q flow.Progress) { progress("epoch %d, validation loss %.3f", q.Epoch, q.Valid) }
}

func npe(ctx context.Context, p *problem, b budget, src rand.Source, progress func(string, ...any)) (*posterior, error) {
	return amortised(ctx, p, b, src, flow.NSF{Bins: 16, Bound: 5}, b.splines(progress))
}

func cotFlow(ctx context.Context, p *problem, b budget, src rand.Source, progress func(string, ...any)) (*posterior, error) {
	return amortised(ctx, p, b, src, flow.COT{Alpha: 0.05, Beta: 0.1},
		&flow.FitOptions{Batch: 256, ValidEvery: 200, Patience: 3, Epochs: b.epochs, Progress: epochs(progress)})
}

// amortised learns the posterior for any data from draws of the prior.
func amortised(ctx context.Context, p *problem, b budget, src rand.Source, arch flow.Architecture, fit *flow.FitOptions) (*posterior, error) {
	start := time.Now()
	table, err := sbi.Simulate(ctx, p.prior, p.system, b.table, &sbi.SimulateOptions{Policy: sbi.Record, Src: src})
	if err != nil {
		return nil, err
	}
	q, err := sbi.NPE(ctx, p.prior, table, &sbi.Options{Flow: arch, Fit: fit, Src: src})
	if err != nil {
		return nil, err
	}
	return &posterior{sampler: q.Given(p.y), simulations: table.Len(), seconds: time.Since(start).Seconds()}, nil
}

func tsnpe(ctx context.Context, p *problem, b budget, src rand.Source, progress func(string, ...any)) (*posterior, error) {
	start := time.Now()
	round := 1
	q, table, err := sbi.TSNPE(ctx, p.prior, p.system, p.y, b.table, &sbi.Sequential{
		Options: sbi.Options{
			Flow: flow.NSF{Bins: 16, Bound: 5}, Src: src,
			Fit: b.splines(func(format string, args ...any) {
				progress("round %d of %d, "+format, append([]any{round, b.rounds}, args...)...)
			}),
		},
		Rounds: b.rounds, Policy: sbi.Record,
		Progress: func(r sbi.Round) { round = r.Round + 1 },
	})
	if err != nil {
		return nil, err
	}
	return &posterior{sampler: q.Given(p.y), simulations: table.Len(), seconds: time.Since(start).Seconds()}, nil
}

// check draws from the posterior, takes moments and simulates new data.
func (q *posterior) check(ctx context.Context, p *problem, b budget, src rand.Source) (err error) {
	q.draws = mat.NewDense(b.draws, len(names), nil)
	if err := sampleFrom(ctx, q.sampler, q.draws, src); err != nil {
		return err
	}
	for j := range names {
		m, sd := stat.MeanStdDev(mat.Col(nil, j, q.draws), nil)
		q.mean, q.sd = append(q.mean, m), append(q.sd, sd)
	}
	sim := &ended{Gillespie: p.system, draws: q.draws}
	n := b.draws / 5
	q.predictive, err = sbi.PosteriorPredictive(ctx, q.sampler, sim, p.y, &sbi.PredictiveOptions{Draws: n, Src: src})
	q.endless = float64(sim.endless.Load()) / float64(n)
	return err
}

func sampleFrom(ctx context.Context, s inverse.Sampler, dst *mat.Dense, src rand.Source) error {
	if from, ok := s.(sbi.SourceSampler); ok {
		return from.SampleFrom(ctx, dst, src)
	}
	return s.Sample(ctx, dst)
}

// ended is the law of the data of paths that end, which is what all routes
// condition on: what has too many reactions is simulated again, and in the end
// with other draws of the posterior.
type ended struct {
	*tasks.Gillespie
	draws   *mat.Dense
	endless atomic.Int64 // draws of the posterior whose paths do not end
}

func (e *ended) Simulate(ctx context.Context, y, theta []float64, src rand.Source) error {
	const tries, others = 100, 1000
	r := rand.New(src)
	n, _ := e.draws.Dims()
	for k := range tries + others {
		if k == tries {
			e.endless.Add(1)
		}
		if k >= tries {
			theta = e.draws.RawRowView(r.IntN(n))
		}
		if err := e.Gillespie.Simulate(ctx, y, theta, rng.New(r.Uint64(), 0)); !errors.Is(err, tasks.ErrReactions) {
			return err
		}
	}
	return errors.New("no draw of the posterior has a path that ends")
}
