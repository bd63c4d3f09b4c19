package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// gaussMix is a mixture of two normal distributions:
//
//	mu ~ N(0, 2), mu_1 < mu_2    sigma ~ N⁺(0, 2)    theta ~ Beta(5, 5)
//	y ~ theta N(mu_1, sigma_1) + (1-theta) N(mu_2, sigma_2)
//
// with u = (mu_1, log(mu_2-mu_1), log sigma, logit theta).
type gaussMix struct {
	Y []float64 `json:"y"`

	ones, y2 []float64 // the other powers of the observations
	scratch  sync.Pool // of *[]float64, two of these
}

func (m *gaussMix) check() error {
	if len(m.Y) < 2 {
		return fmt.Errorf("%d observations", len(m.Y))
	}
	n := len(m.Y)
	m.ones, m.y2 = make([]float64, n), make([]float64, n)
	for i, y := range m.Y {
		m.ones[i], m.y2[i] = 1, y*y
	}
	m.scratch.New = func() any {
		e := make([]float64, 2*n)
		return &e
	}
	return nil
}

func (m *gaussMix) dim() int { return 5 }

func (m *gaussMix) params() []string {
	return append(append(indexed("mu", 2), indexed("sigma", 2)...), "theta")
}

func (m *gaussMix) constrain(x, u []float64) {
	x[0] = u[0]
	x[1] = u[0] + math.Exp(u[1])
	x[2], x[3] = math.Exp(u[2]), math.Exp(u[3])
	x[4], _ = logistic(u[4])
}

// natural returns the coefficients of log N(y; mu, s²) + log(weight √2π) in
// the powers of y.
func natural(mu, logS, logWeight float64) [3]float64 {
	w := math.Exp(-2 * logS)
	return [3]float64{logWeight - logS - w*mu*mu/2, w * mu, -w / 2}
}

func (m *gaussMix) eval(score, u []float64) float64 {
	step := math.Exp(u[1])
	mu1, mu2 := u[0], u[0]+step
	theta, log1 := logistic(u[4])
	logTheta := (log1 + u[4]) / 2 // log s = (log s(1-s) + logit s)/2

	pool := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(pool)
	n := len(m.Y)
	y, y2, share1, share2 := m.Y, m.y2, (*pool)[:n], (*pool)[n:]
	// With p1 and p2 the two terms of the density of y and δ = log p2/p1, the
	// share of p2 is 1/(1 + e^-δ), and log(p1 + p2) is log p1 + max(δ, 0) less the
	// logarithm of the larger share. Both log p1 and δ are linear in the powers
	// of y.
	eta1, eta2 := natural(mu1, u[2], logTheta), natural(mu2, u[3], logTheta-u[4])
	lp := float64(n)*eta1[0] + eta1[1]*kernel.Sum(y) + eta1[2]*kernel.Sum(y2)
	delta := share2
	kernel.Combine(delta, eta2[0]-eta1[0], m.ones, eta2[1]-eta1[1], y)
	kernel.Axpy(delta, eta2[2]-eta1[2], y2)
	larger := share1
	kernel.Activate(kernel.ReLU, larger, delta)
	lp += kernel.Sum(larger)
	kernel.Activate(kernel.Sigmoid, share2, delta)
	for i, s := range share2 {
		larger[i] = max(s, 1-s)
	}
	lp -= sumLogs(larger)
	s1, s2 := math.Exp(2*u[2]), math.Exp(2*u[3])
	lp += -(mu1*mu1+mu2*mu2+s1+s2)/8 + u[1] + u[2] + u[3] + 5*log1
	if score == nil {
		return lp
	}

	kernel.Sub(share1, m.ones, share2)
	// moments returns the share's number of observations, and the sums of y - mu
	// and of its square.
	moments := func(share []float64, mu float64) (count, sum, squares float64) {
		count, sum, squares = kernel.Sum(share), kernel.Dot(share, y), kernel.Dot(share, y2)
		return count, sum - mu*count, squares - mu*(2*sum-mu*count)
	}
	n1, a1, q1 := moments(share1, mu1)
	n2, a2, q2 := moments(share2, mu2)
	g1 := a1/s1 - mu1/4
	g2 := a2/s2 - mu2/4
	score[0] = g1 + g2
	score[1] = g2*step + 1
	score[2] = q1/s1 - n1 - s1/4 + 1
	score[3] = q2/s2 - n2 - s2/4 + 1
	score[4] = n1*(1-theta) - n2*theta + 5*(1-2*theta)
	return lp
}

// sumLogs returns the sum of the logarithms of numbers from 1/2 to 1, which it
// overwrites with their products.
func sumLogs(x []float64) float64 {
	sum := 0.0
	// A product of 2⁹ of them is 2⁻⁵¹² at least.
	for range 9 {
		half := len(x) / 2
		if len(x)%2 != 0 {
			sum += math.Log(x[2*half])
		}
		kernel.Mul(x[:half], x[:half], x[half:2*half])
		x = x[:half]
	}
	kernel.Log(x, x)
	return sum + kernel.Sum(x)
}
