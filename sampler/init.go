package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

const (
	initTries  = 100
	initRadius = 2
	// A chain that begins far out where the target is extreme can be caught on
	// its way in. The best of a few points is still a random one.
	initChoice = 10
)

// initialise gives each chain its random stream and its first point.
func (r *run) initialise(ctx context.Context, target inverse.Density, kernel Kernel) error {
	if r.Init != nil {
		if n, _ := r.Init.Dims(); n != 1 && n != r.Chains {
			return fmt.Errorf("sampler: Settings.Init has %d rows, want 1 or one for each of %d chains", n, r.Chains)
		}
	}
	r.seed = rng.Seed(r.Src)
	for i, c := range r.chains {
		c.src = rng.New(r.seed, uint64(i))
		if err := c.prepare(kernel, r.Warmup); err != nil {
			return err
		}
	}
	var starts *starts
	if c := r.chains[0]; r.Init == nil && c.target.climbs {
		var err error
		if starts, err = r.findStarts(ctx, target); err != nil {
			return err
		}
	}
	for i, c := range r.chains {
		if starts.put(c) {
			continue
		}
		if err := r.firstPoint(c, i); err != nil {
			return fmt.Errorf("sampler: chain %d: %w", i+1, err)
		}
		c.target.takeErr()
	}
	return nil
}

func (c *chain) prepare(kernel Kernel, warmup int) (err error) {
	c.rnd = rand.New(c.src)
	c.from = make([]float64, c.target.Dim())
	c.state, err = kernel.New(c.target, warmup)
	return err
}

func (r *run) firstPoint(c *chain, i int) error {
	u := make([]float64, c.target.Dim())
	if r.Init != nil {
		if n, _ := r.Init.Dims(); n == 1 {
			i = 0
		}
		x := r.Init.RawRowView(i)
		if r.Transform == nil {
			copy(u, x)
		} else if err := r.Transform.Unconstrain(u, x); err != nil {
			return fmt.Errorf("Settings.Init, row %d: %w", i, err)
		}
		if err := c.state.Set(u); err != nil {
			return fmt.Errorf("cannot start from Settings.Init, row %d: %w", i, err)
		}
		return nil
	}
	return r.randomPoint(c, u)
}

// randomPoint puts c at the best of the first few points of U(-2, 2)ᵈ that it
// can be started from.
func (r *run) randomPoint(c *chain, u []float64) error {
	best := make([]float64, len(u))
	top := math.Inf(-1)
	var err error
	for tries, found := 0, 0; tries < initTries && found < initChoice; tries++ {
		for j := range u {
			u[j] = initRadius * (2*c.rnd.Float64() - 1)
		}
		if e := c.state.Set(u); e != nil {
			err = e
			c.target.takeErr()
			continue
		}
		found++
		if lp := c.target.LogProb(u); lp > top || found == 1 {
			top = lp
			copy(best, u)
		}
	}
	if math.IsInf(top, -1) {
		return fmt.Errorf("no point to start from in %d tries from U(-%d, %d); at the last, %.6g, %w; give Settings.Init",
			initTries, initRadius, initRadius, c.target.point(u), err)
	}
	return c.state.Set(best)
}
