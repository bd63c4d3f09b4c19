package kernel

import (
	"bytes"
	"math"
	"unsafe"
)

// Exp sets dst[i] = exp(x[i]). dst may be x itself, here and below.
func Exp[T Float](dst, x []T) {
	checkLen("Exp", len(dst), len(x))
	if !run(opExp, dst, x, nil, 0) {
		apply(dst, x, exp)
	}
}

// Expm1 sets dst[i] = exp(x[i]) - 1, accurate near zero.
func Expm1[T Float](dst, x []T) {
	checkLen("Expm1", len(dst), len(x))
	if !run(opExpm1, dst, x, nil, 0) {
		apply(dst, x, math.Expm1)
	}
}

// Log sets dst[i] = log(x[i]).
func Log[T Float](dst, x []T) {
	checkLen("Log", len(dst), len(x))
	if !run(opLog, dst, x, nil, 0) {
		apply(dst, x, log)
	}
}

// Log1p sets dst[i] = log(1 + x[i]), accurate near zero.
func Log1p[T Float](dst, x []T) {
	checkLen("Log1p", len(dst), len(x))
	if !run(opLog1p, dst, x, nil, 0) {
		apply(dst, x, math.Log1p)
	}
}

// Sqrt sets dst[i] to the square root of x[i].
func Sqrt[T Float](dst, x []T) {
	checkLen("Sqrt", len(dst), len(x))
	if run(opSqrt, dst, x, nil, 0) {
		return
	}
	for i, v := range x {
		dst[i] = T(math.Sqrt(float64(v)))
	}
}

// exp is math.Exp, which overflows above 709.1 on amd64 (go1.26).
func exp(x float64) float64 {
	if x > 709 {
		y := math.Exp(x - 1)
		return y*math.E + y*1.4456468917292502e-16 // e in two parts
	}
	return math.Exp(x)
}

// log is math.Log, which is wrong for subnormal numbers on amd64 (go1.26).
func log(x float64) float64 {
	if x < 0x1p-1022 && x > 0 {
		return math.Log(x*0x1p54) - 54*math.Ln2
	}
	return math.Log(x)
}

// apply sets dst[i] = f(x[i]), computed in float64.
func apply[T Float](dst, x []T, f func(float64) float64) {
	for i, v := range x {
		dst[i] = T(f(float64(v)))
	}
}

// Add sets dst[i] = a[i] + b[i]. dst may be a or b itself, here and below.
func Add[T Float](dst, a, b []T) {
	checkLen("Add", len(dst), len(a), len(b))
	if run(opAdd, dst, a, b, 0) {
		return
	}
	for i, v := range a {
		dst[i] = v + b[i]
	}
}

// Sub sets dst[i] = a[i] - b[i].
func Sub[T Float](dst, a, b []T) {
	checkLen("Sub", len(dst), len(a), len(b))
	if run(opSub, dst, a, b, 0) {
		return
	}
	for i, v := range a {
		dst[i] = v - b[i]
	}
}

// Mul sets dst[i] = a[i] b[i].
func Mul[T Float](dst, a, b []T) {
	checkLen("Mul", len(dst), len(a), len(b))
	if run(opMul, dst, a, b, 0) {
		return
	}
	for i, v := range a {
		dst[i] = v * b[i]
	}
}

// Div sets dst[i] = a[i] / b[i].
func Div[T Float](dst, a, b []T) {
	checkLen("Div", len(dst), len(a), len(b))
	if run(opDiv, dst, a, b, 0) {
		return
	}
	for i, v := range a {
		dst[i] = v / b[i]
	}
}

// AddMul adds a[i] b[i] to dst[i].
func AddMul[T Float](dst, a, b []T) {
	checkLen("AddMul", len(dst), len(a), len(b))
	if run(opAddMul, dst, a, b, 0) {
		return
	}
	for i, v := range a {
		dst[i] += v * b[i]
	}
}

// Scale sets dst[i] = alpha x[i].
func Scale[T Float](dst []T, alpha T, x []T) {
	checkLen("Scale", len(dst), len(x))
	if run(opScale, dst, x, nil, alpha) {
		return
	}
	for i, v := range x {
		dst[i] = alpha * v
	}
}

// Axpy adds alpha x[i] to dst[i].
func Axpy[T Float](dst []T, alpha T, x []T) {
	checkLen("Axpy", len(dst), len(x))
	if run(opAxpy, dst, x, nil, alpha) {
		return
	}
	for i, v := range x {
		dst[i] += alpha * v
	}
}

// Same reports whether a and b have the same bits.
func Same[T Float](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 {
		return true
	}
	size := len(a) * int(unsafe.Sizeof(a[0]))
	return bytes.Equal(unsafe.Slice((*byte)(unsafe.Pointer(&a[0])), size), unsafe.Slice((*byte)(unsafe.Pointer(&b[0])), size))
}
