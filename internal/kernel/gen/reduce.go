package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// fold returns a register whose first element is what combine makes of the
// lanes of x: the upper half and the lower half, and so on.
func (v *vec) fold(x value, combine func(v *vec, a, b value) value) value {
	if v.avx512() {
		y := v.YMM()
		v.VEXTRACTF64X4(operand.U8(1), x, y)
		x = combine(v.narrow(256), x.AsY().(value), y)
	}
	quarter := v.XMM()
	v.VEXTRACTF128(operand.U8(1), x, quarter)
	x = combine(v.narrow(128), x.AsX().(value), quarter)
	swaps := []int{0x4e, 0xb1}
	if v.size == 8 {
		swaps = swaps[:1]
	}
	for _, swap := range swaps {
		y := v.XMM()
		v.VPERMILPS(operand.U8(swap), x, y)
		x = combine(v.narrow(128), x, y)
	}
	return x
}

// narrow is v for shorter vectors.
func (v *vec) narrow(bits int) *vec {
	return &vec{Context: v.Context, bits: bits, size: v.size}
}

func sum(v *vec, a, b value) value     { return v.add(a, b) }
func largest(v *vec, a, b value) value { return v.max(a, b) }

// store1 stores the first element of x.
func (v *vec) store1(x value, m mem) {
	if v.size == 4 {
		v.VMOVSS(x.AsX(), m)
	} else {
		v.VMOVSD(x.AsX(), m)
	}
}

// spread returns a register filled with the first element of x.
func (v *vec) spread(x value) value {
	r := v.reg()
	if v.size == 4 {
		v.VBROADCASTSS(x.AsX(), r)
	} else {
		v.VBROADCASTSD(x.AsX(), r)
	}
	return r
}

// reductions writes dst = Σ a[i] b[i] and dst = Σ a[i], with four vectors of
// sums, which hide the latency of an addition.
func (v *vec) reductions() {
	v.reduction("dot", "a, b", func(s value, at func(name string) mem, p part) {
		v.addMul(s, p.load(at("a")), p.load(at("b")))
	})
	v.reduction("sum", "a", func(s value, at func(name string) mem, p part) {
		v.op("VADD", p.load(at("a")), s, s)
	})
}

func (v *vec) reduction(name, args string, add func(s value, at func(name string) mem, p part)) {
	v.function(name, "dst, "+args+" *byte, n int", "is one of the reductions.")
	from := map[string]reg64{"a": v.param("a")}
	if args == "a, b" {
		from["b"] = v.param("b")
	}
	n, dst := v.param("n"), v.param("dst")
	s := [4]value{v.zero(), v.zero(), v.zero(), v.zero()}
	step := func(i int, p part) {
		add(s[i], func(name string) mem { return mem{Base: from[name], Disp: i * v.bytes()} }, p)
	}
	advance := func(vectors int) {
		for _, name := range []string{"a", "b"} {
			if p, ok := from[name]; ok {
				v.ADDQ(operand.I32(vectors*v.bytes()), p)
			}
		}
	}
	v.SUBQ(operand.U8(4*v.lanes()), n)
	v.JLT(operand.LabelRef("vectors"))
	v.Label("four")
	for i := range s {
		step(i, part{v, nil})
	}
	advance(4)
	v.SUBQ(operand.U8(4*v.lanes()), n)
	v.JGE(operand.LabelRef("four"))
	v.Label("vectors")
	v.ADDQ(operand.U8(3*v.lanes()), n)
	v.JLT(operand.LabelRef("rest"))
	v.Label("one")
	step(0, part{v, nil})
	advance(1)
	v.SUBQ(operand.U8(v.lanes()), n)
	v.JGE(operand.LabelRef("one"))
	v.Label("rest")
	v.ADDQ(operand.U8(v.lanes()), n)
	v.JEQ(operand.LabelRef("done"))
	step(0, part{v, v.firstLanes(n)})
	v.Label("done")
	v.store1(v.fold(v.add(v.add(s[0], s[1]), v.add(s[2], s[3])), sum), mem{Base: dst})
	v.end()
}

// columnSums writes the functions that add the m rows of a matrix to dst, up
// to four vectors wide, the last one of `last` elements.
func (v *vec) columnSums() {
	for vectors := 1; vectors <= 4; vectors++ {
		v.function(fmt.Sprintf("colSums%d", vectors), "dst, a *byte, ld, m, last int",
			fmt.Sprintf("adds rows of %d vectors, ld bytes apart.", vectors))
		parts := make([]part, vectors)
		for j := range parts {
			parts[j] = part{v, nil}
		}
		parts[vectors-1].mask = v.firstLanes(v.param("last"))
		dst, a, ld, m := v.param("dst"), v.param("a"), v.param("ld"), v.param("m")
		var s []value
		for j, p := range parts {
			s = append(s, p.load(mem{Base: dst, Disp: j * v.bytes()}))
		}
		v.Label("row")
		for j, p := range parts {
			v.op("VADD", p.load(mem{Base: a, Disp: j * v.bytes()}), s[j], s[j])
		}
		v.ADDQ(ld, a)
		v.DECQ(m)
		v.JNE(operand.LabelRef("row"))
		for j, p := range parts {
			p.store(s[j], mem{Base: dst, Disp: j * v.bytes()})
		}
		v.end()
	}
}

// softmax writes the function that computes, for each row of a matrix, the
// largest element, the sum of the exponentials of the row less it, and, if dst
// is not nil, these exponentials over their sum.
func (v *vec) softmax() {
	v.function("softmax", "dst, tops, sums, x *byte, ldd, ldx, m, n int", "is the softmax of m rows of n elements.")
	v.hoisted = map[string]value{} // the loops hold no constants
	x, dst := v.param("x"), v.param("dst")
	top, total := v.reg(), v.reg()
	v.Label("row")
	low := v.set(v.k(math.Inf(-1)))
	v.op("VMOVU", low, top)
	v.loop("top_", v.param("n"), func(at reg64, p part) {
		v.op("VMAX", p.fill(p.load(mem{Base: x, Index: at, Scale: 1}), low), top, top)
	})
	v.op("VMOVU", v.spread(v.fold(top, largest)), top)
	v.store1(top, v.next("tops"))

	v.clear(total)
	v.TESTQ(dst, dst)
	v.JEQ(operand.LabelRef("sum"))
	v.loop("exp_", v.param("n"), func(at reg64, p part) {
		e := v.exp(v.sub(p.load(mem{Base: x, Index: at, Scale: 1}), top))
		p.store(e, mem{Base: dst, Index: at, Scale: 1})
		v.op("VADD", p.fill(e, v.zero()), total, total)
	})
	v.op("VMOVU", v.spread(v.fold(total, sum)), total)
	v.store1(total, v.next("sums"))
	inverse := v.div(v.set(v.k(1)), total)
	v.loop("scale_", v.param("n"), func(at reg64, p part) {
		p.store(v.mul(p.load(mem{Base: dst, Index: at, Scale: 1}), inverse), mem{Base: dst, Index: at, Scale: 1})
	})
	v.ADDQ(v.param("ldd"), dst)
	v.JMP(operand.LabelRef("next"))

	v.Label("sum")
	v.loop("sum_", v.param("n"), func(at reg64, p part) {
		e := v.exp(v.sub(p.load(mem{Base: x, Index: at, Scale: 1}), top))
		v.op("VADD", p.fill(e, v.zero()), total, total)
	})
	v.store1(v.fold(total, sum), v.next("sums"))
	v.Label("next")
	v.ADDQ(v.param("ldx"), x)
	v.DECQ(v.address("m"))
	v.JNE(operand.LabelRef("row"))
	v.end()
}

// next returns where a pointer parameter points, which then points to the
// next element.
func (v *vec) next(name string) mem {
	p := v.param(name)
	v.ADDQ(operand.U8(v.size), v.address(name))
	return mem{Base: p}
}

// adam writes p, m and v as adamGo does, from the coefficients c.
func (v *vec) adam() {
	v.function("adam", "p, m, v, grad, c *byte, n int", "is a step of Adam.")
	names := []string{"p", "m", "v", "grad"}
	var from []reg64
	for _, name := range names {
		from = append(from, v.param(name))
	}
	var c []value
	base := v.param("c")
	for i := range 9 {
		c = append(c, v.broadcast(mem{Base: base, Disp: i * v.size}))
	}
	beta1, rest1, beta2, rest2, scale, keep, rate, root, eps := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
	v.loop("", v.param("n"), func(at reg64, part part) {
		place := func(i int) mem { return mem{Base: from[i], Index: at, Scale: 1} }
		g := v.mul(part.load(place(3)), scale)
		m := v.addMul(v.mul(part.load(place(1)), beta1), g, rest1)
		part.store(m, place(1))
		w := v.addMul(v.mul(part.load(place(2)), beta2), v.mul(g, g), rest2)
		part.store(w, place(2))
		step := v.div(v.mul(m, rate), v.fma(v.sqrt(w), root, eps))
		part.store(v.fms(part.load(place(0)), keep, step), place(0))
	})
	v.end()
}
