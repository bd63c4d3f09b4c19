package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
)

// packing writes the functions that copy a panel of B, as wide as a tile, to
// rows that lie one behind the other, so that the sum over k reads memory in
// order.
func (v *vec) packing() {
	for vectors := 1; vectors <= tileVectors; vectors++ {
		v.packRows(vectors)
	}
	if !v.avx512() {
		v.packTransposed()
	}
}

// packRows copies k rows of vectors·lanes elements, of the last vector `last`
// elements and zeros.
func (v *vec) packRows(vectors int) {
	v.function(fmt.Sprintf("pack%d", vectors), "dst, src *byte, stride, ld, k, last int",
		fmt.Sprintf("copies k rows of %d vectors, ld bytes apart in src and stride in dst.", vectors))
	mask := v.firstLanes(v.param("last"))
	dst, src, ld, stride, k := v.param("dst"), v.param("src"), v.param("ld"), v.param("stride"), v.param("k")
	v.Label("k")
	for j := range vectors {
		from, to := mem{Base: src, Disp: j * v.bytes()}, mem{Base: dst, Disp: j * v.bytes()}
		if j < vectors-1 {
			v.store(v.load(from), to)
		} else {
			v.store(v.loadFirst(from, mask), to)
		}
	}
	v.ADDQ(ld, src)
	v.ADDQ(stride, dst)
	v.DECQ(k)
	v.JNE(operand.LabelRef("k"))
	v.end()
}

// packTransposed copies a column of the panel for each row of B, a vector of
// them at a time: element (l, j) of dst is element (j, l) of src. In the place
// of rows beyond the last it copies the last one.
func (v *vec) packTransposed() {
	v.function("packTransposed", "dst, src *byte, stride, ld, k, rows int",
		fmt.Sprintf("transposes rows ≤ %d rows of k elements, ld bytes apart in src, to columns with rows stride bytes apart in dst.", v.lanes()))
	src, ld, rows := v.param("src"), v.param("ld"), v.param("rows")
	from := []reg64{src}
	for j := 1; j < v.lanes(); j++ {
		p, next := v.GP64(), v.GP64()
		v.MOVQ(from[j-1], p)
		v.LEAQ(mem{Base: p, Index: ld, Scale: 1}, next)
		v.CMPQ(rows, operand.U8(j))
		v.CMOVQGT(next, p)
		from = append(from, p)
	}
	dst, stride, k, at := v.param("dst"), v.param("stride"), v.param("k"), v.GP64()
	v.XORQ(at, at)

	v.SUBQ(operand.U8(v.lanes()), k)
	v.JLT(operand.LabelRef("rest"))
	v.Label("block")
	x := make([]value, v.lanes())
	half := v.lanes() / 2
	if v.size == 4 {
		// Lane i of x[j] is row j (low half: j, high half: j+4) of column i or i+4.
		for j := range half {
			for h := range 2 {
				r := v.YMM()
				v.VMOVUPS(mem{Base: from[j], Index: at, Scale: 1, Disp: 16 * h}, r.AsX())
				v.VINSERTF128(operand.U8(1), mem{Base: from[j+half], Index: at, Scale: 1, Disp: 16 * h}, r, r)
				x[j+half*h] = r
			}
		}
		for h := 0; h < len(x); h += half {
			t := [4]value{v.YMM(), v.YMM(), v.YMM(), v.YMM()}
			v.VUNPCKLPS(x[h+1], x[h], t[0])
			v.VUNPCKHPS(x[h+1], x[h], t[1])
			v.VUNPCKLPS(x[h+3], x[h+2], t[2])
			v.VUNPCKHPS(x[h+3], x[h+2], t[3])
			v.VSHUFPS(operand.U8(0x44), t[2], t[0], x[h])
			v.VSHUFPS(operand.U8(0xee), t[2], t[0], x[h+1])
			v.VSHUFPS(operand.U8(0x44), t[3], t[1], x[h+2])
			v.VSHUFPS(operand.U8(0xee), t[3], t[1], x[h+3])
		}
	} else {
		for j := range half {
			for h := range 2 {
				r := v.YMM()
				v.VMOVUPD(mem{Base: from[j], Index: at, Scale: 1, Disp: 16 * h}, r.AsX())
				v.VINSERTF128(operand.U8(1), mem{Base: from[j+half], Index: at, Scale: 1, Disp: 16 * h}, r, r)
				x[j+half*h] = r
			}
		}
		for h := 0; h < len(x); h += half {
			t := v.YMM()
			v.VUNPCKLPD(x[h+1], x[h], t)
			v.VUNPCKHPD(x[h+1], x[h], x[h+1])
			x[h] = t
		}
	}
	for _, r := range x {
		v.store(r, mem{Base: dst})
		v.ADDQ(stride, dst)
	}
	v.ADDQ(operand.U8(v.bytes()), at)
	v.SUBQ(operand.U8(v.lanes()), k)
	v.JGE(operand.LabelRef("block"))

	v.Label("rest")
	v.ADDQ(operand.U8(v.lanes()), k)
	v.JEQ(operand.LabelRef("done"))
	v.Label("column")
	for j, p := range from {
		m, to := mem{Base: p, Index: at, Scale: 1}, mem{Base: dst, Disp: j * v.size}
		e := v.GP64()
		if v.size == 4 {
			v.MOVL(m, e.As32())
			v.MOVL(e.As32(), to)
		} else {
			v.MOVQ(m, e)
			v.MOVQ(e, to)
		}
	}
	v.ADDQ(operand.U8(v.size), at)
	v.ADDQ(stride, dst)
	v.DECQ(k)
	v.JNE(operand.LabelRef("column"))
	v.Label("done")
	v.end()
}
