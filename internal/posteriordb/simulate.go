package posteriordb

import (
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/rng"
)

// The simulated data sets have the sizes of the database's.

func simulateARK() model {
	r := rand.New(rng.New(1, 0))
	m := &arK{K: 5, Y: make([]float64, 200)}
	beta := [5]float64{0.5, -0.2, 0.1, 0.1, -0.1}
	for t := range m.Y {
		m.Y[t] = 0.3 + 0.2*r.NormFloat64()
		for j, b := range beta {
			if t > j {
				m.Y[t] += b * m.Y[t-1-j]
			}
		}
	}
	return m
}

func simulateARMA() model {
	r := rand.New(rng.New(1, 1))
	m := &arma{Y: make([]float64, 200)}
	var e float64
	for t := range m.Y {
		e0 := e
		e = 0.2 * r.NormFloat64()
		m.Y[t] = e + 0.6*e0
		if t > 0 {
			m.Y[t] += 0.5 * m.Y[t-1]
		}
	}
	return m
}

func simulateEightSchools() model {
	r := rand.New(rng.New(1, 2))
	m := &eightSchools{Sigma: []float64{15, 10, 16, 11, 9, 11, 10, 18}}
	for _, s := range m.Sigma {
		m.Y = append(m.Y, 5+3*r.NormFloat64()+s*r.NormFloat64())
	}
	return m
}

func simulateGARCH() model {
	r := rand.New(rng.New(1, 3))
	m := &garch{Y: make([]float64, 200), Sigma1: 0.5}
	h := m.Sigma1 * m.Sigma1
	for t := range m.Y {
		e := math.Sqrt(h) * r.NormFloat64()
		m.Y[t] = 5 + e
		h = 1.5 + 0.5*e*e + 0.3*h
	}
	return m
}

func simulateGPRegr() model {
	r := rand.New(rng.New(1, 4))
	m := new(gpRegr)
	for x := -10.0; x <= 10; x += 2 {
		m.X = append(m.X, x)
		m.Y = append(m.Y, 2*math.Sin(x/4)+1.2*r.NormFloat64())
	}
	return m
}

func simulateHMM() model {
	r := rand.New(rng.New(1, 5))
	m := &hmm{Y: make([]float64, 100)}
	first := true
	for t := range m.Y {
		if first {
			m.Y[t] = 3 + r.NormFloat64()
			first = r.Float64() < 0.7
		} else {
			m.Y[t] = 9 + r.NormFloat64()
			first = r.Float64() < 0.1
		}
	}
	return m
}

func simulateLotkaVolterra() model {
	r := rand.New(rng.New(1, 6))
	m := &lotkaVolterra{YInit: [2]float64{33 * math.Exp(0.2*r.NormFloat64()), 6 * math.Exp(0.2*r.NormFloat64())}}
	p, q := 33.0, 6.0
	for year := 1; year <= 20; year++ {
		const steps = 2000 // of Euler's symplectic method
		for range steps {
			p += (0.55 - 0.028*q) * p / steps
			q += (0.024*p - 0.8) * q / steps
		}
		m.Ts = append(m.Ts, float64(year))
		m.Y = append(m.Y, [2]float64{p * math.Exp(0.2*r.NormFloat64()), q * math.Exp(0.2*r.NormFloat64())})
	}
	return m
}

func simulateKidscore() model {
	r := rand.New(rng.New(1, 7))
	m := new(kidscore)
	for range 434 {
		hs := 0.0
		if r.Float64() < 0.8 {
			hs = 1
		}
		iq := 97 + 5*hs + 14*r.NormFloat64()
		m.HS, m.IQ = append(m.HS, hs), append(m.IQ, iq)
		m.Y = append(m.Y, 26+6*hs+0.56*iq+18*r.NormFloat64())
	}
	return m
}

func simulateKilpisjarvi() model {
	r := rand.New(rng.New(1, 8))
	m := &kilpisjarvi{MuAlpha: 9.3, SAlpha: 100, MuBeta: 0, SBeta: 1.0 / 30}
	for year := 3952.0; year <= 4013; year++ {
		m.X = append(m.X, year)
		m.Y = append(m.Y, 9.3+0.018*(year-3982)+1.1*r.NormFloat64())
	}
	return m
}

func simulateGaussMix() model {
	r := rand.New(rng.New(1, 9))
	m := &gaussMix{Y: make([]float64, 1000)}
	for i := range m.Y {
		m.Y[i] = r.NormFloat64() - 2.75
		if r.Float64() < 0.4 {
			m.Y[i] += 5.6
		}
	}
	return m
}
