//go:build amd64 && !noasm

package kernel

import "unsafe"

// reduceSet holds the functions of one instruction set and element type, which
// are described in gen.
type reduceSet struct {
	lanes   int // of a vector
	dot     func(dst, a, b *byte, n int)
	sum     func(dst, a *byte, n int)
	colSums [4]func(dst, a *byte, ld, m, last int) // of one to four vectors
	softmax func(dst, tops, sums, x *byte, ldd, ldx, m, n int)
	adam    func(p, m, v, g, c *byte, n int)
}

// reductions returns the functions in use for T, or nil.
func reductions[T Float]() *reduceSet {
	if unsafe.Sizeof(T(0)) == 8 {
		return reduce64
	}
	return reduce32
}

func dotSIMD[T Float](a, b []T) (s T, ok bool) {
	if set := reductions[T](); set != nil {
		set.dot(hide(&s), pointer(a), pointer(b), len(a))
		return s, true
	}
	return 0, false
}

func sumSIMD[T Float](x []T) (s T, ok bool) {
	if set := reductions[T](); set != nil {
		set.sum(hide(&s), pointer(x), len(x))
		return s, true
	}
	return 0, false
}

// addColSumsSIMD is AddColSums for m, n > 0 if there is assembly.
func addColSumsSIMD[T Float](dst []T, m, n int, x []T, ldx int) bool {
	set := reductions[T]()
	if set == nil {
		return false
	}
	size := int(unsafe.Sizeof(dst[0]))
	for j := 0; j < n; j += 4 * set.lanes {
		cols := min(4*set.lanes, n-j)
		vectors := (cols - 1) / set.lanes
		set.colSums[vectors](pointer(dst[j:]), pointer(x[j:]), ldx*size, m, cols-vectors*set.lanes)
	}
	return true
}

// expRowsSIMD is expRows for n > 0 if there is assembly.
func expRowsSIMD[T Float](dst []T, ldd int, top, sum, x []T, ldx, n int) bool {
	set := reductions[T]()
	if set == nil {
		return false
	}
	size := int(unsafe.Sizeof(x[0]))
	set.softmax(pointer(dst), pointer(top), pointer(sum), pointer(x), ldd*size, ldx*size, len(top), n)
	return true
}

// adamSIMD is Adam with the coefficients in the order of their struct, if
// there is assembly.
func adamSIMD[T Float](p, m, v, g []T, c *adamCoefficients[T]) bool {
	set := reductions[T]()
	if set == nil {
		return false
	}
	set.adam(pointer(p), pointer(m), pointer(v), pointer(g), hide(&c.beta1), len(p))
	return true
}
