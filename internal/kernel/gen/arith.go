package main

import (
	"github.com/mmcloughlin/avo/operand"
)

// Arithmetic on whole vectors. Results are new registers, except that fma and
// its kin overwrite their first argument. An operand may be a value, memory
// or a constant.

func (v *vec) add(a value, b operand.Op) value { return v.binary("VADD", a, b) }
func (v *vec) sub(a value, b operand.Op) value { return v.binary("VSUB", a, b) }
func (v *vec) mul(a value, b operand.Op) value { return v.binary("VMUL", a, b) }
func (v *vec) div(a value, b operand.Op) value { return v.binary("VDIV", a, b) }
func (v *vec) and(a value, b operand.Op) value { return v.binary("VAND", a, b) }
func (v *vec) or(a value, b operand.Op) value  { return v.binary("VOR", a, b) }
func (v *vec) xor(a value, b operand.Op) value { return v.binary("VXOR", a, b) }

// max returns the larger of a and b, and b if one of them is NaN or both are
// zero; min likewise.
func (v *vec) max(a value, b operand.Op) value { return v.binary("VMAX", a, b) }
func (v *vec) min(a value, b operand.Op) value { return v.binary("VMIN", a, b) }

func (v *vec) binary(name string, a value, b operand.Op) value {
	r := v.reg()
	v.op(name, b, a, r)
	return r
}

func (v *vec) sqrt(a value) value {
	r := v.reg()
	v.op("VSQRT", a, r)
	return r
}

func (v *vec) copy(a value) value {
	r := v.reg()
	v.op("VMOVU", a, r)
	return r
}

// fma sets a = a b + c, fms a = a b - c, and returns a.
func (v *vec) fma(a, b value, c operand.Op) value { v.op("VFMADD213", c, b, a); return a }
func (v *vec) fms(a, b value, c operand.Op) value { v.op("VFMSUB213", c, b, a); return a }

// addMul sets s = s + a b, subMul s = s - a b, and returns s.
func (v *vec) addMul(s, a value, b operand.Op) value { v.op("VFMADD231", b, a, s); return s }
func (v *vec) subMul(s, a value, b operand.Op) value { v.op("VFNMADD231", b, a, s); return s }

// polynomial returns c[0] + c[1] x + c[2] x² + ... as the sum of an even and
// an odd polynomial in y = x², each by Horner's rule.
func (v *vec) polynomial(x, y value, c ...float64) value {
	horner := func(top int) value {
		p := v.set(v.k(c[top]))
		for i := top - 2; i >= 0; i -= 2 {
			v.fma(p, y, v.k(c[i]))
		}
		return p
	}
	last := len(c) - 1
	p, q := horner(last), horner(last-1)
	if last%2 == 0 {
		p, q = q, p
	}
	return v.fma(p, x, q)
}

// Bits as integers.
func (v *vec) intAdd(a value, b operand.Op) value { return v.intBinary("VPADD", a, b) }
func (v *vec) intSub(a value, b operand.Op) value { return v.intBinary("VPSUB", a, b) }
func (v *vec) shiftLeft(a value, n int) value     { return v.intBinary("VPSLL", a, operand.U8(n)) }
func (v *vec) shiftRight(a value, n int) value    { return v.intBinary("VPSRL", a, operand.U8(n)) }

func (v *vec) intBinary(name string, a value, b operand.Op) value {
	r := v.reg()
	v.iop(name, b, a, r)
	return r
}

// Comparisons, as the instruction's immediate operand.
const (
	equal      = operand.U8(0x00)
	less       = operand.U8(0x11)
	notAbove   = operand.U8(0x12) // a ≤ b
	notAtLeast = operand.U8(0x19) // a < b, or one is NaN
)

// compare returns a mask for choose.
func (v *vec) compare(a value, how operand.U8, b operand.Op) lanemask {
	if v.avx512() {
		k := v.K()
		v.op("VCMP", how, b, a, k)
		return k
	}
	r := v.YMM()
	v.op("VCMP", how, b, a, r)
	return r
}

// choose returns a where the mask is set and b elsewhere.
func (v *vec) choose(m lanemask, a operand.Op, b value) value {
	r := v.reg()
	if v.avx512() {
		v.op("VBLENDM", a, b, m, r)
	} else {
		v.op("VBLENDV", m, a, b, r)
	}
	return r
}

// abs returns |a|, sign its sign bit.
func (v *vec) abs(a value) value  { return v.and(a, v.kbits(1<<(8*v.size-1)-1)) }
func (v *vec) sign(a value) value { return v.and(a, v.kbits(1<<(8*v.size-1))) }
