package posteriordb

import (
	"fmt"
	"math"
)

// arK is an autoregression of order K:
//
//	alpha, beta_k ~ N(0, 10)    sigma ~ Cauchy⁺(0, 2.5)
//	y_t ~ N(alpha + Σ_k beta_k y_t-k, sigma), t > K
//
// with u = (alpha, beta, log sigma).
type arK struct {
	K int       `json:"K"`
	Y []float64 `json:"y"`
}

const maxLags = 16

func (m *arK) check() error {
	if m.K < 1 || m.K > maxLags || len(m.Y) <= m.K {
		return fmt.Errorf("%d lags for %d times", m.K, len(m.Y))
	}
	return nil
}

func (m *arK) dim() int { return m.K + 2 }

func (m *arK) params() []string {
	return append(append([]string{"alpha"}, indexed("beta", m.K)...), "sigma")
}

func (m *arK) constrain(x, u []float64) {
	copy(x, u)
	x[m.K+1] = math.Exp(u[m.K+1])
}

func (m *arK) eval(score, u []float64) float64 {
	k := m.K
	alpha, beta, logSigma := u[0], u[1:k+1], u[k+1]
	lp, dsigma := halfCauchy(logSigma, 2.5)
	w := math.Exp(-2 * logSigma)

	var (
		ss, dalpha float64
		dbeta      [maxLags]float64 // dbeta[j] belongs to lag j+1
	)
	db := dbeta[:k]
	for t := k; t < len(m.Y); t++ {
		past := m.Y[t-k : t]
		past = past[:len(beta)]
		r := m.Y[t] - alpha
		for j, b := range beta {
			r -= b * past[len(past)-1-j]
		}
		ss += r * r
		dalpha += r
		for j := range db {
			db[j] += r * past[len(past)-1-j]
		}
	}
	n := float64(len(m.Y) - k)
	lp += -n*logSigma - w*ss/2 - alpha*alpha/200
	for _, b := range beta {
		lp -= b * b / 200
	}
	if score != nil {
		score[0] = w*dalpha - alpha/100
		for j, b := range beta {
			score[j+1] = w*db[j] - b/100
		}
		score[k+1] = dsigma - n + w*ss
	}
	return lp
}
