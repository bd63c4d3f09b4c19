package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// softmaxColumns writes the functions that replace each column of a matrix of
// m rows, ld bytes apart, by its softmax, and that differentiate it. A vector
// holds elements of a row, so that nothing is summed over its lanes.
func (v *vec) softmaxColumns() {
	v.withSpare(func() {
		v.function("softmaxColumns", "x, bias *byte, ld, m, n int", "is the softmax of n columns of m elements and biases.")
		x, bias, ld := v.param("x"), v.GP64(), v.param("ld")
		shifted := func(p part, row mem) value {
			b := v.broadcast(mem{Base: bias})
			v.ADDQ(operand.U8(v.size), bias)
			return v.add(b, p.load(row))
		}
		v.loop("", v.param("n"), func(at reg64, p part) {
			top, total := v.set(v.k(math.Inf(-1))), v.zero()
			v.Load(v.Param("bias"), bias)
			v.down("top", p, at, ld, []reg64{x}, func(row []mem) { v.op("VMAX", shifted(p, row[0]), top, top) })
			v.Load(v.Param("bias"), bias)
			v.down("exp", p, at, ld, []reg64{x}, func(row []mem) {
				e := v.exp(v.sub(shifted(p, row[0]), top))
				p.store(e, row[0])
				v.op("VADD", e, total, total)
			})
			inverse := v.div(v.set(v.k(1)), total)
			v.down("scale", p, at, ld, []reg64{x}, func(row []mem) { p.store(v.mul(p.load(row[0]), inverse), row[0]) })
		})
		v.end()
	})
	v.function("softmaxBackColumns", "d, y *byte, ld, m, n int", "replaces n columns of d by y (d - Σ y d).")
	d, y, ld := v.param("d"), v.param("y"), v.param("ld")
	v.loop("", v.param("n"), func(at reg64, p part) {
		dot := v.zero()
		v.down("dot", p, at, ld, []reg64{d, y}, func(row []mem) { v.addMul(dot, p.load(row[0]), p.load(row[1])) })
		v.down("back", p, at, ld, []reg64{d, y}, func(row []mem) {
			p.store(v.mul(v.sub(p.load(row[0]), dot), p.load(row[1])), row[0])
		})
	})
	v.end()
}

// down writes body for each of the m rows of matrices, at a column's offset.
func (v *vec) down(name string, p part, at, ld reg64, matrices []reg64, body func(row []mem)) {
	if p.mask != nil {
		name += "_rest"
	}
	var row []mem
	var pointers []reg64
	for _, m := range matrices {
		r := v.GP64()
		v.LEAQ(mem{Base: m, Index: at, Scale: 1}, r)
		pointers = append(pointers, r)
		row = append(row, mem{Base: r})
	}
	count := v.param("m")
	v.Label(name)
	body(row)
	for _, r := range pointers {
		v.ADDQ(ld, r)
	}
	v.DECQ(count)
	v.JNE(operand.LabelRef(name))
}
