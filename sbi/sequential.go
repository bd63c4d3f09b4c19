package sbi

import (
	"context"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// Sequential are the options of the sequential methods [TSNPE], [SNPE], [SNLE]
// and [SNRE]. A nil pointer means the defaults.
type Sequential struct {
	Options
	// Rounds is the number of rounds that the simulations are divided among.
	// If Rounds is 0, it will be defaulted to 5.
	Rounds int
	// Epsilon is the posterior probability that each round of TSNPE cuts off.
	// If Epsilon is 0, it will be defaulted to 1e-4.
	Epsilon float64
	// Correction is that of SNPE for parameters that were not drawn from the
	// prior: Atomic by default.
	Correction Correction
	// Atoms is the number of parameters that Atomic compares. If Atoms is 0,
	// it will be defaulted to 10.
	Atoms int
	// Policy and Workers are as in [SimulateOptions].
	Policy  Policy
	Workers int
	// Progress, if not nil, is called after each round.
	Progress func(Round)
}

// Round says how far a sequential method is.
type Round struct {
	Round       int // from 1
	Simulations int // so far
	// Kept is the estimated share of the prior that the parameters of the
	// round were drawn from by TSNPE, 1 in its first round and for others.
	Kept float64
	// ValidLoss is the mean loss on the rows for validation.
	ValidLoss float64
}

// rounds is a sequential method under way.
type rounds struct {
	name        string
	pri         Prior
	sim         Simulator
	y           []float64
	o           Sequential
	m, n        int
	simulations int
	seed        uint64
	table       *Table
	sizes       []int // numbers of rows of the rounds so far
}

// newRounds checks the arguments of a sequential method.
func newRounds(name string, pri Prior, sim Simulator, y []float64, simulations int, opt *Sequential) (*rounds, error) {
	m, n, err := checkModel(pri, sim)
	if err != nil {
		return nil, err
	}
	r := &rounds{name: name, pri: pri, sim: sim, y: y, m: m, n: n, simulations: simulations}
	if opt != nil {
		r.o = *opt
	}
	o := &r.o
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Epsilon == 0 {
		o.Epsilon = 1e-4
	}
	if o.Atoms == 0 {
		o.Atoms = 10
	}
	switch {
	case len(y) != m || !finite(y):
		return nil, fmt.Errorf("sbi: %s: y is %v, want %d finite numbers", name, y, m)
	case o.Rounds < 1 || simulations < 20*o.Rounds:
		return nil, fmt.Errorf("sbi: %s: %d simulations in %d rounds, want at least 20 in each", name, simulations, o.Rounds)
	case !(o.Epsilon > 0 && o.Epsilon < 1):
		return nil, fmt.Errorf("sbi: %s: Epsilon is %g, want one in (0, 1)", name, o.Epsilon)
	case o.Atoms < 2:
		return nil, fmt.Errorf("sbi: %s: Atoms is %d, want at least 2", name, o.Atoms)
	}
	r.seed = rng.Seed(o.Src)
	return r, nil
}

// src returns stream k of a round.
func (r *rounds) src(round, k int) *rng.Source { return rng.New(r.seed, uint64(4*round+k)) }

// size returns the number of simulations of a round.
func (r *rounds) size(round int) int {
	return r.simulations*(round+1)/r.o.Rounds - r.simulations*round/r.o.Rounds
}

// simulate runs the simulations of a round with the given parameters, the
// prior's draws if theta is nil, and adds them to the table.
func (r *rounds) simulate(ctx context.Context, round int, theta *mat.Dense) error {
	c := &campaign{pri: r.pri, sim: r.sim, m: r.m, n: r.n, theta: theta, seed: rng.Seed(r.src(round, 0)),
		opt: &SimulateOptions{Policy: r.o.Policy, Workers: r.o.Workers}}
	t, err := c.table(ctx, r.size(round))
	if err != nil {
		return r.err(round, err)
	}
	r.table = stackTables(r.table, t)
	r.sizes = append(r.sizes, t.Len())
	return nil
}

// options returns the options of the training of a round.
func (r *rounds) options(round int) *Options {
	o := r.o.Options
	o.Src = r.src(round, 2)
	return &o
}

func (r *rounds) report(round int, kept, loss float64) {
	if r.o.Progress != nil {
		r.o.Progress(Round{round + 1, r.table.Len(), kept, loss})
	}
}

func (r *rounds) err(round int, err error) error {
	return fmt.Errorf("sbi: %s, round %d: %w", r.name, round+1, err)
}

// stackTables returns a with the rows of b below, numbered on.
func stackTables(a, b *Table) *Table {
	if a == nil {
		return b
	}
	_, n := a.Theta.Dims()
	_, m := a.Y.Dims()
	s := newTable(a.Len()+b.Len(), m, n)
	s.Theta.Stack(a.Theta, b.Theta)
	s.Y.Stack(a.Y, b.Y)
	copy(s.Seed, slices.Concat(a.Seed, b.Seed))
	copy(s.Status, slices.Concat(a.Status, b.Status))
	for i := range s.Index {
		s.Index[i] = i
	}
	return s
}

// learned runs the rounds of a method whose estimators are right whatever the
// parameters were drawn from: those of a round are drawn from the posterior
// that was learned before.
func learned[E any](ctx context.Context, r *rounds, train func(ctx context.Context, table *Table, o *Options) (E, *LearnedTarget, float64, error)) (e E, table *Table, err error) {
	var post *LearnedTarget
	for round := range r.o.Rounds {
		var theta *mat.Dense
		if post != nil {
			theta = mat.NewDense(r.size(round), r.n, nil)
			if err := post.SampleFrom(ctx, theta, r.src(round, 1)); err != nil {
				return e, r.table, r.err(round, err)
			}
		}
		if err := r.simulate(ctx, round, theta); err != nil {
			return e, r.table, err
		}
		next, target, loss, err := train(ctx, r.table, r.options(round))
		if err != nil {
			return e, r.table, r.err(round, err)
		}
		e, post = next, target
		r.report(round, 1, loss)
	}
	return e, r.table, nil
}

// SNLE is sequential neural likelihood estimation (Papamakarios, Sterratt and
// Murray, 2019): [NLE] in rounds, whose parameters are drawn from the posterior
// given y that the rounds before have learned. Simulations may fail if the
// Policy is Record.
//
// The returned table has the simulations of all rounds.
func SNLE(ctx context.Context, pri Prior, sim Simulator, y []float64, simulations int, opt *Sequential) (*NeuralLikelihood, *Table, error) {
	r, err := newRounds("SNLE", pri, sim, y, simulations, opt)
	if err != nil {
		return nil, nil, err
	}
	return learned(ctx, r, func(ctx context.Context, table *Table, o *Options) (*NeuralLikelihood, *LearnedTarget, float64, error) {
		l, err := NLE(ctx, pri, table, o)
		if err != nil {
			return nil, nil, 0, err
		}
		return l, l.Given(y), l.ValidNLL, nil
	})
}

// SNRE is sequential neural ratio estimation (Hermans, Begy and Louppe, 2020;
// Durkan, Murray and Papamakarios, 2020): [NRE] in rounds like those of [SNLE].
func SNRE(ctx context.Context, pri Prior, sim Simulator, y []float64, simulations int, opt *Sequential) (*NeuralRatio, *Table, error) {
	r, err := newRounds("SNRE", pri, sim, y, simulations, opt)
	if err != nil {
		return nil, nil, err
	}
	return learned(ctx, r, func(ctx context.Context, table *Table, o *Options) (*NeuralRatio, *LearnedTarget, float64, error) {
		l, err := NRE(ctx, pri, table, o)
		if err != nil {
			return nil, nil, 0, err
		}
		return l, l.Given(y), l.ValidLoss, nil
	})
}
