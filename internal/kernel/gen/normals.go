package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// normals writes the function that fills n blocks of 16 numbers with standard
// normal draws (Box and Muller 1958): from u in (0, 1], a half turn φ and a
// random sign,
//
//	√(-2 log u) sin φ,  ± √(-2 log u) cos φ,  -π/2 ≤ φ < π/2.
//
// The bits are those of eight generators xoshiro256++, word by word in state.
// All instruction sets give the same draws.
func (v *vec) normals() {
	if v.size == 4 {
		return
	}
	v.withSpare(func() {
		v.function("normals", "dst, state *byte, n int", "fills n blocks of 16 numbers.")
		state := v.param("state")
		for first := 0; first < 64; first += v.bytes() { // of the eight, in bytes
			var s [4]value
			for i := range s {
				s[i] = v.load(mem{Base: state, Disp: 64*i + first})
			}
			dst, n := v.param("dst"), v.param("n")
			body := func() {
				u := v.sub(v.set(v.k(2)), v.fromOne(v.xoshiro(&s)))
				_, k, f := v.split(u)
				radius := v.sqrt(v.mul(v.logSum(k, f), v.k(-2)))
				bits := v.xoshiro(&s)
				turn := v.sub(v.fromOne(bits), v.k(1.5))
				square := v.mul(turn, turn)
				fourth := v.mul(square, square)
				sine := v.mul(v.polynomial(square, fourth, series(1)...), turn)
				cosine := v.xor(v.polynomial(square, fourth, series(0)...), v.shiftLeft(bits, 63))
				v.store(v.mul(sine, radius), mem{Base: dst, Disp: first})
				v.store(v.mul(cosine, radius), mem{Base: dst, Disp: 64 + first})
			}
			if v.avx512() {
				v.hoist(body)
			}
			label := fmt.Sprintf("block%d", first)
			v.Label(label)
			body()
			v.ADDQ(operand.U32(128), dst)
			v.DECQ(n)
			v.JNE(operand.LabelRef(label))
			for i := range s {
				v.store(s[i], mem{Base: state, Disp: 64*i + first})
			}
		}
		v.end()
	})
}

// xoshiro returns the next word of each generator.
func (v *vec) xoshiro(s *[4]value) value {
	out := v.intAdd(v.rotate(v.intAdd(s[0], s[3]), 23), s[0])
	t := v.shiftLeft(s[1], 17)
	for _, pair := range [][2]int{{2, 0}, {3, 1}, {1, 2}, {0, 3}} {
		v.op("VXOR", s[pair[1]], s[pair[0]], s[pair[0]])
	}
	v.op("VXOR", t, s[2], s[2])
	v.op("VMOVU", v.rotate(s[3], 45), s[3])
	return out
}

// rotate rotates 64-bit integers to the left.
func (v *vec) rotate(x value, n int) value {
	if v.avx512() {
		return v.intBinary("VPROL", x, operand.U8(n))
	}
	return v.or(v.shiftLeft(x, n), v.shiftRight(x, 64-n))
}

// fromOne returns numbers in [1, 2) from the upper 52 bits.
func (v *vec) fromOne(bits value) value {
	return v.or(v.shiftRight(bits, 12), v.k(1))
}

// series returns the coefficients in x² of cos πx, or of sin πx/x if odd is 1,
// up to x²⁰: for |x| ≤ 1/2 the rest is below 3e-16.
func series(odd int) []float64 {
	var c []float64
	term := math.Pow(math.Pi, float64(odd))
	for i := odd; i <= 20; i += 2 {
		c = append(c, term)
		term *= -math.Pi * math.Pi / float64((i+1)*(i+2))
	}
	return c
}
