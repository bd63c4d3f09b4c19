package kernel

import (
	"math"
	"math/big"
	"testing"
)

// twofold is an unevaluated sum of two float64, about 106 bits: the arithmetic
// of Dekker (1971) with a fused multiply-add.
type twofold struct{ hi, lo float64 }

func sum2(a, b float64) twofold {
	s := a + b
	t := s - a
	return twofold{s, (a - (s - t)) + (b - t)}
}

func (a twofold) add(b twofold) twofold {
	s, t := sum2(a.hi, b.hi), sum2(a.lo, b.lo)
	s = sum2(s.hi, s.lo+t.hi)
	return sum2(s.hi, s.lo+t.lo)
}

func (a twofold) neg() twofold          { return twofold{-a.hi, -a.lo} }
func (a twofold) sub(b twofold) twofold { return a.add(b.neg()) }

func (a twofold) mul(b twofold) twofold {
	p := a.hi * b.hi
	e := math.FMA(a.hi, b.hi, -p)
	return sum2(p, e+(a.hi*b.lo+a.lo*b.hi))
}

func (a twofold) div(b twofold) twofold {
	q := a.hi / b.hi
	r := a.sub(b.mul(twofold{q, 0}))
	q1 := r.hi / b.hi
	r = r.sub(b.mul(twofold{q1, 0}))
	return sum2(q, q1).add(twofold{r.hi / b.hi, 0})
}

func (a twofold) ldexp(e int) twofold { return twofold{math.Ldexp(a.hi, e), math.Ldexp(a.lo, e)} }

var (
	one2 = twofold{1, 0}
	ln2  = twofold{math.Ln2, 2.3190468138462996e-17}
)

// expm1Ref returns e^x - 1 for |x| < 1/2 by its series, after halving x six
// times and with (e^x - 1)(e^x + 1) six times.
func expm1Ref(x twofold) twofold {
	if math.Abs(x.hi) < 1e-40 {
		return x
	}
	x = x.ldexp(-6)
	s := one2
	for k := 14; k > 1; k-- {
		s = one2.add(s.mul(x).div(twofold{float64(k), 0}))
	}
	s = s.mul(x)
	for range 6 {
		s = s.mul(s.add(twofold{2, 0}))
	}
	return s
}

// expRef returns m and k with e^x = 2^k m.
func expRef(x twofold) (m twofold, k int) {
	k = int(math.RoundToEven(x.hi / math.Ln2))
	return expm1Ref(x.sub(ln2.mul(twofold{float64(k), 0}))).add(one2), k
}

// log1pRef returns log(1 + x) by one step of Newton's method on e^y - 1 - x.
func log1pRef(x twofold) twofold {
	if math.Abs(x.hi) < 1e-40 {
		return x
	}
	y := twofold{math.Log1p(x.hi), 0}
	k := int(math.RoundToEven(y.hi / math.Ln2))
	r := expm1Ref(y.sub(ln2.mul(twofold{float64(k), 0})))
	// e^y - 1 - x = 2^k (r + 1) - 1 - x
	d := r.ldexp(k).add(twofold{math.Ldexp(1, k) - 1, 0}).sub(x)
	if k > 60 { // 2^k - 1 rounds
		d = r.ldexp(k).add(twofold{math.Ldexp(1, k), 0}).sub(one2).sub(x)
	}
	return y.sub(d.div(one2.add(x)))
}

// tailRef returns m and k with Φ(-x) = 2^k m, x ≥ 0: by the series of
// (Φ(x) - 1/2)/φ(x), or by the continued fraction of φ(x)/Φ(-x).
func tailRef(x float64) (m twofold, k int) {
	x2 := twofold{x, 0}.mul(twofold{x, 0})
	density, k := expRef(x2.ldexp(-1).neg())
	density = density.mul(twofold{0.3989422804014327, -2.4923272022777427e-17})
	if x < 3 {
		sum, term := twofold{}, twofold{x, 0}
		for i := 3; term.hi > sum.hi*1e-34; i += 2 {
			sum = sum.add(term)
			term = term.mul(x2).div(twofold{float64(i), 0})
		}
		return twofold{0.5, 0}.sub(density.mul(sum).ldexp(k)), 0
	}
	f := twofold{x, 0}
	for i := 200; i > 0; i-- {
		f = twofold{x, 0}.add(twofold{float64(i), 0}.div(f))
	}
	return density.div(f), k
}

// The reference itself against series of rational numbers.
func TestReference(t *testing.T) {
	toBig := func(x twofold) *big.Float {
		return new(big.Float).SetPrec(300).Add(new(big.Float).SetPrec(300).SetFloat64(x.hi), big.NewFloat(x.lo))
	}
	// The two ways to the tail of the normal distribution.
	for _, x := range []float64{2.9, 2.999999, 3 - 1e-15} {
		m, _ := tailRef(x)
		f := twofold{x, 0}
		for i := 400; i > 0; i-- {
			f = twofold{x, 0}.add(twofold{float64(i), 0}.div(f))
		}
		density, k := expRef(twofold{x, 0}.mul(twofold{x, 0}).ldexp(-1).neg())
		d := density.ldexp(k).div(f).mul(twofold{0.3989422804014327, -2.4923272022777427e-17}).div(m).sub(one2)
		if math.Abs(d.hi) > 1e-26 {
			t.Errorf("tailRef(%v): the series and the fraction differ by %v", x, d.hi)
		}
	}
	for _, x := range []float64{0.49, -0.47, 0.1, 1e-3, -1e-9, 3e-20} {
		want, term := new(big.Float).SetPrec(300), new(big.Float).SetPrec(300).SetInt64(1)
		for k := int64(1); k < 60; k++ {
			term.Mul(term, big.NewFloat(x)).Quo(term, new(big.Float).SetInt64(k))
			want.Add(want, term)
		}
		d := toBig(expm1Ref(twofold{x, 0}))
		d.Sub(d, want).Quo(d, want)
		if e, _ := d.Float64(); math.Abs(e) > 1e-29 {
			t.Errorf("expm1Ref(%v) is off by %v", x, e)
		}
		// log(1 + x) = 2 atanh(x/(2 + x))
		s := new(big.Float).SetPrec(300).SetFloat64(x)
		s.Quo(s, new(big.Float).SetPrec(300).Add(s, big.NewFloat(2)))
		want.SetInt64(0)
		power, square := new(big.Float).Set(s), new(big.Float).Mul(s, s)
		for k := int64(1); k < 500; k += 2 {
			want.Add(want, new(big.Float).Quo(power, new(big.Float).SetInt64(k)))
			power.Mul(power, square)
		}
		want.Add(want, want)
		d = toBig(log1pRef(twofold{x, 0}))
		d.Sub(d, want).Quo(d, want)
		if e, _ := d.Float64(); math.Abs(e) > 1e-29 {
			t.Errorf("log1pRef(%v) is off by %v", x, e)
		}
	}
}
