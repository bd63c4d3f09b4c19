package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
)

// meanField is N(μ, diag(e^2ω)), with parameters (μ, ω).
type meanField struct {
	theta  []float64
	sigma  []float64
	logDet float64 // Σ ω
}

var _ normal = (*meanField)(nil)

var errNotFinite = errors.New("the parameters are not finite")

const log2Pi = 1.8378770664093454836

func newMeanField(mu []float64) *meanField {
	q := &meanField{theta: make([]float64, 2*len(mu)), sigma: make([]float64, len(mu))}
	copy(q.theta, mu)
	q.update() // ω = 0
	return q
}

func (q *meanField) params() []float64 { return q.theta }

func (q *meanField) noise() int { return len(q.sigma) }

func (q *meanField) update() error {
	d := len(q.sigma)
	q.logDet = 0
	for i, omega := range q.theta[d:] {
		q.sigma[i] = math.Exp(omega)
		q.logDet += omega
	}
	if !allFinite(q.theta) || !allFinite(q.sigma) {
		return errNotFinite
	}
	return nil
}

func (q *meanField) path(u, score, eps []float64) {
	for i, e := range eps {
		u[i] = q.theta[i] + q.sigma[i]*e
		score[i] = -e / q.sigma[i]
	}
}

func (q *meanField) pullback(grad, g, eps []float64) {
	d := len(g)
	for i, v := range g {
		grad[i] += v
		grad[d+i] += v * q.sigma[i] * eps[i]
	}
}

func (q *meanField) draw(u []float64, rnd *rand.Rand) float64 {
	lp := -q.logDet - float64(len(u))*log2Pi/2
	for i, s := range q.sigma {
		e := rnd.NormFloat64()
		u[i] = q.theta[i] + s*e
		lp -= e * e / 2
	}
	return lp
}

func (q *meanField) logProb(u []float64) float64 {
	lp := -q.logDet - float64(len(u))*log2Pi/2
	for i, s := range q.sigma {
		z := (u[i] - q.theta[i]) / s
		lp -= z * z / 2
	}
	return lp
}
