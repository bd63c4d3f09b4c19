package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// garch is a generalised autoregressive model of the variance, of orders 1
// and 1, with flat priors on its parameters:
//
//	alpha_0 > 0    0 < alpha_1 < 1    0 < beta_1 < 1 - alpha_1
//	h_1 = sigma_1²    h_t = alpha_0 + alpha_1 (y_t-1 - mu)² + beta_1 h_t-1
//	y_t ~ N(mu, sqrt(h_t))
//
// with u = (mu, log alpha_0, logit alpha_1, logit beta_1/(1-alpha_1)).
type garch struct {
	Y      []float64 `json:"y"`
	Sigma1 float64   `json:"sigma1"`

	scratch sync.Pool // of *garchPath
}

// garchPath holds at each time the residual r_t, its square, the variance h_t
// and the derivative by h_t.
type garchPath struct{ r, r2, h, d []float64 }

func (m *garch) check() error {
	if len(m.Y) < 2 || !(m.Sigma1 > 0) {
		return fmt.Errorf("%d times, sigma1 is %g", len(m.Y), m.Sigma1)
	}
	m.scratch.New = func() any {
		n := len(m.Y)
		return &garchPath{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	}
	return nil
}

func (m *garch) dim() int { return 4 }

func (m *garch) params() []string { return []string{"mu", "alpha0", "alpha1", "beta1"} }

func (m *garch) constrain(x, u []float64) {
	x[0], x[1] = u[0], math.Exp(u[1])
	x[2], _ = logistic(u[2])
	share, _ := logistic(u[3])
	x[3] = (1 - x[2]) * share
}

func (m *garch) eval(score, u []float64) float64 {
	mu, alpha0 := u[0], math.Exp(u[1])
	alpha1, log1 := logistic(u[2])
	share, log2 := logistic(u[3])
	beta1 := (1 - alpha1) * share

	pool := m.scratch.Get().(*garchPath)
	defer m.scratch.Put(pool)
	n := len(m.Y)
	r, r2, h, d := pool.r[:n], pool.r2[:n], pool.h[:n], pool.d[:n]
	for t, y := range m.Y {
		r[t] = y - mu
		r2[t] = r[t] * r[t]
	}
	last := m.Sigma1 * m.Sigma1
	logs := logProduct{product: 1}.times(last)
	h[0] = last
	for t, q := range r2[:n-1] {
		last = math.FMA(beta1, last, math.FMA(alpha1, q, alpha0))
		h[t+1] = last
		logs = logs.times(last)
	}
	var quad, gm float64
	for t, ht := range h {
		v := 1 / ht
		q := r2[t] * v
		quad += q
		d[t] = v * (1 - q)
		gm -= 2 * r[t] * v
	}
	if score != nil {
		// d_t is the derivative of -2 log p by h_t, first with h_t+1 held, then
		// with what h_t does to it: λ_t = d_t + beta_1 λ_t+1.
		next := 0.0
		for t := n - 1; t >= 1; t-- {
			next = math.FMA(beta1, next, d[t])
			d[t] = next
		}
		adjoint := d[1:]
		gm -= 2 * alpha1 * kernel.Dot(adjoint, r[:n-1])
		g0 := kernel.Sum(adjoint)
		g1 := kernel.Dot(adjoint, r2[:n-1])
		gb := kernel.Dot(adjoint, h[:n-1])
		g1 -= gb * share // beta_1 shrinks as alpha_1 grows
		score[0] = -gm / 2
		score[1] = -g0*alpha0/2 + 1
		score[2] = -g1*alpha1*(1-alpha1)/2 + (1 - 2*alpha1) - alpha1
		score[3] = -gb*beta1*(1-share)/2 + (1 - 2*share)
	}
	return -(logs.log()+quad)/2 + u[1] + log1 + log2 + math.Log1p(-alpha1)
}
