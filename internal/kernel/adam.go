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
	c := coefficients[T](s)
	if adamSIMD(p, m, v, g, &c) {
		return
	}
	for i, gi := range g {
		gi *= c.scale
		m[i] = c.beta1*m[i] + c.rest1*gi
		v[i] = c.beta2*v[i] + c.rest2*(gi*gi)
		p[i] = c.keep*p[i] - c.rate*m[i]/(c.root*T(math.Sqrt(float64(v[i])))+c.eps)
	}
}

// adamCoefficients are the scalars of a step:
//
//	m ← beta1 m + rest1 g,  v ← beta2 v + rest2 g²,  p ← keep p - rate m/(root √v + eps)
//
// for the gradient times scale.
type adamCoefficients[T Float] struct {
	beta1, rest1, beta2, rest2, scale, keep, rate, root, eps T
}

func coefficients[T Float](s AdamStep) adamCoefficients[T] {
	t := float64(s.Step)
	c := adamCoefficients[T]{
		beta1: T(s.Beta1), rest1: T(1 - s.Beta1),
		beta2: T(s.Beta2), rest2: T(1 - s.Beta2),
		scale: T(s.GradScale),
		keep:  T(1 - s.Rate*s.Decay),
		rate:  T(s.Rate / (1 - math.Pow(s.Beta1, t))),
		root:  T(1 / math.Sqrt(1-math.Pow(s.Beta2, t))),
		eps:   T(s.Eps),
	}
	if s.GradScale == 0 {
		c.scale = 1
	}
	return c
}
