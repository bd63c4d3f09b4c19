//go:build amd64 && !noasm

package kernel

// path is a set of instructions that the kernels are written in.
type path uint8

const (
	portable   path = iota // Go
	avx2Path               // AVX2, FMA3, BMI2
	avx512Path             // the above and AVX-512 F, DQ, CD, BW, VL
)

// The functions in use; nil for portable ones.
var (
	best           = detect()
	gemm32, gemm64 *gemmSet
)

func init() { use(best) }

// hasSIMD reports whether products of T have assembly.
func hasSIMD[T Float]() bool { return gemm32 != nil }

// use switches to an instruction set. Only tests call it again.
func use(p path) {
	switch p {
	case portable:
		gemm32, gemm64 = nil, nil
	case avx2Path:
		gemm32, gemm64 = &gemmF32AVX2, &gemmF64AVX2
	case avx512Path:
		gemm32, gemm64 = &gemmF32AVX512, &gemmF64AVX512
	}
}
