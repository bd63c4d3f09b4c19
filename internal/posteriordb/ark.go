package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
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

	scratch sync.Pool // of *[]float64, residuals
}

func (m *arK) check() error {
	if m.K < 1 || len(m.Y) <= m.K {
		return fmt.Errorf("%d lags for %d times", m.K, len(m.Y))
	}
	m.scratch.New = func() any {
		r := make([]float64, len(m.Y)-m.K)
		return &r
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
	sigma := math.Exp(logSigma)
	lp, dsigma := halfCauchy(logSigma, sigma, 2.5)
	w := 1 / (sigma * sigma)

	pool := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(pool)
	r := *pool
	for i, y := range m.Y[k:] {
		r[i] = y - alpha
	}
	for j, b := range beta {
		kernel.Axpy(r, -b, m.lag(j+1))
	}
	ss := kernel.Dot(r, r)
	n := float64(len(m.Y) - k)
	lp += -n*logSigma - w*ss/2 - alpha*alpha/200
	for _, b := range beta {
		lp -= b * b / 200
	}
	if score != nil {
		score[0] = w*kernel.Sum(r) - alpha/100
		for j, b := range beta {
			score[j+1] = w*kernel.Dot(r, m.lag(j+1)) - b/100
		}
		score[k+1] = dsigma - n + w*ss
	}
	return lp
}

// lag returns y_t-j for t > K.
func (m *arK) lag(j int) []float64 { return m.Y[m.K-j : len(m.Y)-j] }
