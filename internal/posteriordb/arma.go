package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// arma is a mixed autoregressive moving-average model of orders 1 and 1:
//
//	mu ~ N(0, 10)    phi, theta ~ N(0, 2)    sigma ~ Cauchy⁺(0, 2.5)
//	e_1 = y_1 - mu - phi mu    e_t = y_t - mu - phi y_t-1 - theta e_t-1
//	e_t ~ N(0, sigma)
//
// with u = (mu, phi, theta, log sigma).
type arma struct {
	Y []float64 `json:"y"`

	scratch sync.Pool // of *[2][]float64
}

func (m *arma) check() error {
	if len(m.Y) < 2 {
		return fmt.Errorf("%d times", len(m.Y))
	}
	m.scratch.New = func() any {
		return &[2][]float64{make([]float64, len(m.Y)), make([]float64, len(m.Y))}
	}
	return nil
}

func (m *arma) dim() int { return 4 }

func (m *arma) params() []string { return []string{"mu", "phi", "theta", "sigma"} }

func (m *arma) constrain(x, u []float64) {
	copy(x, u)
	x[3] = math.Exp(u[3])
}

func (m *arma) eval(score, u []float64) float64 {
	mu, phi, theta, logSigma := u[0], u[1], u[2], u[3]
	sigma := math.Exp(logSigma)
	lp, dsigma := halfCauchy(logSigma, sigma, 2.5)
	w := 1 / (sigma * sigma)

	pool := m.scratch.Get().(*[2][]float64)
	defer m.scratch.Put(pool)
	n := len(m.Y)
	e, adjoint := pool[0][:n], pool[1][:n]
	e[0] = m.Y[0] - mu - phi*mu
	before := m.Y[0]
	for t, y := range m.Y[1:] {
		e[t+1] = y - mu - phi*before
		before = y
	}
	last := e[0]
	for t, c := range e[1:] {
		last = math.FMA(-theta, last, c)
		e[t+1] = last
	}
	ss := kernel.Dot(e, e)
	if score != nil {
		// The derivative of ss/2 by e_t is λ_t = e_t - theta λ_t+1.
		next := 0.0
		for t := n - 1; t >= 0; t-- {
			next = math.FMA(-theta, next, e[t])
			adjoint[t] = next
		}
		first, rest := adjoint[0], adjoint[1:]
		score[0] = w*(kernel.Sum(adjoint)+phi*first) - mu/100
		score[1] = w*(kernel.Dot(rest, m.Y[:n-1])+mu*first) - phi/4
		score[2] = w*kernel.Dot(rest, e[:n-1]) - theta/4
		score[3] = dsigma - float64(n) + w*ss
	}
	return lp - float64(n)*logSigma - w*ss/2 - mu*mu/200 - (phi*phi+theta*theta)/8
}
