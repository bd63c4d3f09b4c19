package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

// problem is written once: a prior, an operator, a likelihood of data.
type problem struct {
	pri *prior.Mixture
	op  *counter
	lik *likelihood.Gaussian
	y   []float64
}

// newProblem is a prior with three components in two dimensions, and one datum,
// a weighted sum of the two. Its posterior has a ridge and two modes.
func newProblem() (*problem, error) {
	p := &problem{y: []float64{1.2}}
	var err error
	p.pri, err = prior.NewMixture([]float64{0.4, 0.35, 0.25}, mat.NewDense(3, 2, []float64{-1.2, 1, 1, 0.6, 1.4, -1.4}), []mat.Symmetric{
		mat.NewSymDense(2, []float64{0.5, 0.2, 0.2, 0.4}),
		mat.NewSymDense(2, []float64{0.3, -0.15, -0.15, 0.5}),
		mat.NewSymDense(2, []float64{0.25, 0.05, 0.05, 0.2}),
	}, nil)
	if err != nil {
		return nil, err
	}
	a, err := forward.NewDense(mat.NewDense(1, 2, []float64{1, 0.5}))
	if err != nil {
		return nil, err
	}
	p.op = &counter{Linear: a}
	p.lik, err = likelihood.NewGaussian(p.op, p.y, 0.5)
	return p, err
}

// counter counts how many points its operator is evaluated at.
type counter struct {
	inverse.Linear
	n atomic.Int64
}

func (c *counter) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	c.n.Add(int64(r))
	c.Linear.Apply(dst, x)
}

// route is a way to the posterior. It returns a sampler of it.
type route struct {
	Name   string
	trains bool // a network, which takes a while
	build  func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error)
}

// simulations is what the routes by simulation alone are given.
const simulations = 10_000

var routes = []route{
	{"NUTS, 4 chains", false, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		post, err := posterior.New(p.pri, p.lik)
		if err != nil {
			return nil, err
		}
		return sampler.Run(ctx, post, &sampler.NUTS{}, &sampler.Settings{Chains: 4, Draws: 2500, Src: src})
	}},
	{"VI, full rank", false, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		post, err := posterior.New(p.pri, p.lik)
		if err != nil {
			return nil, err
		}
		return sampler.Fit(ctx, post, &sampler.ADVI{Form: sampler.FullRank}, &sampler.FitOptions{Src: src})
	}},
	{"NPE, spline flow", true, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		return p.amortised(ctx, flow.NSF{}, src)
	}},
	{"COT-Flow", true, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		return p.amortised(ctx, flow.COT{}, src)
	}},
	{"diffusion, MMPS", false, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		score, err := diffusion.Diffuse(p.pri, diffusion.NewVP(0.1, 20))
		if err != nil {
			return nil, err
		}
		guide, err := diffusion.NewMMPS(score, p.lik)
		if err != nil {
			return nil, err
		}
		post, err := posterior.Sum(score, guide)
		if err != nil {
			return nil, err
		}
		return &diffusion.Reverse{Score: post, Schedule: score.Schedule(), Steps: 100, Src: src}, nil
	}},
	{"diffusion, TDS", false, func(ctx context.Context, p *problem, src rand.Source) (inverse.Sampler, error) {
		score, err := diffusion.Diffuse(p.pri, diffusion.NewVP(0.1, 20))
		if err != nil {
			return nil, err
		}
		guide, err := diffusion.NewMMPS(score, p.lik)
		if err != nil {
			return nil, err
		}
		s, err := diffusion.NewTDS(guide, p.lik)
		if err != nil {
			return nil, err
		}
		s.Steps, s.Src = 100, src
		return s, nil
	}},
}

// amortised learns the posterior of any data from simulations.
func (p *problem) amortised(ctx context.Context, arch flow.Architecture, src rand.Source) (inverse.Sampler, error) {
	table, err := sbi.Simulate(ctx, p.pri, sbi.FromLikelihood(p.lik), simulations, &sbi.SimulateOptions{Src: src})
	if err != nil {
		return nil, err
	}
	npe, err := sbi.NPE(ctx, p.pri, table, &sbi.Options{Flow: arch, Src: src})
	if err != nil {
		return nil, err
	}
	post := npe.Given(p.y)
	post.Src = src
	return post, nil
}

// result is a line of the table.
type result struct {
	Name        string
	Mean, SD    []float64
	C2ST        float64 // against exact draws
	Evaluations int64   // of the operator
	Seconds     float64 // to prepare, and to draw
	Drawing     float64

	draws *mat.Dense
}

// follow takes a route.
func (p *problem) follow(ctx context.Context, r route, rows int, src rand.Source) (*result, error) {
	res := &result{Name: r.Name, draws: mat.NewDense(rows, 2, nil)}
	p.op.n.Store(0)
	start := time.Now()
	s, err := r.build(ctx, p, src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	ready := time.Now()
	if err := s.Sample(ctx, res.draws); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	res.Drawing = time.Since(ready).Seconds()
	res.Seconds = time.Since(start).Seconds()
	res.Evaluations = p.op.n.Load()
	res.moments()
	return res, nil
}

func (r *result) moments() {
	for j := range 2 {
		m, s := stat.MeanStdDev(mat.Col(nil, j, r.draws), nil)
		r.Mean, r.SD = append(r.Mean, m), append(r.SD, s)
	}
}

// exact is the closed form: the posterior is a mixture as well.
func (p *problem) exact(rows int, src rand.Source) (*posterior.Mixture, *result, error) {
	post, err := posterior.NewMixture(p.pri, p.lik)
	if err != nil {
		return nil, nil, err
	}
	r := &result{Name: "closed form", draws: mat.NewDense(rows, 2, nil)}
	start := time.Now()
	post.Draw(r.draws, src)
	r.Drawing = time.Since(start).Seconds()
	r.Seconds = r.Drawing
	r.moments()
	return post, r, nil
}
