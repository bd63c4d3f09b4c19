package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// SVGD is Stein variational gradient descent (Liu and Wang, 2016): particles
// that climb the target's density together, and repel each other, with
//
//	x_i += ε/n Σ_j [k(x_j, x_i) ∇ log p(x_j) + ∇_x_j k(x_j, x_i)]
//
// for the kernel k(x, y) = exp(-|x - y|²/h), where h is the median squared
// distance over log(n+1). It is made in coordinates in which the particles'
// own covariance matrix is the identity (their variances are 1, if they are
// not more than twice as many as the dimensions), and directions are divided
// by the mean kernel between two particles, which changes how fast they
// settle and not where.
//
// The particles begin as draws of [Pathfinder], unless FitOptions.Init has
// more than one row. They are in Approximation.Particles, and are too close to
// each other, the more so in many dimensions. The density that goes with them
// has their mean and covariance matrix: half of it is a kernel density
// estimate, half a Student t distribution.
type SVGD struct {
	// Particles is the number of particles, 2 or more. If Particles is 0, it
	// will be defaulted to 100. An iteration takes time and memory in
	// proportion to its square.
	Particles int
	// Iterations is the greatest number of iterations. If Iterations is 0, it
	// will be defaulted to 1000.
	Iterations int
	// StepSize is the size of the first step, in standard deviations. If
	// StepSize is 0, it will be defaulted to 0.5.
	StepSize float64
	// Tolerance is the root mean square step direction, in standard
	// deviations, below which the particles have converged. If Tolerance is 0,
	// it will be defaulted to 0.001.
	Tolerance float64
}

// String names the family.
func (o *SVGD) String() string { return "Stein variational gradient descent" }

const svgdEvery = 10 // iterations between new scales and a new bandwidth

func (o *SVGD) fit(ctx context.Context, f *fitting) (variational, error) {
	c := *o
	if c.Particles == 0 {
		c.Particles = 100
	}
	if c.Iterations == 0 {
		c.Iterations = 1000
	}
	if c.StepSize == 0 {
		c.StepSize = 0.5
	}
	if c.Tolerance == 0 {
		c.Tolerance = 0.001
	}
	if c.Particles < 2 || c.Iterations < 1 || !(c.StepSize > 0) || !(c.Tolerance > 0) {
		return nil, fmt.Errorf("SVGD.Particles is %d, want 2 or more; Iterations is %d, StepSize %g and Tolerance %g, want them positive",
			c.Particles, c.Iterations, c.StepSize, c.Tolerance)
	}
	s := &swarm{SVGD: c, f: f}
	if err := s.init(ctx); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	f.particles = s.x
	return newKernelDensity(s.x), nil
}

// swarm is the particles of SVGD.
type swarm struct {
	SVGD
	f    *fitting
	x    *mat.Dense // the particles, one a row
	t    *factored  // the coordinates z: x = t(z)
	z, g *mat.Dense // the particles and their scores in these coordinates
	phi  *mat.Dense // the directions
	h    float64    // bandwidth
	mass float64    // mean kernel between two particles
	dist []float64  // squared distances, sorted
}

func (s *swarm) init(ctx context.Context) error {
	n, d := s.Particles, s.f.dim
	s.x, s.z = mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	s.g, s.phi = mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	var found mixture
	rows := 0
	if s.f.Init != nil {
		rows, _ = s.f.Init.Dims()
	}
	if rows < 2 {
		var err error
		if found, err = s.f.pathfinder(ctx, 4); err != nil {
			return err
		}
		if found == nil && rows == 1 {
			return fmt.Errorf("FitOptions.Init has 1 row, from which %d particles cannot part", n)
		}
	}
	return par.Each(ctx, s.f.Workers, n, func(i int) error {
		if found != nil {
			return s.f.with(func(t *Target) error {
				rnd := rand.New(rng.New(s.f.seed, 1<<32+uint64(i)))
				for range initTries {
					found.draw(s.x.RawRowView(i), rnd)
					if !math.IsInf(t.LogProbScore(s.g.RawRowView(i), s.x.RawRowView(i)), -1) {
						return nil
					}
				}
				return fmt.Errorf("particle %d: %w at %d draws of Pathfinder", i, t.why(), initTries)
			})
		}
		if err := s.f.first(s.x.RawRowView(i), i); err != nil {
			return fmt.Errorf("particle %d: %w", i, err)
		}
		return nil
	})
}

func (s *swarm) run(ctx context.Context) error {
	rms := math.Inf(1)
	for t := range s.Iterations {
		if t%svgdEvery == 0 {
			s.rescale()
		}
		if err := s.direct(ctx); err != nil {
			return fmt.Errorf("iteration %d: %w", t+1, err)
		}
		if rms = mat.Norm(s.phi, 2) / math.Sqrt(float64(s.Particles*s.f.dim)); rms < s.Tolerance {
			return nil
		}
		if err := s.move(ctx, t); err != nil {
			return fmt.Errorf("iteration %d: %w", t+1, err)
		}
		s.f.advance(1, s.Iterations, math.NaN())
	}
	if rms > 10*s.Tolerance {
		s.f.warnings = append(s.f.warnings, fmt.Sprintf("the particles still move after %d iterations, by %.2g standard deviations.", s.Iterations, rms))
	}
	return nil
}

// rescale sets the coordinates and the bandwidth.
func (s *swarm) rescale() {
	s.t = newWhitening(s.x)
	s.whiten()
	n, _ := s.x.Dims()
	dist := s.dist[:0]
	for i := range n {
		for k := range i {
			dist = append(dist, squaredDistance(s.z.RawRowView(i), s.z.RawRowView(k)))
		}
	}
	slices.Sort(dist)
	s.dist = dist
	s.h = quantile(dist, 0.5) / math.Log(float64(n)+1)
	if !(s.h > 0) {
		s.h = 1
	}
	s.mass = float64(n)
	for _, sq := range dist {
		s.mass += 2 * math.Exp(-sq/s.h)
	}
	s.mass /= float64(n) * float64(n)
}

func (s *swarm) whiten() {
	n, _ := s.x.Dims()
	for i := range n {
		s.t.pull(s.z.RawRowView(i), s.x.RawRowView(i))
	}
}

func squaredDistance(x, y []float64) float64 {
	var sum float64
	for i, v := range x {
		sum += (v - y[i]) * (v - y[i])
	}
	return sum
}

const svgdBlock = 8 // particles of a unit of parallel work

// direct sets the scores and the directions.
func (s *swarm) direct(ctx context.Context) error {
	n, _ := s.x.Dims()
	err := par.For(ctx, s.f.Workers, n, svgdBlock, func(lo, hi int) error {
		return s.f.with(func(t *Target) error {
			for i := lo; i < hi; i++ {
				g := s.g.RawRowView(i)
				if math.IsInf(t.LogProbScore(g, s.x.RawRowView(i)), -1) {
					return fmt.Errorf("particle %d: %w", i, t.why())
				}
				s.t.pullback(g)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	s.whiten()
	return par.For(ctx, s.f.Workers, n, svgdBlock, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			phi, zi := s.phi.RawRowView(i), s.z.RawRowView(i)
			clear(phi)
			for k := range n {
				zk, gk := s.z.RawRowView(k), s.g.RawRowView(k)
				w := math.Exp(-squaredDistance(zi, zk)/s.h) / (float64(n) * s.mass)
				for j := range phi {
					phi[j] += w * (gk[j] + 2/s.h*(zi[j]-zk[j]))
				}
			}
		}
		return nil
	})
}

// move makes the step of iteration t. A direction φ is followed for
// φ/(1+|φ|) of the step size, and half as far as long as the target is zero
// there.
func (s *swarm) move(ctx context.Context, t int) error {
	size := s.StepSize / math.Sqrt(1+float64(t)/100)
	return par.For(ctx, s.f.Workers, s.Particles, svgdBlock, func(lo, hi int) error {
		return s.f.with(func(t *Target) error {
			for i := lo; i < hi; i++ {
				x, z, phi := s.x.RawRowView(i), s.z.RawRowView(i), s.phi.RawRowView(i)
				step := size / (1 + floats.Norm(phi, 2))
				for {
					floats.AddScaledTo(x, z, step, phi)
					s.t.push(x, x)
					if !math.IsInf(t.LogProb(x), -1) {
						break
					}
					t.takeErr()
					if step *= 0.5; step < 1e-9*size {
						s.t.push(x, z) // where the density was not zero
						break
					}
				}
			}
			return nil
		})
	})
}
