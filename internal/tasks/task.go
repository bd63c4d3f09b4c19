package tasks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Prior is a density that can be drawn from.
type Prior interface {
	Dim() int
	LogProb(theta []float64) float64
	Draw(dst *mat.Dense, src rand.Source)
}

// Task is a problem of the benchmark. It is a simulator in the sense of package
// sbi and safe for concurrent use.
type Task struct {
	Name  string
	Prior Prior

	data, params int
	simulate     func(y, theta []float64, r *rand.Rand) error
	logLik       func(theta, y []float64) float64
	exact        func(theta, y []float64, r *rand.Rand) error // draws from the posterior
	chains       func(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error
}

// Dims returns the numbers of data and of parameters.
func (t *Task) Dims() (m, n int) { return t.data, t.params }

// Simulate stores a draw of the data given theta in y.
func (t *Task) Simulate(_ context.Context, y, theta []float64, src rand.Source) error {
	return t.simulate(y, theta, rand.New(src))
}

// LogLikelihood returns log p(y|theta) up to a constant that depends on y only.
func (t *Task) LogLikelihood(theta, y []float64) float64 { return t.logLik(theta, y) }

// Exact reports whether the draws of Reference are exact and independent, and
// not those of Markov chains.
func (t *Task) Exact() bool { return t.exact != nil }

// Reference fills the rows of dst with draws of the posterior given y.
func (t *Task) Reference(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
	if len(y) != t.data {
		return fmt.Errorf("tasks: %s has %d data, y %d", t.Name, t.data, len(y))
	}
	if t.exact == nil {
		return t.chains(ctx, dst, y, src)
	}
	r := rand.New(src)
	n, _ := dst.Dims()
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.exact(dst.RawRowView(i), y, r); err != nil {
			return fmt.Errorf("tasks: %s: %w", t.Name, err)
		}
	}
	return nil
}

var constructors = []struct {
	name string
	make func() *Task
}{
	{"two_moons", twoMoons},
	{"gaussian_linear", gaussianLinear},
	{"gaussian_linear_uniform", gaussianLinearUniform},
	{"gaussian_mixture", gaussianMixture},
	{"slcp", slcp},
	{"slcp_distractors", slcpDistractors},
	{"bernoulli_glm", bernoulliGLM},
	{"bernoulli_glm_raw", bernoulliGLMRaw},
	{"sir", sir},
	{"lotka_volterra", lotkaVolterra},
}

// Names returns the names of the tasks, as in the benchmark.
func Names() []string {
	var names []string
	for _, c := range constructors {
		names = append(names, c.name)
	}
	return names
}

// New returns the task of the given name.
func New(name string) (*Task, error) {
	for _, c := range constructors {
		if c.name == name {
			t := c.make()
			t.Name = name
			t.params = t.Prior.Dim()
			return t, nil
		}
	}
	return nil, fmt.Errorf("tasks: no task %q, only %v", name, slices.Sorted(slices.Values(Names())))
}

// must returns v; the constructors of this package have constant arguments.
func must[T any](v T, err error) T {
	if err != nil {
		panic("tasks: " + err.Error())
	}
	return v
}
