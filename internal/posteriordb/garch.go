package posteriordb

import (
	"fmt"
	"math"
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
}

func (m *garch) check() error {
	if len(m.Y) < 2 || !(m.Sigma1 > 0) {
		return fmt.Errorf("%d times, sigma1 is %g", len(m.Y), m.Sigma1)
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

	// The derivatives of h_t by mu, alpha_0, alpha_1 and beta_1 follow its
	// recursion; gi sums those of the log likelihood, times -2.
	var (
		hm, h0, h1, hb float64
		gm, g0, g1, gb float64
	)
	r := m.Y[0] - mu
	h := m.Sigma1 * m.Sigma1
	v := 1 / h
	quad := r * r * v
	gm = -2 * r * v
	logs := logProduct{product: 1}
	logs.mul(h)
	for _, y := range m.Y[1:] {
		hm = math.FMA(beta1, hm, -2*alpha1*r)
		h0 = math.FMA(beta1, h0, 1)
		h1 = math.FMA(beta1, h1, r*r)
		hb = math.FMA(beta1, hb, h)
		h = math.FMA(beta1, h, alpha0+alpha1*(r*r))
		r = y - mu
		v = 1 / h
		q := r * r * v
		logs.mul(h)
		quad += q
		d := v * (1 - q)
		gm += d*hm - 2*r*v
		g0 += d * h0
		g1 += d * h1
		gb += d * hb
	}
	if score != nil {
		g1 -= gb * share // beta_1 shrinks as alpha_1 grows
		score[0] = -gm / 2
		score[1] = -g0*alpha0/2 + 1
		score[2] = -g1*alpha1*(1-alpha1)/2 + (1 - 2*alpha1) - alpha1
		score[3] = -gb*beta1*(1-share)/2 + (1 - 2*share)
	}
	return -(logs.log()+quad)/2 + u[1] + log1 + log2 + math.Log1p(-alpha1)
}
