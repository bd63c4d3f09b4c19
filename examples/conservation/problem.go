package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

const (
	cells, times = 20, 15
	size         = cells * times
	rate         = 0.25 // κ dt/dx²
	noise        = 0.03 // of the sensors
)

// problem is a substance that spreads in a closed channel, u_t = κ u_xx without
// flow through the ends, seen by three sensors at some times. The unknown are
// the concentrations in all cells at all times, row by row in time, with a
// Gaussian process in space and time for their prior, which knows nothing of
// diffusion.
type problem struct {
	pri     *prior.Gaussian
	sensors *mat.Dense // picks the data
	data    []float64
	truth   []float64
	mass    *mat.Dense // the sum over the cells, at each time
	total   []float64  // what it is
	step    *mat.Dense // the residual u' - u - κ dt/dx² L u' of each time step
	solve   *mat.Dense // from the first concentrations to all of them
}

func newProblem(src rand.Source) (*problem, error) {
	p := &problem{mass: mat.NewDense(times, size, nil), step: mat.NewDense((times-1)*cells, size, nil)}
	cov := mat.NewSymDense(size, nil)
	mean := make([]float64, size)
	for a := range size {
		mean[a] = 0.5
		for b := a; b < size; b++ {
			dx, dt := float64(a%cells-b%cells)/2, float64(a/cells-b/cells)/2
			cov.SetSym(a, b, 0.16*math.Exp(-(dx*dx+dt*dt)/2))
		}
		cov.SetSym(a, a, cov.At(a, a)+1e-6)
		p.mass.Set(a/cells, a, 1)
	}
	var err error
	if p.pri, err = prior.NewGaussian(mean, cov, nil); err != nil {
		return nil, err
	}
	// I - κ dt/dx² L, implicit Euler; its columns sum to one, so that mass is
	// conserved.
	implicit := mat.NewDense(cells, cells, nil)
	for i := range cells {
		implicit.Set(i, i, 1)
		for _, j := range []int{i - 1, i + 1} {
			if j >= 0 && j < cells {
				implicit.Set(i, i, implicit.At(i, i)+rate)
				implicit.Set(i, j, -rate)
			}
		}
	}
	var propagate mat.Dense
	if err := propagate.Inverse(implicit); err != nil {
		return nil, err
	}
	p.solve = mat.NewDense(size, cells, nil)
	power := mat.NewDense(cells, cells, nil)
	for i := range cells {
		power.Set(i, i, 1)
	}
	for t := range times {
		p.solve.Slice(t*cells, (t+1)*cells, 0, cells).(*mat.Dense).Copy(power)
		power.Mul(&propagate, mat.DenseCopyOf(power))
		if t == 0 {
			continue
		}
		for i := range cells {
			row := (t-1)*cells + i
			p.step.Set(row, row, -1)
			for j := range cells {
				p.step.Set(row, t*cells+j, implicit.At(i, j))
			}
		}
	}

	// Two clouds, and hardly anything elsewhere.
	r := rand.New(src)
	first := make([]float64, cells)
	for i := range first {
		x := float64(i)
		first[i] = 0.02 + 1.5*math.Exp(-math.Pow((x-5)/1.5, 2)/2) + 0.8*math.Exp(-math.Pow((x-13)/2, 2)/2)
	}
	var u mat.VecDense
	u.MulVec(p.solve, mat.NewVecDense(cells, first))
	p.truth = u.RawVector().Data
	for range times {
		var sum float64
		for _, v := range first {
			sum += v
		}
		p.total = append(p.total, sum)
	}
	var picked []int
	for _, t := range []int{1, 4, 7, 10, 13} {
		for _, i := range []int{2, 9, 16} {
			picked = append(picked, t*cells+i)
		}
	}
	p.sensors = mat.NewDense(len(picked), size, nil)
	for k, a := range picked {
		p.sensors.Set(k, a, 1)
		p.data = append(p.data, p.truth[a]+noise*r.NormFloat64())
	}
	return p, nil
}

// soft is the posterior with the equations c x = b as data of standard
// deviation sigma; without them if c is nil.
func (p *problem) soft(c *mat.Dense, b []float64, sigma float64) (*posterior.Gaussian, error) {
	a := mat.DenseCopyOf(p.sensors)
	y := append([]float64(nil), p.data...)
	sd := make([]float64, len(y))
	for i := range sd {
		sd[i] = noise
	}
	if c != nil {
		var both mat.Dense
		both.Stack(a, c)
		a = &both
		y = append(y, b...)
		for range b {
			sd = append(sd, sigma)
		}
	}
	op, err := forward.NewDense(a)
	if err != nil {
		return nil, err
	}
	lik, err := likelihood.NewGaussianDiag(op, y, sd)
	if err != nil {
		return nil, err
	}
	return posterior.NewGaussian(p.pri, lik)
}

// reduced is the answer with the equation of diffusion exactly true, by another
// way: in the coordinates of the first concentrations v, of which all others
// follow, u = M v. The density of the prior at u = M v is a Gaussian in v.
func (p *problem) reduced() ([]float64, error) {
	qm := mat.NewDense(cells, size, nil)
	p.pri.MulPrecision(qm, mat.DenseCopyOf(p.solve.T()))
	var precision, am, ata mat.Dense
	precision.Mul(qm, p.solve)
	am.Mul(p.sensors, p.solve)
	ata.Mul(am.T(), &am)
	ata.Scale(1/(noise*noise), &ata)
	precision.Add(&precision, &ata)
	var right, fit, v, u mat.VecDense
	right.MulVec(qm, mat.NewVecDense(size, p.pri.Mean(nil)))
	fit.MulVec(am.T(), mat.NewVecDense(len(p.data), p.data))
	right.AddScaledVec(&right, 1/(noise*noise), &fit)
	if err := v.SolveVec(&precision, &right); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			return nil, fmt.Errorf("the reduced problem: %w", err)
		}
	}
	u.MulVec(p.solve, &v)
	return u.RawVector().Data, nil
}

// condition is the condition number of the posterior precision in the
// coordinates in which the prior is white: what a sampler that moves by
// gradients has to fight.
func (p *problem) condition(c *mat.Dense, sigma float64) (float64, error) {
	cov := mat.NewSymDense(size, nil)
	p.pri.CovarianceMatrix(cov)
	scaled := mat.DenseCopyOf(p.sensors)
	scaled.Scale(1/noise, scaled)
	if c != nil {
		var more, both mat.Dense
		more.Scale(1/sigma, c)
		both.Stack(scaled, &more)
		scaled = &both
	}
	// The eigenvalues of I + BᵀB are 1 and those of I + A S Aᵀ/σ².
	var as, asa mat.Dense
	as.Mul(scaled, cov)
	asa.Mul(&as, scaled.T())
	k, _ := asa.Dims()
	sym := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			sym.SetSym(i, j, (asa.At(i, j)+asa.At(j, i))/2)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, false) {
		return 0, fmt.Errorf("the eigenvalues do not converge")
	}
	return 1 + eig.Values(nil)[k-1], nil
}

// given is the posterior without physics as a Gaussian that can be diffused.
func (p *problem) given() (*prior.Gaussian, error) {
	r := mat.NewDiagDense(len(p.data), nil)
	for i := range p.data {
		r.SetDiag(i, noise*noise)
	}
	post, _, err := p.pri.Condition(p.sensors, p.data, r)
	return post, err
}
