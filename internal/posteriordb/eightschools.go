package posteriordb

import (
	"fmt"
	"math"
)

// eightSchools is the hierarchical model of Rubin (1981), not centred:
//
//	mu ~ N(0, 5)    tau ~ Cauchy⁺(0, 5)    z_j ~ N(0, 1)
//	theta_j = mu + tau z_j    y_j ~ N(theta_j, sigma_j)
//
// with u = (z, mu, log tau).
type eightSchools struct {
	Y     []float64 `json:"y"`
	Sigma []float64 `json:"sigma"`

	w []float64 // 1/sigma²
}

// EightSchools returns the posterior of Rubin's own data, which is at hand
// without the database, with the moments of the database's reference draws.
func EightSchools() *Posterior {
	m := &eightSchools{
		Y:     []float64{28, 8, -3, 7, -1, 1, 18, 12},
		Sigma: []float64{15, 10, 16, 11, 9, 11, 10, 18},
	}
	if err := m.check(); err != nil {
		panic(err) // unreachable
	}
	return &Posterior{Name: "eight_schools-eight_schools_noncentered", Params: m.params(), model: m, Reference: []Moments{
		{"theta[1]", 6.1505, 5.61586, -1.68069, 5.58901, 16.3294, 0.05574},
		{"theta[2]", 4.93958, 4.64558, -2.21804, 4.77292, 12.8168, 0.04623},
		{"theta[3]", 3.90591, 5.28071, -4.91432, 4.10538, 11.8445, 0.05423},
		{"theta[4]", 4.79602, 4.77094, -2.67028, 4.69526, 12.639, 0.04749},
		{"theta[5]", 3.61444, 4.61472, -4.26465, 3.82043, 10.6027, 0.04615},
		{"theta[6]", 4.05115, 4.79625, -3.86522, 4.16182, 11.5161, 0.04852},
		{"theta[7]", 6.31717, 5.00286, -0.854668, 5.795, 15.3054, 0.04988},
		{"theta[8]", 4.884, 5.31769, -3.31723, 4.78527, 13.5496, 0.05425},
		{"mu", 4.41052, 3.3093, -0.936177, 4.36389, 9.83207, 0.03304},
		{"tau", 3.60206, 3.19848, 0.256664, 2.74702, 9.73221, 0.03186},
	}}
}

func (m *eightSchools) check() error {
	if len(m.Y) == 0 || len(m.Sigma) != len(m.Y) {
		return fmt.Errorf("%d outcomes, %d standard errors", len(m.Y), len(m.Sigma))
	}
	m.w = make([]float64, len(m.Y))
	for i, s := range m.Sigma {
		m.w[i] = 1 / (s * s)
	}
	return nil
}

func (m *eightSchools) dim() int { return len(m.Y) + 2 }

func (m *eightSchools) params() []string { return append(indexed("theta", len(m.Y)), "mu", "tau") }

func (m *eightSchools) constrain(x, u []float64) {
	j := len(m.Y)
	mu, tau := u[j], math.Exp(u[j+1])
	for i, z := range u[:j] {
		x[i] = mu + tau*z
	}
	x[j], x[j+1] = mu, tau
}

func (m *eightSchools) eval(score, u []float64) float64 {
	j := len(m.Y)
	mu, tau := u[j], math.Exp(u[j+1])
	lp, dtau := halfCauchy(u[j+1], tau, 5)
	lp -= mu * mu / 50
	dmu := -mu / 25
	for i, z := range u[:j] {
		r := m.Y[i] - mu - tau*z
		g := r * m.w[i]
		lp -= (r*g + z*z) / 2
		dmu += g
		dtau += g * tau * z
		if score != nil {
			score[i] = g*tau - z
		}
	}
	if score != nil {
		score[j], score[j+1] = dmu, dtau
	}
	return lp
}
