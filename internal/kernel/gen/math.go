package main

import "math"

// A double is a pair of constants for float32 and float64.
func (v *vec) either(f32, f64 float64) float64 {
	if v.size == 4 {
		return f32
	}
	return f64
}

// The formats: bits of the fraction, bias of the exponent.
func (v *vec) fraction() int { return int(v.either(23, 52)) }
func (v *vec) bias() float64 { return v.either(127, 1023) }

// round returns t and n, the integer nearest to x/log 2, and n + t being
// rounded to it because of its size: the low bits of t are n + bias.
func (v *vec) round(x value) (t, n value) {
	magic := v.k(1.5*math.Ldexp(1, v.fraction()) + v.bias())
	t = v.set(magic)
	v.addMul(t, x, v.k(1/math.Ln2))
	return t, v.sub(t, magic)
}

// reduce returns r = x - n log 2, its square, and q with e^r = 1 + r + r² q. It
// overwrites x.
//
// q interpolates (e^r - 1 - r)/r² in the Chebyshev nodes of ±(log 2)/2; the
// error of r² q is 5e-10 in float32 and 1.3e-17 in float64.
func (v *vec) reduce(x, n value) (r, r2, q value) {
	return v.reduceWith(x, n, func(value) {})
}

// reduceWith is reduce with a correction of r.
func (v *vec) reduceWith(x, n value, correct func(r value)) (r, r2, q value) {
	if v.size == 4 {
		v.subMul(x, n, v.k(0x1.62e430p-1))
		v.subMul(x, n, v.k(-0x1.05c610p-29))
		correct(x)
		r2 = v.mul(x, x)
		return x, r2, v.polynomial(x, r2, 0.5, 0x1.555556p-3, 0x1.5554e8p-5, 0x1.1110e0p-7, 0x1.6d4362p-10, 0x1.a12528p-13)
	}
	v.subMul(x, n, v.k(0x1.62e42fefa39efp-1))
	v.subMul(x, n, v.k(0x1.abc9e3b39803fp-56))
	correct(x)
	r2 = v.mul(x, x)
	return x, r2, v.polynomial(x, r2, 0x1.0000000000001p-1, 0x1.5555555555556p-3,
		0x1.5555555553d4fp-5, 0x1.11111111109adp-7, 0x1.6c16c17893833p-10, 0x1.a01a01a7c8d47p-13,
		0x1.a019b8ef67c6cp-16, 0x1.71de0d9c145d0p-19, 0x1.2891a8c1d838dp-22, 0x1.af38d53857513p-26)
}

// expParts returns p and n with e^x = 2ⁿ p, p being about 1, after x is cut to
// where neither 2ⁿ p overflows nor vanishes for good. NaN stays NaN.
func (v *vec) expParts(x value) (p, n value) {
	x = v.max(v.fixed(v.k(v.either(-120, -800))), x)
	x = v.min(v.fixed(v.k(v.either(89, 710))), x)
	_, n = v.round(x)
	r, r2, q := v.reduce(x, n)
	return v.add(v.fma(q, r2, r), v.k(1)), n
}

// scale returns 2ⁿ p, rounded once, for expParts' p and n.
func (v *vec) scale(p, n value) value {
	if v.avx512() {
		return v.binary("VSCALEF", p, n)
	}
	// 2ⁿ may not be a normal number, but the two halves are.
	magic := v.k(1.5*math.Ldexp(1, v.fraction()) + v.bias())
	t := v.set(magic)
	v.addMul(t, n, v.k(0.5))
	half := v.sub(t, magic)
	rest := v.add(v.sub(n, half), magic)
	p = v.mul(p, v.shiftLeft(t, v.fraction()))
	return v.mul(p, v.shiftLeft(rest, v.fraction()))
}

func (v *vec) exp(x value) value { return v.scale(v.expParts(x)) }

// expm1 returns e^x - 1 as twice h e^r - 1/2 for h = 2ⁿ⁻¹, which does not
// overflow before the result does.
func (v *vec) expm1(x value) value {
	y := v.max(v.fixed(v.k(v.either(-25, -50))), x)
	y = v.min(v.fixed(v.k(v.either(89, 710))), y)
	t, n := v.round(y)
	h := v.shiftLeft(v.intSub(t, v.kbits(1)), v.fraction())
	q := v.expm1Sum(y, n, h, 0.5)
	q = v.add(q, q)
	// x itself near zero, where p/2 is not exact.
	tiny := v.compare(v.abs(x), less, v.k(v.either(0x1p-25, 0x1p-54)))
	return v.choose(tiny, x, q)
}

// expm1Within is expm1 for |x| ≤ 60.
func (v *vec) expm1Within(x value) value {
	t, n := v.round(x)
	return v.expm1Sum(v.copy(x), n, v.shiftLeft(t, v.fraction()), 1)
}

// expm1Sum returns h e^r - c as (h - c + h r) + h r² q, of which the first sum
// is exact where it matters.
func (v *vec) expm1Sum(x, n, h value, c float64) value {
	r, r2, q := v.reduce(x, n)
	s := v.sub(h, v.k(c))
	v.addMul(s, h, r)
	return v.fma(q, v.mul(h, r2), s)
}

// tanh returns t/(t + 2) for t = e^2|x| - 1, with the sign of x. The quotient
// q is corrected by its remainder, t - 2q - q t.
func (v *vec) tanh(x value) value {
	y := v.abs(x)
	y = v.add(y, y)
	y = v.min(v.fixed(v.k(v.either(20, 44))), y)
	t := v.expm1Within(y)
	r := v.div(v.fixed(v.k(1)), v.add(t, v.k(2)))
	q := v.mul(t, r)
	rest := v.subMul(v.copy(t), q, v.k(2))
	v.subMul(rest, q, t)
	return v.or(v.addMul(q, rest, r), v.sign(x))
}

// logSum returns k log 2 + log(1 + f) for an integer k and 1 + f between
// √½ and √2. With s = f/(2 + f), log(1 + f) = 2s + s³R(s²), which is
// f - (f²/2 - s (f²/2 + s² R)) as in Sun's FDLIBM. R interpolates in the
// Chebyshev nodes; the error of s² R is 5e-9 in float32, 1e-17 in float64.
func (v *vec) logSum(k, f value) value {
	s := v.div(f, v.add(f, v.k(2)))
	z := v.mul(s, s)
	half := v.mul(v.mul(f, v.k(0.5)), f)
	var r value
	var hi, lo float64 // log 2, hi with zeros at the end
	if v.size == 4 {
		r = v.polynomial(z, v.mul(z, z), 0x1.55555cp-1, 0x1.997c22p-2, 0x1.2ee8c8p-2)
		hi, lo = 0x1.62e4p-1, 0x1.7f7d1cp-20
	} else {
		r = v.polynomial(z, v.mul(z, z), 0x1.5555555555558p-1, 0x1.9999999995273p-2, 0x1.2492492dfd86cp-2,
			0x1.c71c62d5e53e0p-3, 0x1.7462b91b8df66p-3, 0x1.39fdcceb4bb35p-3, 0x1.2b5f68a50d9a7p-3)
		hi, lo = 0x1.62e42fefa3800p-1, 0x1.ef35793c76730p-45
	}
	v.fma(r, z, half)
	r = v.mul(r, s)
	v.addMul(r, k, v.k(lo))
	r = v.sub(v.sub(half, r), f)
	return v.fms(k, v.fixed(v.k(hi)), r)
}

// split returns the exponent of a normal number, biased, as an integer and
// in floating point, and f such that x is 2^k (1 + f) with 1 + f between √½
// and √2.
func (v *vec) split(x value) (biased, k, f value) {
	one, root := math.Float64bits(1), uint64(0x3fe6a09e667f3bcd) // √½
	two := math.Float64bits(0x1p52)
	if v.size == 4 {
		one, root = uint64(math.Float32bits(1)), 0x3f3504f3
		two = uint64(math.Float32bits(0x1p23))
	}
	t := v.intAdd(x, v.kbits(one-root))
	biased = v.shiftRight(t, v.fraction())
	m := v.intAdd(v.and(t, v.kbits(1<<v.fraction()-1)), v.kbits(root))
	k = v.sub(v.or(biased, v.kbits(two)), v.k(math.Ldexp(1, v.fraction())+v.bias()))
	return biased, k, v.sub(m, v.k(1))
}

func (v *vec) log(x value) value {
	// Subnormal numbers are scaled by 2^shift.
	shift := v.either(25, 54)
	small := v.compare(x, less, v.k(v.either(0x1p-126, 0x1p-1022)))
	y := v.choose(small, v.mul(x, v.k(math.Ldexp(1, int(shift)))), x)
	_, k, f := v.split(y)
	k = v.choose(small, v.sub(k, v.k(shift)), k)
	return v.logLimits(x, v.logSum(k, f))
}

// logLimits returns y = log x, or log x itself where it is not finite.
func (v *vec) logLimits(x, y value) value {
	y = v.choose(v.compare(x, equal, v.k(math.Inf(1))), x, y)
	y = v.choose(v.compare(x, notAtLeast, v.k(0)), v.k(math.NaN()), y)
	return v.choose(v.compare(x, equal, v.k(0)), v.k(math.Inf(-1)), y)
}

// log1pWithin returns log(1 + x) for x > -1 that are not huge. With u = 1 + x
// rounded, and u = 2^k m, 1 + f is m with the rounding error added.
func (v *vec) log1pWithin(x value) value {
	u := v.add(x, v.k(1))
	lost := v.sub(x, v.sub(u, v.k(1)))
	biased, k, f := v.split(u)
	// 2^-k has the exponent 2 bias - biased.
	scale := v.fixed(v.kbits(uint64(2 * v.bias())))
	v.addMul(f, lost, v.shiftLeft(v.intSub(scale, biased), v.fraction()))
	return v.logSum(k, f)
}

// log1p is log1pWithin in the middle, log x where x is huge, and x near zero.
func (v *vec) log1p(x value) value {
	y := v.log1pWithin(v.min(v.fixed(v.k(0x1p100)), x))
	_, k, f := v.split(x)
	y = v.choose(v.compare(x, less, v.k(0x1p60)), y, v.logSum(k, f))
	y = v.logLimits(v.add(x, v.k(1)), y)
	return v.choose(v.compare(v.abs(x), less, v.k(v.either(0x1p-26, 0x1p-55))), x, y)
}

// sigmoid returns e/(1 + e) or 1/(1 + e), e = exp(-|x|).
func (v *vec) sigmoid(x value) value {
	e := v.exp(v.or(x, v.kbits(1<<(8*v.size-1))))
	one := v.fixed(v.k(1))
	return v.div(v.choose(v.compare(x, less, v.k(0)), e, one), v.add(e, one))
}

// softplus returns max(x, 0) + log(1 + e^-|x|).
func (v *vec) softplus(x value) value {
	e := v.exp(v.or(x, v.kbits(1<<(8*v.size-1))))
	return v.add(v.log1pWithin(e), v.max(v.zero(), x))
}

// silu returns x/(1 + e) or 2ⁿ (x p/(1 + e)) for e = exp(-|x|) = 2ⁿ p.
func (v *vec) silu(x value) value {
	y := v.max(v.fixed(v.k(v.either(-120, -800))), x)
	p, n := v.expParts(v.or(y, v.kbits(1<<(8*v.size-1))))
	one := v.fixed(v.k(1))
	negative := v.compare(y, less, v.k(0))
	d := v.add(v.scale(p, n), one)
	a := v.div(v.mul(y, v.choose(negative, p, one)), d)
	return v.scale(a, v.choose(negative, n, v.zero()))
}

// logCosh returns log(1 + t²/(2(1 + t))) for |x| < 1 and
// |x| - log 2 + log(1 + (1 + t)²) otherwise, t = e^-|x| - 1.
func (v *vec) logCosh(x value) value {
	a := v.abs(x)
	t := v.expm1Within(v.max(v.fixed(v.k(-50)), v.xor(a, v.kbits(1<<(8*v.size-1)))))
	u := v.add(t, v.k(1))
	near := v.compare(a, less, v.k(1))
	w := v.choose(near, v.div(v.mul(t, t), v.add(u, u)), v.mul(u, u))
	y := v.log1pWithin(w)
	return v.choose(near, y, v.add(v.sub(y, v.k(math.Ln2)), a))
}

// siluPrime returns s (1 + x (1 - s)), s the sigmoid of x. Beyond where it is
// 0 or 1, x is cut so as not to make a NaN of 0 and infinity.
func (v *vec) siluPrime(x value) value {
	y := v.max(v.fixed(v.k(v.either(-120, -800))), x)
	y = v.min(v.fixed(v.k(v.either(120, 800))), y)
	s := v.sigmoid(y)
	one := v.fixed(v.k(1))
	return v.mul(v.fma(y, v.sub(one, s), one), s)
}

// normalTail returns e^(-x²/2) as 2ⁿ p, and r with Φ(-|x|) = 2ⁿ p r.
//
// r (1 + b|x|), which varies little, is interpolated in the Chebyshev nodes of
// t = (|x| - c)/(|x| + c); the relative error is 1e-8 in float32 and 1.4e-17
// in float64.
func (v *vec) normalTail(x value) (p, n, r value) {
	// The square in two parts, cut to where the exponential vanishes.
	y := v.min(v.fixed(v.k(v.either(15.5, 40))), v.abs(x))
	h := v.mul(y, y)
	low := v.fms(v.copy(y), y, h)
	h = v.mul(h, v.k(-0.5))
	_, n = v.round(h)
	s, s2, q := v.reduceWith(h, n, func(s value) { v.addMul(s, low, v.k(-0.5)) })
	p = v.add(v.fma(q, s2, s), v.k(1))

	c, b := v.k(v.either(4, 6)), v.k(v.either(1.5, 0.5))
	t := v.div(v.sub(y, c), v.add(y, c))
	t2 := v.mul(t, t)
	if v.size == 4 {
		r = v.polynomial(t, t2, 0x1.525e24p-1, -0x1.ea57d6p-5, -0x1.516e0ap-5, 0x1.429322p-4, -0x1.0508fep-4,
			0x1.fe785ep-6, -0x1.fc4128p-8, -0x1.95d5a0p-11, 0x1.265c7ap-10, -0x1.307cdap-14, -0x1.e3e004p-14)
	} else {
		r = v.polynomial(t, t2, 0x1.095608c7b15f1p-2, -0x1.aa70589cd899bp-4, 0x1.2a46d58e13492p-4,
			-0x1.6166893793a8cp-5, 0x1.4d4392a584237p-6, -0x1.985b717a5db1fp-8, -0x1.9850cc912af43p-12,
			0x1.2062ef4ca94f9p-9, -0x1.dd5998fb4980ap-10, 0x1.f7e4e2867ad1bp-11, -0x1.69093ea212509p-12,
			0x1.1489d584dd4a0p-14, 0x1.2200cb8aaa80ap-17, -0x1.5e1959269edabp-17, 0x1.481c2321c633ep-19,
			0x1.1e66fe3d33f4ep-21, -0x1.db8841542b22dp-22, 0x1.0a4c7dc386edbp-25, 0x1.cef5d914a8fe9p-25,
			-0x1.ab3d3913e7e40p-27, -0x1.aeb6923a6adb7p-28, 0x1.d277fefae57aep-30, 0x1.8925731aaa2e5p-31)
	}
	return p, n, v.div(r, v.fma(y, v.fixed(b), v.k(1)))
}

// gelu returns x Φ(x), which is x - x Φ(-x) for positive x.
func (v *vec) gelu(x value) value {
	x = v.max(v.fixed(v.k(v.either(-15.5, -40))), x)
	p, n, r := v.normalTail(x)
	y := v.min(v.fixed(v.k(v.either(15.5, 40))), x)
	tail := v.scale(v.mul(v.mul(p, y), r), n)
	return v.choose(v.compare(x, less, v.k(0)), tail, v.sub(x, tail))
}

// geluPrime returns Φ(x) + x φ(x).
func (v *vec) geluPrime(x value) value {
	y := v.min(v.fixed(v.k(v.either(15.5, 40))), v.max(v.fixed(v.k(v.either(-15.5, -40))), x))
	p, n, r := v.normalTail(y)
	e := v.scale(p, n)
	tail := v.mul(e, r)
	phi := v.mul(e, v.k(1/math.Sqrt(2*math.Pi)))
	below := v.choose(v.compare(y, less, v.k(0)), tail, v.sub(v.fixed(v.k(1)), tail))
	return v.addMul(below, y, phi)
}
