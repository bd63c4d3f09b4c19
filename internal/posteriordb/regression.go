package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// kidscore regresses children's test scores on whether their mothers finished
// high school and on their mothers' IQ (Gelman and Hill, 2006):
//
//	sigma ~ Cauchy⁺(0, 2.5)    y ~ N(beta_1 + beta_2 hs + beta_3 iq, sigma)
//
// with u = (beta, log sigma) and flat priors on beta.
type kidscore struct {
	Y  []float64 `json:"kid_score"`
	HS []float64 `json:"mom_hs"`
	IQ []float64 `json:"mom_iq"`

	scratch sync.Pool // of *[]float64, residuals
}

func (m *kidscore) check() error {
	if len(m.Y) < 4 || len(m.HS) != len(m.Y) || len(m.IQ) != len(m.Y) {
		return fmt.Errorf("%d scores, %d and %d covariates", len(m.Y), len(m.HS), len(m.IQ))
	}
	m.scratch.New = func() any {
		r := make([]float64, len(m.Y))
		return &r
	}
	return nil
}

func (m *kidscore) dim() int { return 4 }

func (m *kidscore) params() []string { return append(indexed("beta", 3), "sigma") }

func (m *kidscore) constrain(x, u []float64) {
	copy(x, u)
	x[3] = math.Exp(u[3])
}

func (m *kidscore) eval(score, u []float64) float64 {
	b1, b2, b3 := u[0], u[1], u[2]
	sigma := math.Exp(u[3])
	lp, dsigma := halfCauchy(u[3], sigma, 2.5)
	w := 1 / (sigma * sigma)
	pool := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(pool)
	r := *pool
	for i, y := range m.Y {
		r[i] = y - b1
	}
	kernel.Axpy(r, -b2, m.HS)
	kernel.Axpy(r, -b3, m.IQ)
	ss := kernel.Dot(r, r)
	n := float64(len(m.Y))
	if score != nil {
		score[0], score[1], score[2] = w*kernel.Sum(r), w*kernel.Dot(r, m.HS), w*kernel.Dot(r, m.IQ)
		score[3] = dsigma - n + w*ss
	}
	return lp - n*u[3] - w*ss/2
}

// kilpisjarvi regresses summer temperatures on the year, which is not centred,
// so that alpha and beta are almost collinear:
//
//	alpha ~ N(pmualpha, psalpha)    beta ~ N(pmubeta, psbeta)
//	y ~ N(alpha + beta x, sigma)
//
// with u = (alpha, beta, log sigma) and a flat prior on sigma.
type kilpisjarvi struct {
	X       []float64 `json:"x"`
	Y       []float64 `json:"y"`
	MuAlpha float64   `json:"pmualpha"`
	SAlpha  float64   `json:"psalpha"`
	MuBeta  float64   `json:"pmubeta"`
	SBeta   float64   `json:"psbeta"`
}

func (m *kilpisjarvi) check() error {
	if len(m.X) < 3 || len(m.Y) != len(m.X) {
		return fmt.Errorf("%d years, %d temperatures", len(m.X), len(m.Y))
	}
	if !(m.SAlpha > 0 && m.SBeta > 0) {
		return fmt.Errorf("prior standard deviations are %g and %g", m.SAlpha, m.SBeta)
	}
	return nil
}

func (m *kilpisjarvi) dim() int { return 3 }

func (m *kilpisjarvi) params() []string { return []string{"alpha", "beta", "sigma"} }

func (m *kilpisjarvi) constrain(x, u []float64) {
	copy(x, u)
	x[2] = math.Exp(u[2])
}

func (m *kilpisjarvi) eval(score, u []float64) float64 {
	alpha, beta := u[0], u[1]
	w := math.Exp(-2 * u[2])
	var ss, ga, gb float64
	years := m.X[:len(m.Y)]
	for i, y := range m.Y {
		r := y - alpha - beta*years[i]
		ss += r * r
		ga += r
		gb += r * years[i]
	}
	n := float64(len(m.Y))
	za, zb := (alpha-m.MuAlpha)/m.SAlpha, (beta-m.MuBeta)/m.SBeta
	if score != nil {
		score[0] = w*ga - za/m.SAlpha
		score[1] = w*gb - zb/m.SBeta
		score[2] = 1 - n + w*ss
	}
	return u[2] - n*u[2] - (w*ss+za*za+zb*zb)/2
}
