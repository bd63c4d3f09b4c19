package posterior

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/optimize"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// MAPOptions are the options of [MAP].
type MAPOptions struct {
	// Method is the optimiser. If it is nil, it is L-BFGS.
	Method optimize.Method
	// GradTol is the largest absolute component that the score may have at
	// the mode. Where a line search fails, because the density is flat to
	// rounding, 1e-7 times 1 + |log density| is small enough. If GradTol is
	// 0, it is 1e-6.
	GradTol float64
	// MaxIter bounds the major iterations. If it is 0, it is 1000.
	MaxIter int
}

// Mode is a local maximum of a density.
type Mode struct {
	X       []float64 // where it is
	LogProb float64   // log density there
	Iter    int       // major iterations
	Evals   int       // evaluations of the density
}

// MAP climbs from init to a mode of the density, the maximum a posteriori
// estimate if the density is a posterior, by gonum/optimize.
//
// It returns an error if init has another length than the density's Dim, if the
// density at init is zero or not finite, if the optimiser fails or stops at
// MaxIter, if the density panics, and ctx's error if that comes first. With an
// optimiser's error the best point found is returned too.
func MAP(ctx context.Context, target inverse.DifferentiableDensity, init []float64, opts *MAPOptions) (*Mode, error) {
	if d, ok := target.(interface{ Dim() int }); ok && d.Dim() != len(init) {
		return nil, fmt.Errorf("posterior: init has length %d, the density dimension %d", len(init), d.Dim())
	}
	if err := scoreError(target); err != nil {
		return nil, fmt.Errorf("posterior: MAP needs a score: %w", err)
	}
	var o MAPOptions
	if opts != nil {
		o = *opts
	}
	if o.Method == nil {
		o.Method = &optimize.LBFGS{}
	}
	if o.GradTol == 0 {
		o.GradTol = 1e-6
	}
	if o.MaxIter == 0 {
		o.MaxIter = 1000
	}
	if lp := target.LogProb(init); math.IsNaN(lp) || math.IsInf(lp, 0) {
		return nil, fmt.Errorf("posterior: log density at init is %g, want a finite number", lp)
	}
	// The optimiser calls from goroutines of its own, where a panic of the
	// density would end the program.
	var panicked error
	guard := func(f func()) {
		if panicked == nil {
			panicked = par.Guard(func() error { f(); return nil })
		}
	}
	problem := optimize.Problem{
		Func: func(x []float64) float64 {
			f := math.Inf(1)
			guard(func() { f = -target.LogProb(x) })
			return f
		},
		Grad: func(grad, x []float64) {
			guard(func() { target.ScoreInput(grad, x) })
			floats.Scale(-1, grad)
		},
		Status: func() (optimize.Status, error) {
			if err := cmp.Or(panicked, ctx.Err()); err != nil {
				return optimize.Failure, err
			}
			return optimize.NotTerminated, nil
		},
	}
	settings := &optimize.Settings{
		GradientThreshold: o.GradTol,
		MajorIterations:   o.MaxIter,
		// Only the gradient decides: a posterior may be flat to rounding
		// long before its mode is found.
		Converger: optimize.NeverTerminate{},
	}
	// A line search may fail where the density is flat to rounding; starting
	// again from there drops the curvature it had gathered.
	mode := &Mode{X: init}
	score := make([]float64, len(init))
	var err error
	for range 4 {
		var res *optimize.Result
		res, err = optimize.Minimize(problem, mode.X, settings, o.Method)
		if err := cmp.Or(panicked, ctx.Err()); err != nil {
			return nil, err
		}
		if res == nil {
			return nil, fmt.Errorf("posterior: MAP: %w", err)
		}
		mode = &Mode{
			X:       res.X,
			LogProb: -res.F,
			Iter:    mode.Iter + res.MajorIterations,
			Evals:   mode.Evals + res.FuncEvaluations,
		}
		if err == nil && res.Status == optimize.IterationLimit {
			return mode, fmt.Errorf("posterior: MAP: the score is %.3g after %d iterations, want %.3g; raise MaxIter or improve init",
				maxAbs(target.ScoreInput(score, mode.X)), mode.Iter, o.GradTol)
		}
		if err == nil || maxAbs(target.ScoreInput(score, mode.X)) <= max(o.GradTol, 1e-7*(1+math.Abs(mode.LogProb))) {
			return mode, nil
		}
	}
	return mode, fmt.Errorf("posterior: MAP: %w", err)
}

func maxAbs(x []float64) float64 {
	var m float64
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}
