package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

const (
	size    = 64   // values of the signal, and data
	trained = 1e-2 // the noise of the noisy training, relative to the data
	tiny    = 1e-4 // the size of the worst-case perturbations, relative to the data
)

// levels of noise, relative to the root mean square of the data: three decades.
var levels = []float64{1e-4, 1e-3, 1e-2, 1e-1}

// problem is a blur of a random signal, a Gaussian process with a kernel of
// Matérn.
type problem struct {
	pri *prior.Gaussian
	cov *mat.SymDense
	op  *forward.Dense
	rms float64 // of the data
}

// newProblem has signals of the given correlation length.
func newProblem(length float64) (*problem, error) {
	cov := mat.NewSymDense(size, nil)
	blur := mat.NewDense(size, size, nil)
	for i := range size {
		for j := range size {
			r := math.Sqrt(3) * math.Abs(float64(i-j)) / length
			if j >= i {
				cov.SetSym(i, j, (1+r)*math.Exp(-r))
			}
			d := float64(i-j) / 1.4
			blur.Set(i, j, math.Exp(-d*d/2)/(1.4*math.Sqrt(2*math.Pi)))
		}
	}
	p := &problem{cov: cov}
	var err error
	if p.pri, err = prior.NewGaussian(nil, cov, nil); err != nil {
		return nil, err
	}
	if p.op, err = forward.NewDense(blur); err != nil {
		return nil, err
	}
	// E‖Ax‖² = tr(A S Aᵀ)
	var as, asa mat.Dense
	as.Mul(blur, cov)
	asa.Mul(&as, blur.T())
	p.rms = math.Sqrt(mat.Trace(&asa) / size)
	return p, nil
}

// signals returns draws of the prior and their exact data.
func (p *problem) signals(rows int, src rand.Source) (x, y *mat.Dense) {
	x, y = mat.NewDense(rows, size, nil), mat.NewDense(rows, size, nil)
	p.pri.Draw(x, src)
	p.op.Apply(y, x)
	return x, y
}

// noisy returns the data with noise of a level.
func (p *problem) noisy(y *mat.Dense, level float64, src rand.Source) *mat.Dense {
	r := rand.New(src)
	n := mat.DenseCopyOf(y)
	n.Apply(func(_, _ int, v float64) float64 { return v + level*p.rms*r.NormFloat64() }, n)
	return n
}

// pairs is a table of signals and exact data, for training.
func (p *problem) pairs(rows int, src rand.Source) *sbi.Table {
	t := &sbi.Table{Index: make([]int, rows), Seed: make([]uint64, rows), Status: make([]sbi.Status, rows)}
	for i := range rows {
		t.Index[i] = i
	}
	t.Theta, t.Y = p.signals(rows, src)
	return t
}

// network trains a map from data to signals.
func (p *problem) network(ctx context.Context, table *sbi.Table, level float64, epochs int, src rand.Source, progress func(epoch int)) (*sbi.PointEstimator, error) {
	return sbi.Regression(ctx, table, &sbi.RegressionOptions{
		Noise: []float64{level * p.rms}, Epochs: epochs, Src: src,
		Progress: func(epoch int, _, _ float64) { progress(epoch) },
	})
}

// posteriorMean is the posterior mean for data with noise of a level, as a map
// of the data: S Aᵀ(A S Aᵀ + σ²I)⁻¹.
func (p *problem) posteriorMean(level float64) (*forward.Dense, error) {
	a := mat.NewDense(size, size, nil)
	identity := mat.NewDense(size, size, nil)
	for i := range size {
		identity.Set(i, i, 1)
	}
	p.op.Apply(a, identity) // rows: columns of A
	var sa, asa, inv, m mat.Dense
	sa.Mul(p.cov, a)
	asa.Mul(a.T(), &sa)
	for i := range size {
		asa.Set(i, i, asa.At(i, i)+level*level*p.rms*p.rms)
	}
	if err := inv.Inverse(&asa); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			return nil, err
		}
	}
	m.Mul(&sa, &inv)
	return forward.NewDense(&m)
}

// given is the posterior for data with noise of a level.
func (p *problem) given(y []float64, level float64) (*posterior.Gaussian, error) {
	lik, err := p.likelihood(y, level)
	if err != nil {
		return nil, err
	}
	return posterior.NewGaussian(p.pri, lik)
}

func (p *problem) likelihood(y []float64, level float64) (*likelihood.Gaussian, error) {
	return likelihood.NewGaussian(p.op, y, level*p.rms)
}

// tikhonov applies Tikhonov's method with the discrepancy principle to each
// row.
func (p *problem) tikhonov(y *mat.Dense, level float64) (*mat.Dense, error) {
	rows, _ := y.Dims()
	x := mat.NewDense(rows, size, nil)
	for i := range rows {
		inv, err := forward.Tikhonov(p.op, y.RawRowView(i), &forward.FilterOptions{Noise: level * p.rms * math.Sqrt(size)})
		if err != nil {
			return nil, fmt.Errorf("regularisation with noise %g: %w", level, err)
		}
		x.SetRow(i, inv.X)
	}
	return x, nil
}

// apply returns the rows of y through a map.
func apply(r inverse.Operator, y *mat.Dense) *mat.Dense {
	rows, _ := y.Dims()
	x := mat.NewDense(rows, size, nil)
	r.Apply(x, y)
	return x
}

// relative returns the root mean square over the rows of x - truth, relative to
// that of truth.
func relative(x, truth *mat.Dense) float64 {
	var d mat.Dense
	d.Sub(x, truth)
	return floats.Norm(d.RawMatrix().Data, 2) / floats.Norm(truth.RawMatrix().Data, 2)
}
