//go:build amd64 && !noasm

package kernel

import "unsafe"

// path is a set of instructions that the kernels are written in.
type path uint8

const (
	portable   path = iota // Go
	avx2Path               // AVX2, FMA3, BMI2
	avx512Path             // the above and AVX-512 F, DQ, CD, BW, VL
)

// The functions in use; nil for portable ones.
var (
	best                         = detect()
	gemm32, gemm64               *gemmSet
	reduce32, reduce64           *reduceSet
	columns32, columns64         *columnSet
	winograd32, winograd64       *winogradSet
	leapfrog64                   *leapfrogSet
	elementwise32, elementwise64 *[numOps]func(dst, a, b, s *byte, n int)
)

func init() { use(best) }

// hasSIMD reports whether there is assembly.
func hasSIMD() bool { return gemm32 != nil }

// run applies an elementwise function if it has assembly. The slices that it
// takes have equal lengths; there is at least one scalar.
func run[T Float](o op, dst, a, b []T, s ...T) bool {
	table := elementwise32
	if unsafe.Sizeof(s[0]) == 8 {
		table = elementwise64
	}
	if table == nil {
		return false
	}
	table[o](pointer(dst), pointer(a), pointer(b), pointer(s), len(dst))
	return true
}

// pointer returns the address of the first element.
func pointer[T Float](x []T) *byte { return hide(unsafe.SliceData(x)) }

// hide hides a pointer from the escape analysis, which cannot look into
// functions that are called by table. While p is a number, no function may be
// called that could move the stack, as the race detector's check of pointers
// does.
//
//go:nocheckptr
func hide[T Float](x *T) *byte {
	p := uintptr(unsafe.Pointer(x))
	return *(**byte)(unsafe.Pointer(&p))
}

// offset returns the address n bytes after p.
func offset(p *byte, n int) *byte { return (*byte)(unsafe.Add(unsafe.Pointer(p), n)) }

// use switches to an instruction set. Only tests call it again.
func use(p path) {
	switch p {
	case portable:
		gemm32, gemm64 = nil, nil
		reduce32, reduce64 = nil, nil
		columns32, columns64 = nil, nil
		winograd32, winograd64 = nil, nil
		leapfrog64 = nil
		elementwise32, elementwise64 = nil, nil
	case avx2Path:
		gemm32, gemm64 = &gemmF32AVX2, &gemmF64AVX2
		reduce32, reduce64 = &reduceF32AVX2, &reduceF64AVX2
		columns32, columns64 = &columnsF32AVX2, &columnsF64AVX2
		winograd32, winograd64 = &winogradF32AVX2, &winogradF64AVX2
		leapfrog64 = &leapfrogF64AVX2
		elementwise32, elementwise64 = &elementwiseF32AVX2, &elementwiseF64AVX2
	case avx512Path:
		gemm32, gemm64 = &gemmF32AVX512, &gemmF64AVX512
		reduce32, reduce64 = &reduceF32AVX512, &reduceF64AVX512
		columns32, columns64 = &columnsF32AVX512, &columnsF64AVX512
		winograd32, winograd64 = &winogradF32AVX512, &winogradF64AVX512
		leapfrog64 = &leapfrogF64AVX512
		elementwise32, elementwise64 = &elementwiseF32AVX512, &elementwiseF64AVX512
	}
}

// ForEachPath calls f once with each set of instructions that the processor
// has in use, from the portable one to the best, which is in use afterwards.
// It is for tests: nothing else may be computing meanwhile.
func ForEachPath(f func(name string)) {
	defer use(best)
	for p, name := range []string{"go", "avx2", "avx512"} {
		if path(p) <= best {
			use(path(p))
			f(name)
		}
	}
}
