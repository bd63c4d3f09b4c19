package sampler

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
)

// SVGD is Stein variational gradient descent (Liu and Wang, 2016): particles
// that climb the target's density together, and repel each other, with
//
//	x_i += ε/n Σ_j [k(x_j, x_i) ∇ log p(x_j) + ∇_x_j k(x_j, x_i)]
//
// for the kernel k(x, y) = exp(-|x - y|²/h), where h is the median squared
// distance over log(n+1), distances are in units of the particles' own
// standard deviations, and directions are divided by the mean kernel between
// two particles, which changes how fast they settle and not where. It is
// deterministic but for where the particles start. The particles are in
// Approximation.Particles; they are too close to each other, the more so in
// many dimensions.
//
// The density that goes with them has their mean and covariance matrix: half
// of it is a kernel density estimate, half a Student t distribution.
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
	return newKernelDensity(s.x)
}

// swarm is the particles of SVGD.
type swarm struct {
	SVGD
	f       *fitting
	x       *mat.Dense // the particles, one a row
	z, g    *mat.Dense // in units of scale, and the scores there
	phi     *mat.Dense // the directions
	scale   []float64
	h       float64   // bandwidth
	mass    float64   // mean kernel between two particles
	history []float64 // decaying mean of squared directions, a coordinate each
	dist    []float64 // squared distances, sorted
}

func (s *swarm) init(ctx context.Context) error {
	n, d := s.Particles, s.f.dim
	s.x, s.z = mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	s.g, s.phi = mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	s.scale, s.history = make([]float64, d), make([]float64, d)
	if s.f.Init != nil {
		if r, _ := s.f.Init.Dims(); r < 2 {
			return fmt.Errorf("FitOptions.Init has 1 row, want a point for each of %d particles: they cannot part", n)
		}
	}
	return par.Each(ctx, s.f.Workers, n, func(i int) error {
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
		if rms = s.move(t); rms < s.Tolerance {
			return nil
		}
		s.f.advance(1, s.Iterations, math.NaN())
	}
	s.f.warnings = append(s.f.warnings, fmt.Sprintf("the particles still move after %d iterations: by %.2g standard deviations, root mean square.", s.Iterations, rms))
	return nil
}

// rescale sets the scales and the bandwidth.
func (s *swarm) rescale() {
	n, d := s.x.Dims()
	for j := range d {
		var mean, m2 float64
		for i := range n {
			v := s.x.At(i, j)
			delta := v - mean
			mean += delta / float64(i+1)
			m2 += delta * (v - mean)
		}
		s.scale[j] = math.Sqrt(m2 / float64(n))
		if !(s.scale[j] > 1e-150) {
			s.scale[j] = 1 // coordinates that coincide part in units of their own
		}
	}
	s.standardise()
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

func (s *swarm) standardise() {
	n, _ := s.x.Dims()
	for i := range n {
		z, x := s.z.RawRowView(i), s.x.RawRowView(i)
		for j, v := range s.scale {
			z[j] = x[j] / v
		}
	}
}

func squaredDistance(x, y []float64) float64 {
	var sum float64
	for i, v := range x {
		sum += (v - y[i]) * (v - y[i])
	}
	return sum
}

// direct sets the scores and the directions.
func (s *swarm) direct(ctx context.Context) error {
	n, _ := s.x.Dims()
	const block = 8
	err := par.For(ctx, s.f.Workers, n, block, func(lo, hi int) error {
		return s.f.with(func(t *Target) error {
			for i := lo; i < hi; i++ {
				g := s.g.RawRowView(i)
				if math.IsInf(t.LogProbScore(g, s.x.RawRowView(i)), -1) {
					return fmt.Errorf("particle %d: %w", i, t.why())
				}
				for j, v := range s.scale {
					g[j] *= v
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	s.standardise()
	return par.For(ctx, s.f.Workers, n, block, func(lo, hi int) error {
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

// move makes the step of iteration t and returns the root mean square of the
// directions. Directions of many standard deviations are cut down by a
// decaying mean of their squares.
func (s *swarm) move(t int) float64 {
	n, d := s.x.Dims()
	size := s.StepSize / math.Sqrt(1+float64(t)/100)
	var total float64
	for j := range d {
		var sq float64
		for i := range n {
			sq += s.phi.At(i, j) * s.phi.At(i, j)
		}
		sq /= float64(n)
		total += sq
		if t == 0 {
			s.history[j] = sq
		} else {
			s.history[j] = 0.9*s.history[j] + 0.1*sq
		}
		step := size * s.scale[j] / (1 + math.Sqrt(s.history[j]))
		for i := range n {
			s.x.RawRowView(i)[j] += step * s.phi.At(i, j)
		}
	}
	return math.Sqrt(total / float64(d))
}
