package posteriordb

import (
	"fmt"
	"math"
	"sync"
)

// lotkaVolterra is the predator-prey model of the Hudson Bay hares and lynx
// (Carpenter, 2018):
//
//	p' = (theta_1 - theta_2 q) p    q' = (-theta_3 + theta_4 p) q
//	theta_1, theta_3 ~ N⁺(1, 0.5)    theta_2, theta_4 ~ N⁺(0.05, 0.05)
//	z_init ~ LogNormal(log 10, 1)    sigma ~ LogNormal(-1, 1)
//	y ~ LogNormal(log z, sigma), at times 0 and ts
//
// with u the logarithms of (theta, z_init, sigma). The equations are solved by
// the classical Runge-Kutta method with 20 steps for each interval, a year in
// the data, and the gradient is the exact one of that discrete solution, by
// the adjoint of each step.
type lotkaVolterra struct {
	Ts    []float64    `json:"ts"`
	YInit [2]float64   `json:"y_init"`
	Y     [][2]float64 `json:"y"`

	logY    [][2]float64 // with that of YInit first
	scratch sync.Pool    // of *[]lvStep
}

const lvSteps = 20

// lvStep holds the states at which one step evaluates the equations.
type lvStep struct{ p1, q1, p2, q2, p3, q3, p4, q4 float64 }

func (m *lotkaVolterra) check() error {
	if len(m.Ts) == 0 || len(m.Y) != len(m.Ts) {
		return fmt.Errorf("%d times, %d observations", len(m.Ts), len(m.Y))
	}
	t := 0.0
	for i, next := range m.Ts {
		if !(next > t) {
			return fmt.Errorf("time %d is %g, after %g", i, next, t)
		}
		t = next
	}
	for _, y := range append([][2]float64{m.YInit}, m.Y...) {
		if !(y[0] > 0 && y[1] > 0) {
			return fmt.Errorf("an observation is %v", y)
		}
		m.logY = append(m.logY, [2]float64{math.Log(y[0]), math.Log(y[1])})
	}
	m.scratch.New = func() any {
		s := make([]lvStep, lvSteps*len(m.Ts))
		return &s
	}
	return nil
}

func (m *lotkaVolterra) dim() int { return 8 }

func (m *lotkaVolterra) params() []string {
	return append(append(indexed("theta", 4), indexed("z_init", 2)...), indexed("sigma", 2)...)
}

func (m *lotkaVolterra) constrain(x, u []float64) {
	for i, v := range u {
		x[i] = math.Exp(v)
	}
}

func (m *lotkaVolterra) eval(score, u []float64) float64 {
	a, b, c, d := math.Exp(u[0]), math.Exp(u[1]), math.Exp(u[2]), math.Exp(u[3])
	p, q := math.Exp(u[4]), math.Exp(u[5])
	w1, w2 := math.Exp(-2*u[6]), math.Exp(-2*u[7])
	pool := m.scratch.Get().(*[]lvStep)
	defer m.scratch.Put(pool)
	path := *pool

	r1, r2 := m.logY[0][0]-u[4], m.logY[0][1]-u[5]
	ss1, ss2 := r1*r1, r2*r2
	t := 0.0
	for i, next := range m.Ts {
		h := (next - t) / lvSteps
		t = next
		for j := range lvSteps {
			s := &path[i*lvSteps+j]
			s.p1, s.q1 = p, q
			f1, g1 := p*math.FMA(-b, q, a), q*math.FMA(d, p, -c)
			p2, q2 := math.FMA(h/2, f1, p), math.FMA(h/2, g1, q)
			f2, g2 := p2*math.FMA(-b, q2, a), q2*math.FMA(d, p2, -c)
			p3, q3 := math.FMA(h/2, f2, p), math.FMA(h/2, g2, q)
			f3, g3 := p3*math.FMA(-b, q3, a), q3*math.FMA(d, p3, -c)
			p4, q4 := math.FMA(h, f3, p), math.FMA(h, g3, q)
			f4, g4 := p4*math.FMA(-b, q4, a), q4*math.FMA(d, p4, -c)
			p = math.FMA(h/6, f1+2*(f2+f3)+f4, p)
			q = math.FMA(h/6, g1+2*(g2+g3)+g4, q)
			s.p2, s.q2, s.p3, s.q3, s.p4, s.q4 = p2, q2, p3, q3, p4, q4
		}
		if !(p > 0 && q > 0 && p < 1e100 && q < 1e100) {
			return math.Inf(-1) // the steps are too long for these rates
		}
		r1, r2 := m.logY[i+1][0]-math.Log(p), m.logY[i+1][1]-math.Log(q)
		ss1 += r1 * r1
		ss2 += r2 * r2
	}
	n := float64(len(m.logY))
	const log10 = math.Ln10
	lp := -w1*ss1/2 - n*u[6] - w2*ss2/2 - n*u[7] -
		((u[6]+1)*(u[6]+1)+(u[7]+1)*(u[7]+1)+(u[4]-log10)*(u[4]-log10)+(u[5]-log10)*(u[5]-log10))/2 +
		u[0] + u[1] + u[2] + u[3] -
		2*(a-1)*(a-1) - 200*(b-0.05)*(b-0.05) - 2*(c-1)*(c-1) - 200*(d-0.05)*(d-0.05)
	if score == nil {
		return lp
	}

	// Backward: (vp, vq) is the derivative by the state after a step.
	var vp, vq, da, db, dc, dd float64
	for i := len(m.Ts) - 1; i >= 0; i-- {
		// p and q are the state at time i+1.
		vp += w1 * (m.logY[i+1][0] - math.Log(p)) / p
		vq += w2 * (m.logY[i+1][1] - math.Log(q)) / q
		begin := 0.0
		if i > 0 {
			begin = m.Ts[i-1]
		}
		h := (m.Ts[i] - begin) / lvSteps
		for j := lvSteps - 1; j >= 0; j-- {
			s := &path[i*lvSteps+j]
			// kᵢ is the derivative by the i-th evaluation, (x, y)ᵢ that by
			// the state it is at.
			k4, l4 := h/6*vp, h/6*vq
			x4, y4 := (a-b*s.q4)*k4+d*s.q4*l4, (d*s.p4-c)*l4-b*s.p4*k4
			k3, l3 := h/3*vp+h*x4, h/3*vq+h*y4
			x3, y3 := (a-b*s.q3)*k3+d*s.q3*l3, (d*s.p3-c)*l3-b*s.p3*k3
			k2, l2 := h/3*vp+h/2*x3, h/3*vq+h/2*y3
			x2, y2 := (a-b*s.q2)*k2+d*s.q2*l2, (d*s.p2-c)*l2-b*s.p2*k2
			k1, l1 := h/6*vp+h/2*x2, h/6*vq+h/2*y2
			x1, y1 := (a-b*s.q1)*k1+d*s.q1*l1, (d*s.p1-c)*l1-b*s.p1*k1
			vp += x1 + x2 + x3 + x4
			vq += y1 + y2 + y3 + y4
			da += s.p1*k1 + s.p2*k2 + s.p3*k3 + s.p4*k4
			dc -= s.q1*l1 + s.q2*l2 + s.q3*l3 + s.q4*l4
			pq1, pq2, pq3, pq4 := s.p1*s.q1, s.p2*s.q2, s.p3*s.q3, s.p4*s.q4
			db -= pq1*k1 + pq2*k2 + pq3*k3 + pq4*k4
			dd += pq1*l1 + pq2*l2 + pq3*l3 + pq4*l4
		}
		p, q = path[i*lvSteps].p1, path[i*lvSteps].q1
	}
	score[0] = a*(da-4*(a-1)) + 1
	score[1] = b*(db-400*(b-0.05)) + 1
	score[2] = c*(dc-4*(c-1)) + 1
	score[3] = d*(dd-400*(d-0.05)) + 1
	score[4] = p*vp + w1*(m.logY[0][0]-u[4]) - (u[4] - log10)
	score[5] = q*vq + w2*(m.logY[0][1]-u[5]) - (u[5] - log10)
	score[6] = w1*ss1 - n - (u[6] + 1)
	score[7] = w2*ss2 - n - (u[7] + 1)
	return lp
}
