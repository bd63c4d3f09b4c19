package ode

import "math"

// The coefficients of the method of Dormand and Prince (1980), as in Hairer,
// Nørsett and Wanner, Solving Ordinary Differential Equations I, table II.5.2.
const (
	c2, c3, c4, c5 = 1. / 5, 3. / 10, 4. / 5, 8. / 9

	a21                     = 1. / 5
	a31, a32                = 3. / 40, 9. / 40
	a41, a42, a43           = 44. / 45, -56. / 15, 32. / 9
	a51, a52, a53, a54      = 19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729
	a61, a62, a63, a64, a65 = 9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656
	a71, a73, a74, a75, a76 = 35. / 384, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84

	// The difference of the weights of orders 5 and 4.
	e1, e3, e4, e5, e6, e7 = 71. / 57600, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40

	// Dense output of order 4, ibid. (II.6.12).
	d1, d3, d4 = -12715105075. / 11282082432, 87487479700. / 32700410799, -10690763975. / 1880347072
	d5, d6, d7 = 701980252875. / 199316789632, -1453857185. / 822651844, 69997945. / 29380423
)

// The PI step control of Gustafsson (ibid. section IV.2): the next step is
// h · 0.9 err^(-α) errOld^β, changed by a factor of 0.2 to 10.
const (
	beta                = 0.04
	alpha               = 0.2 - 0.75*beta
	safety              = 0.9
	shrinkMost, growTop = 0.2, 10
)

// dormandPrince integrates the state from t, where k[0] is its rate.
func (s *Solver) dormandPrince(out *output, t float64) error {
	end := out.times[len(out.times)-1]
	h := s.firstStep(t, end)
	errOld := 1e-4
	rejected := false
	for step := 0; ; step++ {
		if step == s.set.MaxSteps {
			return s.failed(t, ErrSteps)
		}
		if !(h > 1e-15*math.Max(math.Abs(t), end-t)) {
			return s.failed(t, ErrStepSize)
		}
		last := t+1.01*h >= end
		if last {
			h = end - t
		}
		s.stages(t, h)
		err := s.errorNorm(h)
		if !(err <= 1) { // also NaN
			shrink := shrinkMost
			if !math.IsNaN(err) && !math.IsInf(err, 1) {
				shrink = math.Max(shrink, safety*math.Pow(err, -alpha))
			}
			h *= shrink
			rejected = true
			continue
		}
		next := end
		if !last {
			next = t + h
		}
		for len(out.times) > 0 && out.times[0] <= next {
			if out.times[0] == next {
				out.store(s.znew)
				continue
			}
			s.interpolate(s.tmp, h, (out.times[0]-t)/h)
			out.store(s.tmp)
		}
		if len(out.times) == 0 {
			return nil
		}
		t = next
		s.z, s.znew = s.znew, s.z
		s.k[0], s.k[6] = s.k[6], s.k[0]
		grow := math.Min(growTop, safety*math.Pow(math.Max(err, 1e-10), -alpha)*math.Pow(errOld, beta))
		if rejected {
			grow = math.Min(grow, 1)
		}
		h *= math.Max(shrinkMost, grow)
		errOld = math.Max(err, 1e-4)
		rejected = false
	}
}

// stages computes the rates k and, in znew, the solution of order 5 at t+h.
func (s *Solver) stages(t, h float64) {
	n := s.n
	z, w := s.z[:n], s.tmp[:n]
	k1, k2, k3, k4, k5, k6 := s.k[0][:n], s.k[1][:n], s.k[2][:n], s.k[3][:n], s.k[4][:n], s.k[5][:n]
	for i, v := range z {
		w[i] = v + h*a21*k1[i]
	}
	s.rate(k2, t+c2*h, w)
	for i, v := range z {
		w[i] = v + h*(a31*k1[i]+a32*k2[i])
	}
	s.rate(k3, t+c3*h, w)
	for i, v := range z {
		w[i] = v + h*(a41*k1[i]+a42*k2[i]+a43*k3[i])
	}
	s.rate(k4, t+c4*h, w)
	for i, v := range z {
		w[i] = v + h*(a51*k1[i]+a52*k2[i]+a53*k3[i]+a54*k4[i])
	}
	s.rate(k5, t+c5*h, w)
	for i, v := range z {
		w[i] = v + h*(a61*k1[i]+a62*k2[i]+a63*k3[i]+a64*k4[i]+a65*k5[i])
	}
	s.rate(k6, t+h, w)
	znew := s.znew[:n]
	for i, v := range z {
		znew[i] = v + h*(a71*k1[i]+a73*k3[i]+a74*k4[i]+a75*k5[i]+a76*k6[i])
	}
	s.rate(s.k[6], t+h, znew)
}

// errorNorm returns the estimated error of the step relative to the
// tolerance. Sensitivities have no part in it.
func (s *Solver) errorNorm(h float64) float64 {
	var sum float64
	for i := range s.sys.Dim {
		e := h * (e1*s.k[0][i] + e3*s.k[2][i] + e4*s.k[3][i] + e5*s.k[4][i] + e6*s.k[5][i] + e7*s.k[6][i])
		tol := s.set.AbsTol + s.set.RelTol*math.Max(math.Abs(s.z[i]), math.Abs(s.znew[i]))
		sum += e / tol * (e / tol)
	}
	return math.Sqrt(sum / float64(s.sys.Dim))
}

// interpolate stores the state at t + θh in dst.
func (s *Solver) interpolate(dst []float64, h, theta float64) {
	k := &s.k
	rest := 1 - theta
	for i, z := range s.z[:s.n] {
		diff := s.znew[i] - z
		bend := h*k[0][i] - diff
		r4 := diff - h*k[6][i] - bend
		r5 := h * (d1*k[0][i] + d3*k[2][i] + d4*k[3][i] + d5*k[4][i] + d6*k[5][i] + d7*k[6][i])
		dst[i] = z + theta*(diff+rest*(bend+theta*(r4+rest*r5)))
	}
}

// firstStep guesses a step from the sizes of the solution, its rate and the
// rate's change (ibid. section II.4).
func (s *Solver) firstStep(t, end float64) float64 {
	norm := func(v func(i int) float64) float64 {
		var sum float64
		for i := range s.sys.Dim {
			a := v(i) / (s.set.AbsTol + s.set.RelTol*math.Abs(s.z[i]))
			sum += a * a
		}
		return math.Sqrt(sum / float64(s.sys.Dim))
	}
	size := norm(func(i int) float64 { return s.z[i] })
	rate := norm(func(i int) float64 { return s.k[0][i] })
	h := 1e-6
	if size > 1e-5 && rate > 1e-5 {
		h = 0.01 * size / rate
	}
	h = math.Min(h, end-t)
	for i, v := range s.z[:s.n] {
		s.tmp[i] = v + h*s.k[0][i]
	}
	s.rate(s.k[1], t+h, s.tmp)
	change := norm(func(i int) float64 { return s.k[1][i] - s.k[0][i] }) / h
	if math.IsNaN(change) || math.IsInf(change, 0) {
		return h
	}
	most := math.Max(rate, change)
	h1 := math.Max(1e-6, 1e-3*h)
	if most > 1e-15 {
		h1 = math.Pow(0.01/most, 0.2)
	}
	return math.Min(math.Min(100*h, h1), end-t)
}
