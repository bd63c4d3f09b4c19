package kernel

import "math"

// AdamStep is one update of Adam (Kingma & Ba 2015, algorithm 1), with the
// weight decay of AdamW (Loshchilov & Hutter 2019, algorithm 2).
type AdamStep struct {
	Step         int     // t, counted from 1
	Rate         float64 // learning rate α
	Beta1, Beta2 float64 // decay of the moments
	Eps          float64 // ε, added to the root of the corrected second moment
	Decay        float64 // λ: p is first multiplied by 1 - αλ
	GradScale    float64 // the gradient is first multiplied by it; 0 means 1
}

// Adam updates the parameters p and the moments m and v with the gradient g:
//
//	m ← β₁m + (1-β₁)g,  v ← β₂v + (1-β₂)g²
//	p ← p - αλp - α m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε)
func Adam[T Float](p, m, v, g []T, s AdamStep) {
	checkLen("Adam", len(p), len(m), len(v), len(g))
	c := s.coefficients()
	b1, a1, b2, a2 := T(s.Beta1), T(1-s.Beta1), T(s.Beta2), T(1-s.Beta2)
	scale, keep, rate, root, eps := T(c.scale), T(c.keep), T(c.rate), T(c.root), T(s.Eps)
	for i, gi := range g {
		gi *= scale
		m[i] = b1*m[i] + a1*gi
		v[i] = b2*v[i] + a2*(gi*gi)
		p[i] = keep*p[i] - rate*m[i]/(root*T(math.Sqrt(float64(v[i])))+eps)
	}
}

// adamCoefficients are the scalars of one step: p ← keep p - rate m/(root √v + ε).
type adamCoefficients struct{ scale, keep, rate, root float64 }

func (s AdamStep) coefficients() adamCoefficients {
	t := float64(s.Step)
	c := adamCoefficients{
		scale: s.GradScale,
		keep:  1 - s.Rate*s.Decay,
		rate:  s.Rate / (1 - math.Pow(s.Beta1, t)),
		root:  1 / math.Sqrt(1-math.Pow(s.Beta2, t)),
	}
	if c.scale == 0 {
		c.scale = 1
	}
	return c
}
