package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/examples/internal/digits"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
)

// A prior is a learned score of square images, and images that it has not seen.
type prior struct {
	side   int
	score  *diffusion.Network
	images *mat.Dense
}

func newPrior(quick bool) (*prior, error) {
	if quick {
		score, err := digits.OpticalScore()
		_, held := digits.Optical()
		return &prior{8, score, held}, err
	}
	score, err := digits.Score()
	return &prior{28, score, digits.Held()}, err
}

// A task is an inverse problem.
type task struct {
	name, file string
	op         inverse.Operator
	sigma      float64 // of the noise
	method     string
	// picture returns data as an image.
	picture func(y []float64) (x []float64, rows, cols int)
	// restarts is how many draws are made for each one that is kept, 1 if 0:
	// those that fit the data best.
	restarts int
	// sampler returns the sampler of a posterior.
	sampler func(score *diffusion.Network, lik *likelihood.Gaussian, src rand.Source) (inverse.Sampler, error)
}

// tasks returns the four problems for images of side×side pixels.
func tasks(side, steps int) ([]task, error) {
	image := func(y []float64) ([]float64, int, int) { return y, side, side }
	hidden, err := newHole(side)
	if err != nil {
		return nil, err
	}
	psf, err := forward.GaussianPSF(float64(side) / 16)
	if err != nil {
		return nil, err
	}
	blur, err := forward.NewConv2D(side, side, psf, nil)
	if err != nil {
		return nil, err
	}
	coarse, err := forward.NewDownsample(side, side, max(2, side/7), nil)
	if err != nil {
		return nil, err
	}
	small := side / max(2, side/7)
	lensless, err := newCamera(side)
	if err != nil {
		return nil, err
	}
	zeta := 3. // found by trial: smaller ones do not fit the data, larger ones fit the noise
	if side > 8 {
		zeta = 6
	}
	guided := func(score *diffusion.Network, lik *likelihood.Gaussian, src rand.Source) (inverse.Sampler, error) {
		g, err := diffusion.NewMMPS(score, lik)
		if err != nil {
			return nil, err
		}
		g.MaxIter = 1 // more of conjugate gradients diverge: the Jacobian of a network is not quite symmetric
		sum, err := posterior.Sum(score, g)
		return &diffusion.Reverse{Score: sum, Schedule: score.Schedule(), Solver: diffusion.DDIM{Eta: 1}, Grid: diffusion.UniformLogSNR, Steps: steps, Src: src}, err
	}
	return []task{
		{
			name: "inpainting", file: "inpainting.png", op: hidden.mask, sigma: .1, method: "MMPS",
			picture: hidden.picture, sampler: guided,
		},
		{name: "deblurring", file: "deblurring.png", op: blur, sigma: .1, method: "MMPS", picture: image, sampler: guided},
		{
			name: "super-resolution", file: "superresolution.png", op: coarse, sigma: .1, method: "MMPS",
			picture: func(y []float64) ([]float64, int, int) { return y, small, small }, sampler: guided,
		},
		{
			name: "phase retrieval", file: "phase.png", op: lensless, sigma: .02, method: "DPS",
			picture: lensless.picture, restarts: 2,
			sampler: func(score *diffusion.Network, lik *likelihood.Gaussian, src rand.Source) (inverse.Sampler, error) {
				return &diffusion.Reverse{Score: score, Solver: diffusion.DPSStep{Lik: lik, Zeta: zeta}, Steps: 3 * steps, Src: src}, nil
			},
		},
	}, nil
}

// hole is a mask that hides the lower part of an image.
type hole struct {
	mask *forward.Mask
	side int
}

func newHole(side int) (*hole, error) {
	var seen []int
	for i := range side * side {
		if i/side < side/2 {
			seen = append(seen, i)
		}
	}
	m, err := forward.NewMask(side*side, seen)
	return &hole{m, side}, err
}

// picture shows what is hidden in gray.
func (h *hole) picture(y []float64) ([]float64, int, int) {
	x := mat.NewDense(1, h.side*h.side, nil)
	h.mask.Adjoint(x, mat.NewDense(1, len(y), y))
	return x.RawRowView(0), h.side, h.side
}

// solved is a task for one true image.
type solved struct {
	truth, data []float64
	draws       *mat.Dense
	mean, sd    []float64
	figures
}

// solve simulates data of each true image and samples their posteriors.
func (p *prior) solve(ctx context.Context, t task, truths []int, n int, seed uint64, progress func(k, of int)) ([]*solved, error) {
	var all []*solved
	for k, index := range truths {
		src := rand.NewPCG(seed, uint64(1000*k+len(t.name)))
		s := &solved{truth: p.images.RawRowView(index)}
		m, d := t.op.Dims()
		y := mat.NewDense(1, m, nil)
		t.op.Apply(y, mat.NewDense(1, d, s.truth))
		s.data = y.RawRowView(0)
		random := rand.New(src)
		for i := range s.data {
			s.data[i] += t.sigma * random.NormFloat64()
		}
		lik, err := likelihood.NewGaussian(t.op, s.data, t.sigma)
		if err != nil {
			return nil, err
		}
		sampler, err := t.sampler(p.score, lik, src)
		if err != nil {
			return nil, err
		}
		progress(k, len(truths))
		s.draws = mat.NewDense(n*max(1, t.restarts), d, nil)
		if err := sampler.Sample(ctx, s.draws); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		s.keep(t, n)
		s.measure(t)
		all = append(all, s)
	}
	return all, nil
}

// residuals returns ‖(y - A(x))/σ‖² per datum for each draw.
func (s *solved) residuals(t task) []float64 {
	n, _ := s.draws.Dims()
	m, _ := t.op.Dims()
	y := mat.NewDense(n, m, nil)
	t.op.Apply(y, s.draws)
	chi2 := make([]float64, n)
	for i := range chi2 {
		r := floats.Distance(y.RawRowView(i), s.data, 2) / t.sigma
		chi2[i] = r * r / float64(m)
	}
	return chi2
}

// keep leaves the n draws that fit the data best, in their order.
func (s *solved) keep(t task, n int) {
	all, d := s.draws.Dims()
	if n == all {
		return
	}
	chi2 := s.residuals(t)
	order := slices.Clone(chi2)
	slices.Sort(order)
	best := mat.NewDense(n, d, nil)
	for i, k := 0, 0; i < all && k < n; i++ {
		if chi2[i] <= order[n-1] {
			best.SetRow(k, s.draws.RawRowView(i))
			k++
		}
	}
	s.draws = best
}
