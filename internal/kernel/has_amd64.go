//go:build !noasm

package kernel

// HasAVX2 and HasAVX512 tell other packages with assembly whether the
// processor and the operating system support these instructions, and those
// that come with them (FMA3 and BMI2; F, DQ, CD, BW and VL).
func HasAVX2() bool   { return best >= avx2Path }
func HasAVX512() bool { return best >= avx512Path }
