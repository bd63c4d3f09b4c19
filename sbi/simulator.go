package sbi

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Prior is a density that can be drawn from. The priors of package prior that
// have exact draws are ones.
type Prior interface {
	inverse.Density
	// Dim returns the number of parameters.
	Dim() int
	// Draw fills the rows of dst with independent draws from src.
	Draw(dst *mat.Dense, src rand.Source)
}

// Simulator draws data given parameters. It must be safe for concurrent use
// unless Workers is 1 wherever it is run.
type Simulator interface {
	// Dims returns the number m of data and the number n of parameters.
	Dims() (m, n int)
	// Simulate stores in y (length m) a draw of the data given theta
	// (length n), with all its randomness from src, so that a simulation can
	// be repeated. It may not keep or change theta.
	//
	// An error, a panic, or data that are NaN or infinite make the
	// simulation a failure; see [Policy]. A simulator that takes long should
	// return ctx's error when ctx ends.
	Simulate(ctx context.Context, y, theta []float64, src rand.Source) error
}

// Model is a joint distribution of parameters and data: what calibration
// draws its replications from.
type Model struct {
	Prior     Prior
	Simulator Simulator
}

// checkModel returns the number of data and of parameters.
func checkModel(pri Prior, sim Simulator) (m, n int, err error) {
	if pri == nil {
		return 0, 0, fmt.Errorf("sbi: prior is nil")
	}
	if sim == nil {
		return 0, 0, fmt.Errorf("sbi: simulator is nil")
	}
	m, n = sim.Dims()
	if m < 1 || n < 1 {
		return 0, 0, fmt.Errorf("sbi: the simulator has %d data and %d parameters", m, n)
	}
	if d := pri.Dim(); d != n {
		return 0, 0, fmt.Errorf("sbi: the prior has %d parameters, the simulator %d", d, n)
	}
	return m, n, nil
}

// NewSimulator returns the simulator of m data and n parameters that calls f,
// which must be safe for concurrent use; see [Simulator].
func NewSimulator(m, n int, f func(ctx context.Context, y, theta []float64, src rand.Source) error) Simulator {
	return &simulatorFunc{m, n, f}
}

type simulatorFunc struct {
	m, n int
	f    func(ctx context.Context, y, theta []float64, src rand.Source) error
}

func (s *simulatorFunc) Dims() (m, n int) { return s.m, s.n }

func (s *simulatorFunc) Simulate(ctx context.Context, y, theta []float64, src rand.Source) error {
	return s.f(ctx, y, theta, src)
}

// Likelihood is a likelihood whose data can be drawn: those of package
// likelihood are.
type Likelihood interface {
	// Dim returns the number of parameters.
	Dim() int
	// Data returns the data, of which only the length is used.
	Data() []float64
	// Simulate draws a row of dst for each row of x.
	Simulate(dst, x *mat.Dense, src rand.Source) error
}

// FromLikelihood returns the simulator that draws data by the law of a
// likelihood: the operator applied to the parameters, and noise. With its
// prior, one problem written once can so be run through every route.
func FromLikelihood(lik Likelihood) Simulator { return &drawer{lik, len(lik.Data())} }

type drawer struct {
	lik Likelihood
	m   int
}

func (d *drawer) Dims() (m, n int) { return d.m, d.lik.Dim() }

func (d *drawer) Simulate(_ context.Context, y, theta []float64, src rand.Source) error {
	return d.lik.Simulate(mat.NewDense(1, len(y), y), mat.NewDense(1, len(theta), theta), src)
}
