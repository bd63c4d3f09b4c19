// Command tomography recovers a slice of a head from a CT scan with few
// angles, with the posterior mean and its uncertainty.
//
//	go run ./examples/tomography
//
// The scan is computed from the ellipses of the Shepp-Logan phantom, not from
// pixels, so that the data and the inversion share no discretisation. It
// writes tomography.png to the folder -out and prints a table.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

var (
	angles = flag.Int("angles", 30, "number of angles, spread over half a turn")
	noise  = flag.Float64("noise", 0.01, "standard deviation of the noise, relative to the largest datum")
)

func main() { show.Main(run) }

// scan is a tomogram of side×side pixels.
type scan struct {
	side  int
	op    *forward.Radon
	truth []float64
	data  []float64
	sigma float64
}

// newScan scans the phantom with a parallel beam, the detectors a pixel apart.
func newScan(side int, src rand.Source) (*scan, error) {
	theta := make([]float64, *angles)
	for i := range theta {
		theta[i] = math.Pi * float64(i) / float64(*angles)
	}
	op, err := forward.NewRadon(side, side, theta, nil)
	if err != nil {
		return nil, err
	}
	phantom := forward.SheppLogan()
	s := &scan{side: side, op: op, truth: phantom.Image(side, side), data: phantom.Sinogram(op)}
	r := rand.New(src)
	level := *noise * floats.Max(s.data)
	for i := range s.data {
		s.data[i] += level * r.NormFloat64()
	}
	s.sigma = math.Hypot(level, pixelError(op, side, r))
	return s, nil
}

// pixelError returns the standard deviation of what pixels get wrong of a
// scan: to the inversion it is noise too (Kaipio and Somersalo, 2007). It is
// that of random ellipses, since the truth is not known.
func pixelError(op *forward.Radon, side int, r *rand.Rand) float64 {
	const phantoms = 10
	m, n := op.Dims()
	var sum float64
	for range phantoms {
		e := make(forward.Ellipses, 5)
		for i := range e {
			e[i] = forward.Ellipse{
				Value: r.Float64(), Angle: math.Pi * r.Float64(),
				A: .1 + .6*r.Float64(), B: .1 + .6*r.Float64(),
				X: .6*r.Float64() - .3, Y: .6*r.Float64() - .3,
			}
		}
		pixels := mat.NewDense(1, m, nil)
		op.Apply(pixels, mat.NewDense(1, n, e.Image(side, side)))
		d := floats.Distance(pixels.RawRowView(0), e.Sinogram(op), 2)
		sum += d * d / float64(m)
	}
	return math.Sqrt(sum / phantoms)
}

// posterior returns the posterior for a prior of the given precision. In two
// dimensions the energy of first differences does not depend on the size of
// the pixels, so neither does the precision.
func (s *scan) posterior(precision float64) (*posterior.Gaussian, error) {
	field, err := prior.NewGMRF2D(s.side, s.side, &prior.GMRFOptions{Order: 1, Precision: precision})
	if err != nil {
		return nil, err
	}
	lik, err := likelihood.NewGaussian(s.op, s.data, s.sigma)
	if err != nil {
		return nil, err
	}
	return posterior.NewGaussian(field, lik)
}

// result is what the pictures and the table show.
type result struct {
	*scan
	show.Recovery
	last, cgls, tikhonov []float64
	draws                *mat.Dense
}

func run(ctx context.Context, f *show.Flags) error {
	if *angles < 1 || !(*noise > 0) {
		return fmt.Errorf("-angles is %d and -noise %g, want positive numbers", *angles, *noise)
	}
	side, iterations, draws := 128, 300, 64
	if f.Quick {
		side, iterations, draws = 64, 100, 32
	}
	src := rand.NewPCG(f.Seed, 0)
	s, err := newScan(side, src)
	if err != nil {
		return err
	}
	r := &result{scan: s, Recovery: show.Recovery{Truth: s.truth}}
	if err := r.leastSquares(ctx, f, iterations); err != nil {
		return err
	}
	if err := r.bayes(ctx, f, draws, src); err != nil {
		return err
	}
	f.Done()
	r.Add(fmt.Sprintf("CGLS, %d iterations", iterations), r.last)
	r.Add(fmt.Sprintf("CGLS, stopped at iteration %d", r.Stopped), r.cgls)
	r.Add("Tikhonov, discrepancy principle", r.tikhonov)
	r.Add("posterior mean", r.Mean)
	r.Cover(.5, .9)
	path, err := draw(f, r)
	if err != nil {
		return err
	}
	f.Print("%v\nThe picture is %s.\n", &r.Recovery, path)
	return f.Figures(&r.Recovery)
}

func (r *result) leastSquares(ctx context.Context, f *show.Flags, iterations int) error {
	delta := r.sigma * math.Sqrt(float64(len(r.data)))
	last, err := forward.CGLS(ctx, r.op, r.data, &forward.IterOptions{
		MaxIter: iterations, Tol: 1e-14,
		Progress: func(it forward.Iterate) {
			f.Progress("CGLS %d of %d", it.Iteration, iterations)
			r.Errors = append(r.Errors, r.Relative(it.X))
			r.Residuals = append(r.Residuals, it.Residual/floats.Norm(r.data, 2))
		},
	})
	if err != nil {
		return err
	}
	cgls, err := forward.CGLS(ctx, r.op, r.data, &forward.IterOptions{Noise: delta, MaxIter: iterations})
	if err != nil {
		return err
	}
	f.Progress("Tikhonov")
	tikhonov, err := forward.GeneralTikhonov(ctx, r.op, nil, r.data, &forward.FilterOptions{Noise: delta})
	if err != nil {
		return err
	}
	r.last, r.cgls, r.Stopped, r.tikhonov = last.X, cgls.X, int(cgls.Param), tikhonov.X
	return nil
}

// bayes finds the precision of the prior by the evidence of a scan of half as
// many pixels a side, and then samples the exact posterior of the fine one.
func (r *result) bayes(ctx context.Context, f *show.Flags, draws int, src rand.Source) error {
	coarse, err := newScan(r.side/2, src)
	if err != nil {
		return err
	}
	r.Precision, _, err = posterior.MaximizePrecision(ctx, 100, func(tau float64) (*posterior.Gaussian, error) {
		f.Progress("evidence of precision %.3g", tau)
		return coarse.posterior(tau)
	}, src)
	if err != nil {
		return err
	}
	f.Progress("posterior mean")
	post, err := r.posterior(r.Precision)
	if err != nil {
		return err
	}
	r.Mean = post.Mean(nil)
	post.Src = src
	post.Progress = func(done, total int) { f.Progress("draw %d of %d", done, total) }
	r.draws = mat.NewDense(draws, len(r.Mean), nil)
	if err := post.Sample(ctx, r.draws); err != nil {
		return err
	}
	r.SD = make([]float64, len(r.Mean))
	for i := range draws {
		for j, x := range r.draws.RawRowView(i) {
			r.SD[j] += (x - r.Mean[j]) * (x - r.Mean[j]) / float64(draws)
		}
	}
	for j, v := range r.SD {
		r.SD[j] = math.Sqrt(v)
	}
	return nil
}
