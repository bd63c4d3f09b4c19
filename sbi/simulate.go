package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Policy says what a campaign does about a simulation that fails: one that
// returns an error, panics, takes too long, or whose data are not finite.
type Policy uint8

const (
	// Fail ends the campaign with an error that names the simulation.
	Fail Policy = iota
	// Record keeps the row with its status and goes on. [Table.Valid] says
	// what may be learned from the others.
	Record
)

// SimulateOptions are the options of [Simulate] and [SimulateFile]. A nil
// pointer means the defaults.
type SimulateOptions struct {
	// File, if not "", is a file that [Simulate] appends each simulation to
	// as it ends, and resumes from if it is there; see [SimulateFile].
	File string

	// Src gives the seed of the campaign. If Src is nil, it is that of the
	// file, or a fresh one.
	Src rand.Source

	// Workers is the number of simulations that run at a time. If Workers is
	// 0, it will be defaulted to GOMAXPROCS. The results do not depend on it.
	Workers int

	// Timeout, if positive, is the time that a simulation may take. It is
	// then told to end by its context. One that goes on regardless is
	// abandoned: its goroutine runs on, but nothing waits for it.
	Timeout time.Duration

	// Policy is what becomes of simulations that fail: Fail by default.
	Policy Policy

	// Failure, if not nil, is called with each failed simulation and its
	// error (nil if its data are not finite), by one goroutine at a time. It
	// may not keep the row's slices.
	Failure func(row Row, err error)

	// Progress, if not nil, is called after each simulation with the number
	// done and wanted, by one goroutine at a time.
	Progress func(done, total int)
}

// Simulate draws n parameters from the prior and data for each from the
// simulator, in parallel. Row i is a function of the seed and i alone, so that
// the table is the same for every number of workers.
//
// With a File, simulations that it already holds are not run again, and the
// result is that of a campaign that was never interrupted.
//
// When ctx ends, its error is returned; what has been simulated is in the
// File, if there is one.
func Simulate(ctx context.Context, pri Prior, sim Simulator, n int, opt *SimulateOptions) (*Table, error) {
	if opt == nil {
		opt = new(SimulateOptions)
	}
	if opt.File != "" {
		if err := SimulateFile(ctx, opt.File, pri, sim, n, opt); err != nil {
			return nil, err
		}
		return readTableFile(opt.File, n)
	}
	md, nd, err := checkModel(pri, sim)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("sbi: n is %d, want at least 1", n)
	}
	c := &campaign{pri: pri, sim: sim, m: md, n: nd, seed: rng.Seed(opt.Src), opt: opt}
	return c.table(ctx, n)
}

// table runs simulations 0 to n-1.
func (c *campaign) table(ctx context.Context, n int) (*Table, error) {
	c.progress = par.NewProgress(n, c.opt.Progress)
	t := newTable(n, c.m, c.n)
	err := par.Each(ctx, c.opt.Workers, n, func(i int) error {
		row := t.Row(i)
		row.Index = i
		if err := c.run(ctx, &row); err != nil {
			return err
		}
		t.Index[i], t.Seed[i], t.Status[i] = row.Index, row.Seed, row.Status
		c.progress.Add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// SimulateRow runs simulation i of the campaign with the seed, with parameters
// drawn from the prior. It is for programs that distribute a campaign in their
// own way: the lines of [Row.Append], below a [TableHeader], are a table.
//
// The row's Seed is a number derived from seed and i, and the simulation is a
// function of that number: it names the streams that the parameters and the
// data are drawn with.
//
// A simulation that fails is recorded in the row's status, with its error.
// The error is ctx's if ctx ended first; the row is then not to be kept.
func SimulateRow(ctx context.Context, pri Prior, sim Simulator, seed uint64, i int) (Row, error) {
	m, n, err := checkModel(pri, sim)
	if err != nil {
		return Row{}, err
	}
	c := &campaign{pri: pri, sim: sim, m: m, n: n, seed: seed, opt: &SimulateOptions{}}
	row := Row{Index: i, Theta: make([]float64, n), Y: make([]float64, m)}
	c.draw(&row)
	return row, c.simulate(ctx, &row)
}

// campaign is what the simulations of a campaign share.
type campaign struct {
	pri      Prior
	sim      Simulator
	m, n     int
	seed     uint64
	theta    *mat.Dense // if not nil, the parameters in place of the prior's draws
	opt      *SimulateOptions
	progress *par.Progress
	failures sync.Mutex
}

// draw sets the row's seed and parameters.
func (c *campaign) draw(row *Row) {
	row.Seed = rng.New(c.seed, uint64(row.Index)).Uint64()
	if c.theta != nil {
		copy(row.Theta, c.theta.RawRowView(row.Index))
		return
	}
	c.pri.Draw(mat.NewDense(1, c.n, row.Theta), rng.New(row.Seed, 0))
}

// run simulates the row of the given index. An error ends the campaign.
func (c *campaign) run(ctx context.Context, row *Row) error {
	c.draw(row)
	if !finite(row.Theta) {
		return fmt.Errorf("sbi: simulation %d: the prior drew %v", row.Index, row.Theta)
	}
	err := c.simulate(ctx, row)
	if row.Status == OK {
		return err // nil, or ctx's
	}
	if c.opt.Failure != nil {
		c.failures.Lock()
		defer c.failures.Unlock()
		c.opt.Failure(*row, err)
	}
	if c.opt.Policy == Record {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("data are not finite")
	}
	return fmt.Errorf("sbi: simulation %d, parameters %v: %w (Policy Record goes on)", row.Index, row.Theta, err)
}

// simulate draws the data and sets the status. If ctx ends before the
// simulation does, the error is ctx's and the status OK.
func (c *campaign) simulate(ctx context.Context, row *Row) error {
	var err error
	if c.opt.Timeout <= 0 {
		err = protect(ctx, c.sim, row.Y, row.Theta, row.Seed)
	} else {
		err = c.limited(ctx, row)
	}
	row.Status = OK
	var panicked *par.PanicError
	switch {
	case err == nil && !finite(row.Y):
		row.Status = NonFinite
		return nil
	case err == nil:
		return nil
	case errors.As(err, &panicked):
		row.Status = Panicked
	case errors.Is(err, errTimeout):
		row.Status = TimedOut
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		row.Status = Failed
	}
	for j := range row.Y {
		row.Y[j] = math.NaN()
	}
	return err
}

var errTimeout = errors.New("the simulator timed out")

// limited runs a simulation on a goroutine and memory of its own, which it can
// be left alone with.
func (c *campaign) limited(ctx context.Context, row *Row) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.Timeout, errTimeout)
	defer cancel()
	theta, y := append([]float64(nil), row.Theta...), make([]float64, len(row.Y))
	seed := row.Seed
	done := make(chan error, 1)
	go func() { done <- protect(ctx, c.sim, y, theta, seed) }()
	var err error
	select {
	case err = <-done:
		copy(row.Y, y)
		if err == nil {
			return nil
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if context.Cause(ctx) == errTimeout && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errTimeout)) {
		return fmt.Errorf("%w after %v", errTimeout, c.opt.Timeout)
	}
	return err
}

// protect calls the simulator and turns a panic into an error.
func protect(ctx context.Context, sim Simulator, y, theta []float64, seed uint64) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &par.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	for j := range y {
		y[j] = math.NaN() // what the simulator leaves out is found
	}
	return sim.Simulate(ctx, y, theta, rng.New(seed, 1))
}
