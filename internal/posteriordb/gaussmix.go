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

	scratch sync.Pool // of *[]float64
}

func (m *gaussMix) check() error {
	if len(m.Y) < 2 {
		return fmt.Errorf("%d observations", len(m.Y))
	}
	m.scratch.New = func() any {
		e := make([]float64, len(m.Y))
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

func (m *gaussMix) eval(score, u []float64) float64 {
	step := math.Exp(u[1])
	mu1, mu2 := u[0], u[0]+step
	s1, s2 := math.Exp(2*u[2]), math.Exp(2*u[3])
	theta, log1 := logistic(u[4])
	w1, w2 := 1/(2*s1), 1/(2*s2)

	// With p1 and p2 the two terms of the density of y, log(p1 + p2) is
	// log p1 + log(1+e), e = p2/p1, and the shares are 1/(1+e) and e/(1+e).
	pool := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(pool)
	es := *pool
	shift := -u[4] + u[2] - u[3] // log e where both exponents are 0
	var quad, excess float64
	for i, y := range m.Y {
		d1, d2 := y-mu1, y-mu2
		quad += d1 * d1
		delta := shift + w1*(d1*d1) - w2*(d2*d2)
		if delta > 300 { // p1 does not count
			excess += delta - 300
			delta = 300
		}
		es[i] = delta
	}
	kernel.Exp(es, es)
	var n1, a1, q1, a2, q2 float64
	logs := logProduct{product: 1}
	for i, y := range m.Y {
		d1, d2 := y-mu1, y-mu2
		e := es[i]
		logs = logs.times(1 + e)
		share1 := 1 / (1 + e)
		share2 := e * share1
		n1 += share1
		a1 += share1 * d1
		q1 += share1 * (d1 * d1)
		a2 += share2 * d2
		q2 += share2 * (d2 * d2)
	}
	n := float64(len(m.Y))
	logTheta := (log1 + u[4]) / 2 // log s = (log s(1-s) + logit s)/2
	lp := n*(logTheta-u[2]) - w1*quad + excess + logs.log() -
		(mu1*mu1+mu2*mu2+s1+s2)/8 + u[1] + u[2] + u[3] + 5*log1
	if score != nil {
		n2 := n - n1
		g1 := 2*w1*a1 - mu1/4
		g2 := 2*w2*a2 - mu2/4
		score[0] = g1 + g2
		score[1] = g2*step + 1
		score[2] = 2*w1*q1 - n1 - s1/4 + 1
		score[3] = 2*w2*q2 - n2 - s2/4 + 1
		score[4] = n1*(1-theta) - n2*theta + 5*(1-2*theta)
	}
	return lp
}
