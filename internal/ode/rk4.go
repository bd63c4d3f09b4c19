package ode

import "math"

// rungeKutta integrates the state from t with fixed steps, by the classical
// method of order 4. k[0] is the rate at t.
func (s *Solver) rungeKutta(out *output, t float64) error {
	n := s.n
	z, w := s.z[:n], s.tmp[:n]
	k1, k2, k3, k4 := s.k[0][:n], s.k[1][:n], s.k[2][:n], s.k[3][:n]
	steps := 0
	for {
		next := out.times[0]
		count := math.Ceil((next - t) / s.set.Step * (1 - 1e-12))
		if float64(steps)+count > float64(s.set.MaxSteps) {
			return s.failed(t, ErrSteps)
		}
		steps += int(count)
		start, h := t, (next-t)/count
		for i := range int(count) {
			t = start + float64(i)*h
			for j, v := range z {
				w[j] = v + h/2*k1[j]
			}
			s.rate(k2, t+h/2, w)
			for j, v := range z {
				w[j] = v + h/2*k2[j]
			}
			s.rate(k3, t+h/2, w)
			for j, v := range z {
				w[j] = v + h*k3[j]
			}
			s.rate(k4, t+h, w)
			for j := range z {
				z[j] += h / 6 * (k1[j] + 2*k2[j] + 2*k3[j] + k4[j])
			}
			s.rate(k1, t+h, z)
			if !finite(z[:s.sys.Dim]) {
				return s.failed(t, ErrNotFinite)
			}
		}
		t = next
		for len(out.times) > 0 && out.times[0] == next {
			out.store(z)
		}
		if len(out.times) == 0 {
			return nil
		}
	}
}
