//go:build !noasm

package kernel

// cpuid and xgetbv are the processor's instructions.
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func xgetbv() (a, d uint32)

// detect returns the best instruction set of the processor that the
// operating system keeps the registers of.
func detect() path {
	const (
		fma, osxsave, avx     = 1 << 12, 1 << 27, 1 << 28                     // leaf 1, ECX
		avx2, bmi2            = 1 << 5, 1 << 8                                // leaf 7, EBX
		avx512                = 1<<16 | 1<<17 | 1<<28 | 1<<30 | 1<<31         // leaf 7, EBX: F, DQ, CD, BW, VL
		stateAVX, stateAVX512 = 1<<1 | 1<<2, 1<<1 | 1<<2 | 1<<5 | 1<<6 | 1<<7 // XCR0
	)
	has := func(x, flags uint32) bool { return x&flags == flags }
	if top, _, _, _ := cpuid(0, 0); top < 7 {
		return portable
	}
	_, _, c, _ := cpuid(1, 0)
	if !has(c, fma|osxsave|avx) {
		return portable
	}
	_, b, _, _ := cpuid(7, 0)
	state, _ := xgetbv()
	switch {
	case has(b, avx2|bmi2|avx512) && has(state, stateAVX512):
		return avx512Path
	case has(b, avx2|bmi2) && has(state, stateAVX):
		return avx2Path
	}
	return portable
}
