package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"github.com/go-inverse/inverse/internal/par"
)

// Pathfinder is variational inference along the path of an optimiser (Zhang,
// Carpenter, Gelman and Vehtari, 2022): L-BFGS climbs to a mode, and each
// point of its path, with the inverse Hessian that L-BFGS has there, is a
// normal distribution; the one with the greatest evidence lower bound is
// taken. It costs far fewer gradients than [ADVI].
//
// Several paths, in parallel, from different points, make an even mixture,
// which has the modes that the paths have found. Memory grows with the
// dimension times History, never with its square.
type Pathfinder struct {
	// Paths is the number of paths. If Paths is 0, it will be defaulted to 4.
	Paths int
	// History is the number of steps from which the inverse Hessian is made.
	// If History is 0, it will be defaulted to 5.
	History int
	// Iterations is the greatest number of iterations of a path. If Iterations
	// is 0, it will be defaulted to 1000.
	Iterations int
	// ELBOSamples is the number of draws for an evidence lower bound. If
	// ELBOSamples is 0, it will be defaulted to 25.
	ELBOSamples int
}

// String names the number of paths.
func (o *Pathfinder) String() string {
	if o.Paths == 1 {
		return "Pathfinder"
	}
	return "multi-path Pathfinder"
}

const pathTries = 10

func (o *Pathfinder) fit(ctx context.Context, f *fitting) (variational, error) {
	c := *o
	for _, v := range []struct {
		name  string
		value *int
		def   int
	}{{"Paths", &c.Paths, 4}, {"History", &c.History, 5}, {"Iterations", &c.Iterations, 1000}, {"ELBOSamples", &c.ELBOSamples, 25}} {
		if *v.value < 0 {
			return nil, fmt.Errorf("%s is %d, want 1 or more", v.name, *v.value)
		}
		if *v.value == 0 {
			*v.value = v.def
		}
	}
	paths := make([]*path, c.Paths)
	failed := make([]error, c.Paths)
	err := par.Each(ctx, f.Workers, c.Paths, func(i int) error {
		// A path that leads nowhere is begun anew elsewhere.
		for try := range pathTries {
			paths[i] = &path{Pathfinder: c, f: f, id: i + try*c.Paths, elbo: math.Inf(-1)}
			failed[i] = paths[i].run(ctx)
			if paths[i].best != nil || failed[i] != nil || ctx.Err() != nil {
				break
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	var q mixture
	for i, p := range paths {
		switch {
		case p.best != nil:
			q = append(q, p.best)
			if failed[i] != nil {
				return nil, fmt.Errorf("path %d: %w", i+1, failed[i])
			}
		case failed[i] == nil:
			failed[i] = fmt.Errorf("no point of %d paths has a curvature from which to make a normal distribution", pathTries)
		}
		if p.best == nil && c.Paths > 1 {
			f.warnings = append(f.warnings, fmt.Sprintf("path %d has failed: %v.", i+1, failed[i]))
		}
	}
	if len(q) == 0 {
		return nil, fmt.Errorf("path 1: %w", failed[0])
	}
	return q, nil
}

// pathfinder returns what Pathfinder finds with its defaults and the given
// number of paths, or nil if it fails other than by a panic or the end of ctx.
func (f *fitting) pathfinder(ctx context.Context, paths int) (mixture, error) {
	warnings := f.warnings
	f.quiet = true
	q, err := (&Pathfinder{Paths: paths}).fit(ctx, f)
	f.quiet = false
	f.warnings = warnings
	if p := (*par.PanicError)(nil); errors.As(err, &p) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return q.(mixture), nil
}

// path is one run of L-BFGS and the best normal distribution on it.
type path struct {
	Pathfinder
	f  *fitting
	id int

	sparse bool // only some of its points are judged, as those of sparsePoints

	best *factored
	elbo float64

	ctx     context.Context
	x, g    []float64 // the last point and the score there
	alpha   []float64 // diagonal of the inverse Hessian
	s, y    [][]float64
	spare   [2][]float64 // for the next s and y
	iters   int
	stopped error
}

// run climbs from the path's first point.
func (p *path) run(ctx context.Context) error {
	p.ctx = ctx
	d := p.f.dim
	start := make([]float64, d)
	if err := p.f.first(start, p.id); err != nil {
		return err
	}
	p.alpha = slices.Repeat([]float64{1}, d)
	return p.f.with(func(t *Target) error {
		// The optimiser asks for value and gradient separately.
		at, grad := make([]float64, d), make([]float64, d)
		value := math.NaN()
		evaluate := func(x []float64) {
			if math.IsNaN(value) || !slices.Equal(at, x) {
				// This is a goroutine of the optimiser's own.
				defer func() {
					if v := recover(); v != nil {
						value = math.Inf(1)
						p.stopped = &par.PanicError{Value: v, Stack: debug.Stack()}
					}
				}()
				copy(at, x)
				value = -t.LogProbScore(grad, x) // +Inf where the target fails
				t.takeErr()
			}
		}
		problem := optimize.Problem{
			Func: func(x []float64) float64 {
				evaluate(x)
				return value
			},
			Grad: func(dst, x []float64) {
				evaluate(x)
				for i, g := range grad {
					dst[i] = -g
				}
			},
			Status: func() (optimize.Status, error) {
				if p.stopped != nil {
					return optimize.Failure, p.stopped
				}
				return optimize.NotTerminated, nil
			},
		}
		settings := &optimize.Settings{
			MajorIterations:   p.Iterations,
			GradientThreshold: 1e-8,
			Converger:         &optimize.FunctionConverge{Relative: 1e-12, Iterations: 5},
			Recorder:          p,
		}
		// The line search fails where the density is flat to rounding, at the
		// mode: what the path has found until then counts.
		_, _ = optimize.Minimize(problem, start, settings, &optimize.LBFGS{Store: p.History})
		if p.sparse && p.stopped == nil {
			p.stopped = p.judge()
		}
		return p.stopped
	})
}

// Init and Record make path an optimize.Recorder.
func (p *path) Init() error { return nil }

// Record is given each point of the path.
func (p *path) Record(loc *optimize.Location, op optimize.Operation, _ *optimize.Stats) error {
	if op != optimize.InitIteration && op != optimize.MajorIteration {
		return nil
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if err := p.visit(loc.X, loc.Gradient); err != nil {
		p.stopped = fmt.Errorf("iteration %d: %w", p.iters, err)
		return p.stopped
	}
	return nil
}

// visit takes the next point of the path and the gradient of -log p there.
func (p *path) visit(x, grad []float64) error {
	d := len(x)
	if p.x == nil {
		p.x, p.g = slices.Clone(x), make([]float64, d)
		for i, g := range grad {
			p.g[i] = -g
		}
		return nil
	}
	p.iters++
	s, y := p.spare[0], p.spare[1]
	if s == nil {
		s, y = make([]float64, d), make([]float64, d)
	}
	var ys, yy float64
	for i := range x {
		s[i] = x[i] - p.x[i]
		y[i] = grad[i] + p.g[i]
		ys += y[i] * s[i]
		yy += y[i] * y[i]
		p.x[i], p.g[i] = x[i], -grad[i]
	}
	const maxCurvature = 1e12
	if ys > 0 && yy <= maxCurvature*ys {
		p.spare = [2][]float64{}
		if len(p.s) == p.History {
			p.spare = [2][]float64{p.s[0], p.y[0]}
			p.s, p.y = p.s[1:], p.y[1:]
		}
		p.s, p.y = append(p.s, s), append(p.y, y)
		updateDiagonal(p.alpha, s, y)
	} else {
		p.spare = [2][]float64{s, y}
	}
	if p.sparse && !slices.Contains(sparsePoints, p.iters) {
		return nil
	}
	return p.judge()
}

// sparsePoints are the iterations of a sparse path that are judged besides its
// last one.
var sparsePoints = []int{3, 6, 9, 12, 16, 20, 25, 30, 40, 50, 70}

// judge compares the normal distribution at the last point with the best.
func (p *path) judge() error {
	if len(p.s) == 0 {
		return nil
	}
	q, err := lbfgsNormal(p.x, p.g, p.alpha, p.s, p.y)
	if err != nil {
		return nil // rounding has spoilt this point; the next may be good
	}
	// All points of a path are judged with the same noise.
	stream := streamELBO + uint64(p.id)<<20
	workers := p.f.Workers
	if p.Paths > 1 {
		workers = 1 // the paths are parallel already
	}
	elbo, err := p.f.lowerBound(p.ctx, workers, q, p.ELBOSamples, stream)
	if err != nil {
		return err
	}
	if elbo > p.elbo {
		p.best, p.elbo = q, elbo
	}
	p.f.advance(1, p.Paths*p.Iterations, elbo)
	return nil
}

// updateDiagonal updates the diagonal inverse Hessian α with a step s and the
// change y of the gradient, by equation 4.9 of Gilbert and Lemaréchal (1989).
func updateDiagonal(alpha, s, y []float64) {
	var a, b, c float64
	for i, v := range alpha {
		a += y[i] * y[i] * v
		b += y[i] * s[i]
		c += s[i] * s[i] / v
	}
	for i, v := range alpha {
		w := 1 / (a/(b*v) + y[i]*y[i]/b - a*s[i]*s[i]/(b*c*v*v))
		if w > 0 && !math.IsInf(w, 1) { // else rounding has spoilt it
			alpha[i] = w
		}
	}
}

// lbfgsNormal returns the normal distribution of a Newton step from x, where
// the score is g: its covariance matrix is the inverse Hessian of L-BFGS,
//
//	H = diag(α) + β γ βᵀ,   β = (diag(α) Y, S)
//	γ = ( 0     -R⁻¹                                   )
//	    ( -R⁻ᵀ  R⁻ᵀ (diag(SᵀY) + Yᵀ diag(α) Y) R⁻¹     )
//
// with R the upper triangle of SᵀY (Byrd, Nocedal and Schnabel, 1994, theorem
// 2.2), and its mean x + H g.
func lbfgsNormal(x, g, alpha []float64, s, y [][]float64) (*factored, error) {
	d, j := len(x), len(s)
	beta := mat.NewDense(d, 2*j, nil)
	for i := range d {
		row := beta.RawRowView(i)
		for k := range j {
			row[k] = alpha[i] * y[k][i]
			row[j+k] = s[k][i]
		}
	}
	r := mat.NewTriDense(j, mat.Upper, nil)
	middle := mat.NewDense(j, j, nil)
	for a := range j {
		for b := range j {
			var sy, yay float64
			for i, v := range alpha {
				sy += s[a][i] * y[b][i]
				yay += y[a][i] * v * y[b][i]
			}
			if b >= a {
				r.SetTri(a, b, sy)
			}
			if a == b {
				yay += sy
			}
			middle.Set(a, b, yay)
		}
	}
	// The diagonal of R is positive, and newFactored sees to what a poor
	// condition has spoilt.
	var inv mat.TriDense
	_ = inv.InverseTri(r)
	var corner mat.Dense
	corner.Product(inv.T(), middle, &inv)
	gamma := mat.NewSymDense(2*j, nil)
	for a := range j {
		for b := a; b < j; b++ {
			gamma.SetSym(j+a, j+b, (corner.At(a, b)+corner.At(b, a))/2)
		}
		for b := range j {
			gamma.SetSym(a, j+b, -inv.At(a, b))
		}
	}
	return newFactored(x, g, alpha, beta, gamma)
}

// mixture is an even mixture.
type mixture []*factored

func (q mixture) draw(u []float64, rnd *rand.Rand) float64 {
	if len(q) == 1 {
		return q[0].draw(u, rnd)
	}
	q[rnd.IntN(len(q))].draw(u, rnd)
	return q.logProb(u)
}

func (q mixture) logProb(u []float64) float64 {
	lp := math.Inf(-1)
	for _, c := range q {
		lp = logAddExp(lp, c.logProb(u))
	}
	return lp - math.Log(float64(len(q)))
}
