package sampler

import (
	"context"
	"errors"
	"math"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// starts are normal distributions to draw the chains' first points from, with
// the evidence lower bound of each.
type starts struct {
	q    []*factored
	elbo []float64
}

const (
	startPaths  = 8    // of Pathfinder, begun together
	startRounds = 2    // of them at most
	startAgree  = 5    // nats
	startELBO   = 8    // draws for a lower bound
	startClimb  = 100  // iterations of a path
	streamStart = 1024 // the first random stream of paths, after those of chains
)

// findStarts runs Pathfinder from random points. More paths are begun until
// the best of them has company: a path may end in a mode that has next to
// nothing of the mass, as those of differential equations do, and chains
// would not leave it.
func (r *run) findStarts(ctx context.Context, target inverse.Density) (*starts, error) {
	f, err := newFitting(target, &Pathfinder{}, &FitOptions{Transform: r.Transform, Workers: r.Workers})
	if err != nil {
		return nil, err
	}
	f.seed = r.seed
	found := &starts{}
	for round := range startRounds {
		paths := make([]*path, startPaths)
		err := par.Each(ctx, r.Workers, startPaths, func(i int) error {
			p := &path{
				Pathfinder: Pathfinder{Paths: startPaths, History: 5, Iterations: startClimb, ELBOSamples: startELBO},
				f:          f, id: streamStart + round*startPaths + i, elbo: math.Inf(-1), sparse: true,
			}
			paths[i] = p
			// A path that fails is no start; what the target lacks or does
			// wrong is seen when a chain begins at a random point.
			if err := p.run(ctx); ctx.Err() != nil || errors.As(err, new(*par.PanicError)) {
				return err
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			if p.best != nil && !math.IsNaN(p.elbo) {
				found.q = append(found.q, p.best)
				found.elbo = append(found.elbo, p.elbo)
			}
		}
		if found.agree() {
			break
		}
	}
	return found, nil
}

// agree reports whether there is a second path about as good as the best.
func (s *starts) agree() bool {
	first, second := math.Inf(-1), math.Inf(-1)
	for _, e := range s.elbo {
		first, second = max(first, e), max(min(first, e), second)
	}
	return first-second < startAgree
}

// put puts c at a draw from one of the distributions, taken with the
// probability that their lower bounds give it. It reports false if there are
// none, or if c cannot be started from any of ten draws.
func (s *starts) put(c *chain) bool {
	if s == nil || len(s.q) == 0 {
		return false
	}
	u := make([]float64, c.target.Dim())
	for range initChoice {
		// The greatest of e + Gumbel noise is at i in proportion to exp(e).
		best, top := 0, math.Inf(-1)
		for i, e := range s.elbo {
			if v := e - math.Log(c.rnd.ExpFloat64()); v > top {
				best, top = i, v
			}
		}
		s.q[best].draw(u, c.rnd)
		if c.state.Set(u) == nil {
			return true
		}
		c.target.takeErr()
	}
	return false
}
