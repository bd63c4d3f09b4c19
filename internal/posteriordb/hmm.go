package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// hmm is a hidden Markov model with two states and unit normal observations:
//
//	P(s_t+1 = k | s_t = j) = theta_j[k]    y_t ~ N(mu[s_t], 1)
//	theta_j uniform    mu[1] ~ N(3, 1)    mu[2] ~ N(10, 1)    0 < mu[1] < mu[2]
//
// with u = (logit theta_1[1], logit theta_2[1], log mu[1], log(mu[2]-mu[1])).
// The states before the first observation have equal weights.
type hmm struct {
	Y []float64 `json:"y"`

	scratch sync.Pool // of *hmmScratch
}

// hmmStep is what the backward pass needs of the forward pass at one time:
// the filtered probability of each state, and b_t(k)/c_t.
type hmmStep struct{ a1, a2, b1, b2 float64 }

type hmmScratch struct {
	path []hmmStep
	e    []float64
}

func (m *hmm) check() error {
	if len(m.Y) == 0 {
		return fmt.Errorf("no observations")
	}
	m.scratch.New = func() any {
		return &hmmScratch{make([]hmmStep, len(m.Y)), make([]float64, len(m.Y))}
	}
	return nil
}

func (m *hmm) dim() int { return 4 }

func (m *hmm) params() []string {
	return []string{"theta1[1]", "theta1[2]", "theta2[1]", "theta2[2]", "mu[1]", "mu[2]"}
}

func (m *hmm) constrain(x, u []float64) {
	for j := range 2 {
		x[2*j], _ = logistic(u[j])
		x[2*j+1], _ = logistic(-u[j])
	}
	x[4] = math.Exp(u[2])
	x[5] = x[4] + math.Exp(u[3])
}

func (m *hmm) eval(score, u []float64) float64 {
	p1, log1 := logistic(u[0])
	p2, log2 := logistic(u[1])
	q1, q2 := 1-p1, 1-p2
	mu1, step := math.Exp(u[2]), math.Exp(u[3])
	mu2 := mu1 + step
	pool := m.scratch.Get().(*hmmScratch)
	defer m.scratch.Put(pool)
	path, ratio := pool.path[:len(m.Y)], pool.e[:len(m.Y)]
	for t, y := range m.Y {
		ratio[t] = -math.Abs((y-mu1)*(y-mu1)-(y-mu2)*(y-mu2)) / 2
	}
	kernel.Exp(ratio, ratio)

	// Forward, with observation densities divided by that of state 1 or,
	// where it is the greater, that of state 2.
	lp := log1 + log2 + u[2] + u[3] - (mu1-3)*(mu1-3)/2 - (mu2-10)*(mu2-10)/2
	a1, a2 := 1.0, 1.0
	logs := logProduct{product: 1}
	for t, y := range m.Y {
		d1, d2 := (y-mu1)*(y-mu1)/2, (y-mu2)*(y-mu2)/2
		top := min(d1, d2)
		e := ratio[t]
		b1, b2 := 1.0, e
		if d2 < d1 {
			b1, b2 = e, 1
		}
		lp -= top
		if t > 0 {
			a1, a2 = a1*p1+a2*p2, a1*q1+a2*q2
		}
		c := a1*b1 + a2*b2
		logs = logs.times(c)
		c = 1 / c
		b1, b2 = b1*c, b2*c
		a1, a2 = a1*b1, a2*b2
		path[t] = hmmStep{a1, a2, b1, b2}
	}
	lp += logs.log()
	if score == nil {
		return lp
	}

	// Backward: expected transitions and residuals (Fisher's identity).
	var g11, g12, g21, g22, r1, r2 float64
	v1, v2 := 1.0, 1.0
	for t := len(m.Y) - 1; t >= 0; t-- {
		s := &path[t]
		r1 += s.a1 * v1 * (m.Y[t] - mu1)
		r2 += s.a2 * v2 * (m.Y[t] - mu2)
		if t == 0 {
			break
		}
		before := &path[t-1]
		w1, w2 := s.b1*v1, s.b2*v2
		g11 += before.a1 * w1
		g12 += before.a1 * w2
		g21 += before.a2 * w1
		g22 += before.a2 * w2
		v1, v2 = p1*w1+q1*w2, p2*w1+q2*w2
	}
	r1 += 3 - mu1
	r2 += 10 - mu2
	score[0] = (g11-g12)*p1*q1 + q1 - p1
	score[1] = (g21-g22)*p2*q2 + q2 - p2
	score[2] = (r1+r2)*mu1 + 1
	score[3] = r2*step + 1
	return lp
}
