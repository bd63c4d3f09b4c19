// Command deblur recovers a blurred, noisy photograph with the posterior mean
// and its uncertainty, and shows why least squares does not.
//
//	go run ./examples/deblur                     # the raccoon
//	go run ./examples/deblur -in photo.png -blur 1.5 -noise 0.02
//
// It writes deblur.png to the folder -out and prints a table. The blur is
// Gaussian with a standard deviation of -blur pixels, the noise white with a
// standard deviation of -noise, white being 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

var (
	in    = flag.String("in", "", "deblur this PNG or JPEG `file` instead of the raccoon")
	blur  = flag.Float64("blur", 2, "standard deviation of the blur in `pixels`")
	noise = flag.Float64("noise", 0.01, "standard deviation of the noise, white being 1")
)

func main() { show.Main(run) }

// result is what the pictures and the table show.
type result struct {
	*scene
	show.Recovery
	naive, cgls, tikhonov []float64
	draws                 *mat.Dense
	dust                  *dusty
}

func run(ctx context.Context, f *show.Flags) error {
	if !(*blur > 0) || !(*noise > 0) {
		return fmt.Errorf("-blur is %g and -noise %g, want positive numbers", *blur, *noise)
	}
	src := rand.NewPCG(f.Seed, 0)
	side, iterations := 256, 400
	if f.Quick {
		side, iterations = 128, 100
	}
	s, err := photograph(side, src)
	if err != nil {
		return err
	}
	r, err := deblur(ctx, f, s, iterations, src)
	if err != nil {
		return err
	}
	f.Done()
	path, err := draw(f, r)
	if err != nil {
		return err
	}
	f.Print("%v\nThe picture is %s.\n", &r.Recovery, path)
	return f.Figures(&r.Recovery)
}

func photograph(side int, src rand.Source) (*scene, error) {
	if *in != "" {
		return load(*in)
	}
	return simulate(side, *blur, *noise, src)
}

// deblur is the main job, by least squares in four ways and by Bayes.
func deblur(ctx context.Context, f *show.Flags, s *scene, iterations int, src rand.Source) (*result, error) {
	r := &result{scene: s, Recovery: show.Recovery{Truth: s.truth}}
	psf, err := forward.GaussianPSF(*blur)
	if err != nil {
		return nil, err
	}
	op, err := forward.NewConv2D(s.rows, s.cols, psf, &forward.Conv2DOptions{Boundary: forward.Reflect})
	if err != nil {
		return nil, err
	}
	delta := *noise * math.Sqrt(float64(len(s.data))) // the norm of the noise

	// Least squares, iterated on and on: the error falls, then rises.
	_, err = forward.CGLS(ctx, op, s.data, &forward.IterOptions{
		MaxIter: iterations, Tol: 1e-14,
		Progress: func(it forward.Iterate) {
			f.Progress("CGLS %d of %d", it.Iteration, iterations)
			r.Errors = append(r.Errors, r.Relative(it.X))
			r.Residuals = append(r.Residuals, it.Residual/floats.Norm(s.data, 2))
		},
	})
	if err != nil {
		return nil, err
	}
	cgls, err := forward.CGLS(ctx, op, s.data, &forward.IterOptions{Noise: delta, MaxIter: iterations})
	if err != nil {
		return nil, err
	}
	r.cgls, r.Stopped = cgls.X, int(cgls.Param)

	// The naive inverse is Tikhonov's with next to no regularisation.
	spectral := op.(inverse.Spectral)
	naive, err := forward.Tikhonov(spectral, s.data, &forward.FilterOptions{Param: 1e-6})
	if err != nil {
		return nil, err
	}
	tikhonov, err := forward.Tikhonov(spectral, s.data, &forward.FilterOptions{Rule: forward.GCV})
	if err != nil {
		return nil, err
	}
	r.naive, r.tikhonov = naive.X, tikhonov.X

	// Bayes: a smooth random field of unknown scale, and its exact posterior.
	lik, err := likelihood.NewGaussian(op, s.data, *noise)
	if err != nil {
		return nil, err
	}
	theta, post, err := posterior.MaximizeEvidence(1, 1e6, func(theta float64) (*posterior.Gaussian, error) {
		f.Progress("evidence of precision %.3g", theta)
		field, err := smooth(s, theta)
		if err != nil {
			return nil, err
		}
		return posterior.NewGaussian(field, lik)
	})
	if err != nil {
		return nil, err
	}
	r.Precision = theta
	if theta < 1.01 {
		fmt.Fprintf(os.Stderr, "\nThe data are rougher than a blur of %g pixels leaves anything: is -blur too large or -noise too small?\n", *blur)
	}
	r.Mean = post.Mean(nil)
	if r.SD, err = post.Variance(nil); err != nil {
		return nil, err
	}
	for i, v := range r.SD {
		r.SD[i] = math.Sqrt(v)
	}
	post.Src = src
	post.Progress = func(done, total int) { f.Progress("draw %d of %d", done, total) }
	r.draws = mat.NewDense(2, len(r.Mean), nil)
	if err := post.Sample(ctx, r.draws); err != nil {
		return nil, err
	}
	r.Add("blurred, noisy data", s.data)
	r.Add("naive inverse", r.naive)
	r.Add(fmt.Sprintf("CGLS, stopped at iteration %d", r.Stopped), r.cgls)
	r.Add("Tikhonov, parameter by GCV", r.tikhonov)
	r.Add("posterior mean", r.Mean)
	r.Cover(.5, .9)
	r.dust, err = throughDust(ctx, f, s, op, r.Precision, src)
	return r, err
}

// smooth is the prior: a Markov random field about the mean of the data.
func smooth(s *scene, precision float64) (*prior.GMRF, error) {
	level := make([]float64, len(s.data))
	floats.AddConst(stat.Mean(s.data, nil), level)
	return prior.NewGMRF2D(s.rows, s.cols, &prior.GMRFOptions{Order: 1, Precision: precision, Mean: level})
}
