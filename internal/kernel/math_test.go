package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// elementary lists the functions with a reference, which returns the value as
// 2^k m, and the greatest error that is allowed in ulp.
var elementary = []struct {
	name   string
	f32    func(dst, x []float32)
	f64    func(dst, x []float64)
	std    func(float64) float64 // the limits are this one's
	ref    func(x float64) (m twofold, k int)
	domain [2]float64
	ulp    float64
}{
	{"exp", Exp[float32], Exp[float64], exp, func(x float64) (twofold, int) { return expRef(twofold{x, 0}) }, [2]float64{-760, 760}, 2},
	{"expm1", Expm1[float32], Expm1[float64], math.Expm1, func(x float64) (twofold, int) {
		if math.Abs(x) < 0.3 {
			return expm1Ref(twofold{x, 0}), 0
		}
		m, k := expRef(twofold{x, 0})
		if x > 100 {
			return m, k
		}
		return m.ldexp(k).sub(one2), 0
	}, [2]float64{-760, 760}, 2},
	{"log", Log[float32], Log[float64], log, func(x float64) (twofold, int) {
		f, k := math.Frexp(x)
		if f < math.Sqrt2/2 {
			f, k = 2*f, k-1
		}
		return log1pRef(twofold{f - 1, 0}).add(ln2.mul(twofold{float64(k), 0})), 0
	}, [2]float64{0, math.MaxFloat64}, 2},
	{"log1p", Log1p[float32], Log1p[float64], math.Log1p, func(x float64) (twofold, int) {
		if x > 1e30 {
			f, k := math.Frexp(x)
			return log1pRef(twofold{f - 1, 0}).add(ln2.mul(twofold{float64(k), 0})), 0
		}
		return log1pRef(twofold{x, 0}), 0
	}, [2]float64{-1, math.MaxFloat64}, 2},
	{"tanh", activate[float32](Tanh), activate[float64](Tanh), math.Tanh, func(x float64) (twofold, int) {
		if math.Abs(x) > 40 {
			return twofold{math.Copysign(1, x), 0}, 0
		}
		if math.Abs(x) < 1e-40 {
			return twofold{x, 0}, 0
		}
		if math.Abs(x) < 0.2 {
			t := expm1Ref(twofold{2 * x, 0})
			return t.div(t.add(twofold{2, 0})), 0
		}
		m, k := expRef(twofold{2 * x, 0})
		m = m.ldexp(k)
		return m.sub(one2).div(m.add(one2)), 0
	}, [2]float64{-1000, 1000}, 2},
	{"sigmoid", activate[float32](Sigmoid), activate[float64](Sigmoid), sigmoid, sigmoidRef, [2]float64{-760, 760}, 2.1},
	{"softplus", activate[float32](Softplus), activate[float64](Softplus), softplus, func(x float64) (twofold, int) {
		m, k := expRef(twofold{-math.Abs(x), 0})
		if x < -200 {
			return m, k
		}
		return log1pRef(m.ldexp(max(k, -900))).add(twofold{max(x, 0), 0}), 0
	}, [2]float64{-760, 760}, 2},
	{"silu", activate[float32](SiLU), activate[float64](SiLU), silu, func(x float64) (twofold, int) {
		m, k := sigmoidRef(x)
		return m.mul(twofold{x, 0}), k
	}, [2]float64{-760, 760}, 3},
	{"gelu", activate[float32](GELU), activate[float64](GELU), gelu, func(x float64) (twofold, int) {
		m, k := tailRef(math.Abs(x))
		if x < 0 {
			return m.mul(twofold{x, 0}), k
		}
		return twofold{x, 0}.sub(m.mul(twofold{x, 0}).ldexp(max(k, -900))), 0
	}, [2]float64{-37, 40}, 5},
	{"logcosh", activate[float32](LogCosh), activate[float64](LogCosh), logCosh, func(x float64) (twofold, int) {
		// cosh x = 1 + t²/(2 (1 + t)), t = e^-|x| - 1
		x = math.Abs(x)
		if x < 1e-20 {
			f, k := math.Frexp(x)
			return twofold{f, 0}.mul(twofold{f, 0}).ldexp(-1), 2 * k
		}
		if x < 0.4 {
			t := expm1Ref(twofold{-x, 0})
			u := t.add(one2)
			return log1pRef(t.mul(t).div(u.add(u))), 0
		}
		m, k := expRef(twofold{-2 * x, 0})
		return twofold{x, 0}.sub(ln2).add(log1pRef(m.ldexp(k))), 0
	}, [2]float64{-300, 300}, 7},
}

func sigmoidRef(x float64) (twofold, int) {
	m, k := expRef(twofold{x, 0})
	switch {
	case x < -200:
		return m, k
	case x > 200:
		return one2, 0
	}
	m = m.ldexp(k)
	return m.div(m.add(one2)), 0
}

func activate[T Float](a Activation) func(dst, x []T) {
	return func(dst, x []T) { Activate(a, dst, x) }
}

// ulpError returns the distance of x from 2^k m in units of the last place of
// a number near 2^k m in T.
func ulpError[T Float](x T, m twofold, k int) float64 {
	digits, least := 24, -149
	if isDouble[T]() {
		digits, least = 53, -1074
	}
	_, e := math.Frexp(m.hi)
	unit := max(e+k-digits, least)
	if unit+digits > 128 && digits == 24 || unit+digits > 1024 {
		unit = map[int]int{24: 128, 53: 1024}[digits] - digits
		if math.IsInf(float64(x), int(math.Copysign(1, m.hi))) {
			return 0 // 2^k m overflows
		}
	}
	d := twofold{math.Ldexp(float64(x), -k), 0}.sub(m)
	return math.Ldexp(math.Abs(d.hi), k-unit)
}

// points returns arguments over the whole range of T and where the functions
// bend.
func points[T Float](rnd *rand.Rand, count int) []T {
	x := []T{0, T(math.Copysign(0, -1)), T(math.Inf(1)), T(math.Inf(-1)), T(math.NaN())}
	for _, v := range []float64{1, 0.5, 2, math.Ln2, math.Ln2 / 2, 1.5 * math.Ln2, math.Sqrt2, math.Sqrt2 / 2,
		8.9, 9.1, 16.7, 19.1, 22, 87.3, 87.4, 88.3, 88.72, 88.73, 103.9, 104, 708.3, 708.4, 709.7, 709.79, 744.4, 745.2, 746,
		0x1p-126, 0x1p-149, 0x1p-1022, 0x1p-1074, 0x1p-24, 0x1p-25, 0x1p-53, 0x1p-54, math.MaxFloat32, math.MaxFloat64} {
		for i := -3; i <= 3; i++ {
			w := T(v)
			for range i {
				w = next(w)
			}
			x = append(x, w, -w)
		}
	}
	for range count {
		var bits T
		if isDouble[T]() {
			bits = T(math.Float64frombits(rnd.Uint64()))
		} else {
			bits = T(math.Float32frombits(rnd.Uint32()))
		}
		x = append(x, bits,
			T(rnd.NormFloat64()), T(rnd.Float64()*220-110), T(rnd.Float64()*1600-800),
			T(math.Exp(rnd.Float64()*20-14)), T(-math.Exp(rnd.Float64()*20-14)), 1+T(rnd.NormFloat64())/64)
	}
	return x
}

// next returns the number after x, away from zero.
func next[T Float](x T) T {
	if isDouble[T]() {
		return T(math.Nextafter(float64(x), math.Inf(1)))
	}
	return T(math.Nextafter32(float32(x), float32(math.Inf(1))))
}

func TestElementaryFunctions(t *testing.T) {
	count := 20000
	if testing.Short() {
		count = 300
	}
	for i := range elementary {
		testElementary(t, i, elementary[i].f32, count)
		testElementary(t, i, elementary[i].f64, count)
	}
}

func testElementary[T Float](t *testing.T, index int, f func(dst, x []T), count int) {
	e := elementary[index]
	x := points[T](rand.New(rand.NewPCG(7, 8)), count)
	type value struct {
		m     twofold
		k     int
		limit bool // as the standard library's function
	}
	want := make([]value, len(x))
	for i, v := range x {
		v64 := float64(v)
		if v == 0 || math.IsInf(v64, 0) || v64 <= e.domain[0] || v64 >= e.domain[1] || v != v {
			want[i] = value{twofold{hi: e.std(v64)}, 0, true}
		} else {
			m, k := e.ref(v64)
			want[i] = value{m, k, false}
		}
	}
	y := make([]T, len(x))
	forEachPath(t, func(t *testing.T) {
		f(y, x)
		worst, at := 0.0, T(0)
		for i, v := range x {
			w := want[i]
			if w.limit {
				got, want := float64(y[i]), float64(T(w.m.hi))
				same := got == want && math.Signbit(got) == math.Signbit(want) || got != got && want != want
				if !same && !(math.Abs(got-want) <= math.Abs(want)*1e-6+1e-300) {
					t.Errorf("%T %s(%v) = %v, want %v", v, e.name, v, got, want)
				}
				continue
			}
			if err := ulpError(y[i], w.m, w.k); err > worst {
				worst, at = err, v
			} else if err != err {
				t.Errorf("%T %s(%v) = %v", v, e.name, v, y[i])
			}
		}
		t.Logf("%T %s: %.3f ulp at %v", at, e.name, worst, at)
		if worst > e.ulp {
			t.Errorf("%T %s(%v) is off by %.3f ulp", at, e.name, at, worst)
		}
	})
}

// An element's result does not depend on where it stands.
func TestElementwisePosition(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testPosition[float32](t)
		testPosition[float64](t)
	})
}

func testPosition[T Float](t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for n := range 70 {
		x, d := cut(random[T](rnd, 1, n, n)), cut(random[T](rnd, 1, n, n))
		for act := Identity; act <= LogCosh; act++ {
			y, dz := make([]T, n+2), make([]T, n+2)
			for _, s := range [][]T{y, dz} {
				s[0], s[n+1] = guard, guard
			}
			Activate(act, y[1:n+1], x)
			MulDerivative(act, dz[1:n+1], d, x)
			for i := range x {
				var y1, d1 [1]T
				Activate(act, y1[:], x[i:i+1])
				MulDerivative(act, d1[:], d[i:i+1], x[i:i+1])
				if y[i+1] != y1[0] || dz[i+1] != d1[0] {
					t.Fatalf("%T %v of %d: element %d depends on its position", x[0], act, n, i)
				}
			}
			if y[0] != guard || y[n+1] != guard || dz[0] != guard || dz[n+1] != guard {
				t.Fatalf("%T %v of %d wrote beyond its end", d, act, n)
			}
		}
	}
}

func TestArithmetic(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testArithmetic[float32](t)
		testArithmetic[float64](t)
	})
}

func testArithmetic[T Float](t *testing.T) {
	for n := range 50 {
		a, b := make([]T, n), make([]T, n)
		for i := range a {
			a[i], b[i] = T(i-20), T(1+(i*7)%16) // exact, but for division
		}
		a, b = cut(a), cut(b)
		for name, f := range map[string]struct {
			kernel func(dst []T)
			want   func(a, b, dst T) T
		}{
			"Add":    {func(dst []T) { Add(dst, a, b) }, func(a, b, _ T) T { return a + b }},
			"Sub":    {func(dst []T) { Sub(dst, a, b) }, func(a, b, _ T) T { return a - b }},
			"Mul":    {func(dst []T) { Mul(dst, a, b) }, func(a, b, _ T) T { return a * b }},
			"Div":    {func(dst []T) { Div(dst, a, b) }, func(a, b, _ T) T { return a / b }},
			"AddMul": {func(dst []T) { AddMul(dst, a, b) }, func(a, b, dst T) T { return dst + a*b }},
			"Scale":  {func(dst []T) { Scale(dst, 3, a) }, func(a, _, _ T) T { return 3 * a }},
			"Axpy":   {func(dst []T) { Axpy(dst, 3, a) }, func(a, _, dst T) T { return dst + 3*a }},
			"Sqrt":   {func(dst []T) { Sqrt(dst, b) }, func(_, b, _ T) T { return T(math.Sqrt(float64(b))) }},
		} {
			dst := make([]T, n+2)
			for i := range dst {
				dst[i] = guard
			}
			f.kernel(dst[1 : n+1])
			for i := range a {
				if want := f.want(a[i], b[i], guard); dst[i+1] != want {
					t.Errorf("%T %s of %d: element %d is %v, want %v", want, name, n, i, dst[i+1], want)
				}
			}
			if dst[0] != guard || dst[n+1] != guard {
				t.Errorf("%s of %d wrote beyond its end", name, n)
			}
		}
	}
}
