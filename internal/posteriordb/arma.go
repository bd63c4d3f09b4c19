package posteriordb

import (
	"fmt"
	"math"
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
}

func (m *arma) check() error {
	if len(m.Y) < 2 {
		return fmt.Errorf("%d times", len(m.Y))
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
	lp, dsigma := halfCauchy(logSigma, 2.5)
	w := math.Exp(-2 * logSigma)

	// The derivatives of e_t by mu, phi and theta follow its recursion.
	e := m.Y[0] - mu - phi*mu
	em, ep, et := -1-phi, -mu, 0.0
	ss := e * e
	gm, gp, gt := e*em, e*ep, 0.0
	before := m.Y[0]
	for _, y := range m.Y[1:] {
		em = math.FMA(-theta, em, -1)
		ep = math.FMA(-theta, ep, -before)
		et = math.FMA(-theta, et, -e)
		e = math.FMA(-theta, e, y-mu-phi*before)
		before = y
		ss += e * e
		gm += e * em
		gp += e * ep
		gt += e * et
	}
	n := float64(len(m.Y))
	if score != nil {
		score[0] = -w*gm - mu/100
		score[1] = -w*gp - phi/4
		score[2] = -w*gt - theta/4
		score[3] = dsigma - n + w*ss
	}
	return lp - n*logSigma - w*ss/2 - mu*mu/200 - (phi*phi+theta*theta)/8
}
