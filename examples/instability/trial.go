package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/sbi"
)

// config is how much is computed.
type config struct {
	seeds, pairs, epochs int
	signals              int // to measure errors on
	diffused, draws      int // signals and draws of the diffusion posterior
	alarms               int // data sets for the tests of the prior
}

var methods = []string{"network, exact data", "network, noisy data", "Tikhonov", "posterior mean", "diffusion posterior mean"}

// The columns of trial.errors.
const (
	clean = iota
	robust
	tikhonov
	mean
	diffused
)

// trial is all that is measured with one seed.
type trial struct {
	errors   [][]float64 // by level and method
	coverage [][]float64 // by level: posterior, diffusion; and the network inside of the posterior's intervals
	report   *forward.StabilityReport

	// One signal, for the pictures: its exact data, and noisy ones with their
	// posterior and Tikhonov's solution.
	truth, data, noisy []float64
	maps               []forward.Reconstruction
	posterior          *posterior.Gaussian
	tikhonov           []float64
}

// growth is the ratio of the errors at the last and at the first level.
func (t *trial) growth(method int) float64 {
	return t.errors[len(levels)-1][method] / t.errors[0][method]
}

// faster is the ratio of the growths of the network and of the posterior mean.
func (t *trial) faster() float64 { return t.growth(clean) / t.growth(mean) }

func (p *problem) try(ctx context.Context, c config, src rand.Source, progress func(format string, args ...any)) (*trial, error) {
	table := p.pairs(c.pairs, src)
	train := func(name string, level float64) (*sbi.PointEstimator, error) {
		return p.network(ctx, table, level, c.epochs, src, func(epoch int) { progress("network of %s data, epoch %d of %d", name, epoch, c.epochs) })
	}
	cleanNet, err := train("exact", 0)
	if err != nil {
		return nil, err
	}
	robustNet, err := train("noisy", trained)
	if err != nil {
		return nil, err
	}
	t := &trial{}
	x, y := p.signals(c.signals, src)
	z := distuv.UnitNormal.Quantile(0.95)
	for _, level := range levels {
		noisy := p.noisy(y, level, src)
		pm, err := p.posteriorMean(level)
		if err != nil {
			return nil, err
		}
		tik, err := p.tikhonov(noisy, level)
		if err != nil {
			return nil, err
		}
		byNet, byMean := apply(cleanNet, noisy), apply(pm, noisy)
		errors := []float64{relative(byNet, x), relative(apply(robustNet, noisy), x), relative(tik, x), relative(byMean, x), 0}

		// The variance of the posterior is the same for all data.
		post, err := p.given(noisy.RawRowView(0), level)
		if err != nil {
			return nil, err
		}
		variance, err := post.Variance(nil)
		if err != nil {
			return nil, err
		}
		var inside, net float64
		for i := range c.signals {
			for j, v := range variance {
				half := z * math.Sqrt(v)
				inside += indicator(math.Abs(x.At(i, j)-byMean.At(i, j)) <= half)
				net += indicator(math.Abs(byNet.At(i, j)-byMean.At(i, j)) <= half)
			}
		}
		all := float64(c.signals * size)
		means, covered, err := p.diffuse(ctx, c, x, noisy, level, src, progress)
		if err != nil {
			return nil, fmt.Errorf("diffusion posterior, noise %g: %w", level, err)
		}
		errors[diffused] = relative(means, x.Slice(0, c.diffused, 0, size).(*mat.Dense))
		t.errors = append(t.errors, errors)
		t.coverage = append(t.coverage, []float64{inside / all, covered, net / all})
	}

	progress("worst perturbations")
	const loud = 3 // the level of the noisy data in the picture
	t.truth, t.data = x.RawRowView(0), y.RawRowView(0)
	t.noisy = p.noisy(y, levels[loud], src).RawRowView(0)
	if t.posterior, err = p.given(t.noisy, levels[loud]); err != nil {
		return nil, err
	}
	inv, err := forward.Tikhonov(p.op, t.noisy, &forward.FilterOptions{Noise: levels[loud] * p.rms * math.Sqrt(size)})
	if err != nil {
		return nil, err
	}
	t.tikhonov = inv.X

	// Maps that are fixed, for data as noisy as in the training.
	if inv, err = forward.Tikhonov(p.op, p.noisy(y, trained, src).RawRowView(0), &forward.FilterOptions{Noise: trained * p.rms * math.Sqrt(size)}); err != nil {
		return nil, err
	}
	tik, err := forward.Regularized(p.op, inv.Param)
	if err != nil {
		return nil, err
	}
	pm, err := p.posteriorMean(trained)
	if err != nil {
		return nil, err
	}
	t.maps = []forward.Reconstruction{{Name: methods[clean], Map: cleanNet}, {Name: methods[robust], Map: robustNet}, {Name: methods[tikhonov], Map: tik}, {Name: methods[mean], Map: pm}}
	detail := make([]float64, size)
	detail[size/2], detail[size/2+1] = 1, 1
	t.report, err = forward.Stability(ctx, p.op, t.truth, t.maps, &forward.StabilityOptions{
		Noise: levels, Detail: detail, Worst: forward.WorstCaseOptions{Size: tiny * floats.Norm(t.data, 2)}, Src: src,
	})
	return t, err
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// diffuse draws from the posterior by reverse diffusion for the first signals,
// and returns the means of the draws and the coverage of their 90 % intervals.
func (p *problem) diffuse(ctx context.Context, c config, x, y *mat.Dense, level float64, src rand.Source, progress func(format string, args ...any)) (*mat.Dense, float64, error) {
	score, err := diffusion.Diffuse(p.pri, diffusion.NewVP(0.1, 20))
	if err != nil {
		return nil, 0, err
	}
	means, inside := mat.NewDense(c.diffused, size, nil), 0.0
	for i := range c.diffused {
		progress("diffusion posterior, noise %g, signal %d of %d", level, i+1, c.diffused)
		lik, err := p.likelihood(y.RawRowView(i), level)
		if err != nil {
			return nil, 0, err
		}
		guide, err := diffusion.NewMMPS(score, lik)
		if err != nil {
			return nil, 0, err
		}
		post, err := posterior.Sum(score, guide)
		if err != nil {
			return nil, 0, err
		}
		draws := mat.NewDense(c.draws, size, nil)
		s := &diffusion.Reverse{Score: post, Schedule: score.Schedule(), Steps: 40, Src: src}
		if err := s.Sample(ctx, draws); err != nil {
			return nil, 0, err
		}
		for j := range size {
			m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
			means.Set(i, j, m)
			inside += indicator(math.Abs(x.At(i, j)-m) <= distuv.UnitNormal.Quantile(0.95)*sd)
		}
	}
	return means, inside / float64(c.diffused*size), nil
}
