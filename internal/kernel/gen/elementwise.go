package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
)

// elementwise lists the functions that set each element of dst to f of the
// elements of the named slices; each "s" is the next scalar.
var elementwise = []struct {
	name string
	args string
	f    func(v *vec, x []value) value
}{
	{"exp", "a", func(v *vec, x []value) value { return v.exp(x[0]) }},
	{"expm1", "a", func(v *vec, x []value) value { return v.expm1(x[0]) }},
	{"log", "a", func(v *vec, x []value) value { return v.log(x[0]) }},
	{"log1p", "a", func(v *vec, x []value) value { return v.log1p(x[0]) }},
	{"sqrt", "a", func(v *vec, x []value) value { return v.sqrt(x[0]) }},
	{"relu", "a", func(v *vec, x []value) value { return v.max(v.zero(), x[0]) }},
	{"tanh", "a", func(v *vec, x []value) value { return v.tanh(x[0]) }},
	{"sigmoid", "a", func(v *vec, x []value) value { return v.sigmoid(x[0]) }},
	{"softplus", "a", func(v *vec, x []value) value { return v.softplus(x[0]) }},
	{"silu", "a", func(v *vec, x []value) value { return v.silu(x[0]) }},
	{"gelu", "a", func(v *vec, x []value) value { return v.gelu(x[0]) }},
	{"logCosh", "a", func(v *vec, x []value) value { return v.logCosh(x[0]) }},

	// Backward passes: a is the gradient, b the output or the input.
	{"mulReLU", "a b", func(v *vec, x []value) value {
		return v.choose(v.compare(x[1], notAbove, v.k(0)), v.zero(), x[0])
	}},
	{"mulTanh", "a b", func(v *vec, x []value) value {
		one := v.fixed(v.k(1))
		return v.mul(x[0], v.mul(v.sub(one, x[1]), v.add(one, x[1])))
	}},
	{"mulSigmoid", "a b", func(v *vec, x []value) value {
		return v.mul(x[0], v.mul(x[1], v.sub(v.fixed(v.k(1)), x[1])))
	}},
	{"mulSoftplus", "a b", func(v *vec, x []value) value { return v.mul(v.sigmoid(x[1]), x[0]) }},
	{"mulSiLU", "a b", func(v *vec, x []value) value { return v.mul(v.siluPrime(x[1]), x[0]) }},
	{"mulGELU", "a b", func(v *vec, x []value) value { return v.mul(v.geluPrime(x[1]), x[0]) }},
	{"mulLogCosh", "a b", func(v *vec, x []value) value { return v.mul(v.tanh(x[1]), x[0]) }},

	{"add", "a b", func(v *vec, x []value) value { return v.add(x[0], x[1]) }},
	{"sub", "a b", func(v *vec, x []value) value { return v.sub(x[0], x[1]) }},
	{"mul", "a b", func(v *vec, x []value) value { return v.mul(x[0], x[1]) }},
	{"div", "a b", func(v *vec, x []value) value { return v.div(x[0], x[1]) }},
	{"addMul", "a b dst", func(v *vec, x []value) value { return v.addMul(x[2], x[0], x[1]) }},
	{"scale", "a s", func(v *vec, x []value) value { return v.mul(x[0], x[1]) }},
	{"softmaxBack", "a b s", func(v *vec, x []value) value { return v.mul(v.sub(x[0], x[2]), x[1]) }},
	{"axpy", "a s dst", func(v *vec, x []value) value { return v.addMul(x[2], x[0], x[1]) }},
	{"combine", "a s b s", func(v *vec, x []value) value { return v.addMul(v.mul(x[2], x[3]), x[0], x[1]) }},
}

// elementwiseLoops writes the functions of the list.
func (v *vec) elementwiseLoops() {
	for _, e := range elementwise {
		v.withSpare(func() { v.elementwise(e.name, strings.Fields(e.args), e.f) })
	}
}

func (v *vec) elementwise(name string, args []string, f func(v *vec, x []value) value) {
	v.function(name, "dst, a, b, s *byte, n int", "is one of the elementwise functions.")
	dst := v.param("dst")
	from := map[string]reg64{"dst": dst}
	var scalars []value
	for _, arg := range args {
		switch {
		case arg == "s":
			scalars = append(scalars, v.broadcast(mem{Base: v.param("s"), Disp: len(scalars) * v.size}))
		case arg != "dst":
			from[arg] = v.param(arg)
		}
	}
	v.loop("", v.param("n"), func(at reg64, p part) {
		var x []value
		next := 0
		for _, arg := range args {
			if arg == "s" {
				x = append(x, scalars[next])
				next++
			} else {
				x = append(x, p.load(mem{Base: from[arg], Index: at, Scale: 1}))
			}
		}
		p.store(f(v, x), mem{Base: dst, Index: at, Scale: 1})
	})
	v.end()
}

// part is a vector in memory, of which only the lanes in the mask are there if
// it is not nil.
type part struct {
	*vec
	mask lanemask
}

// load returns the vector, zero in the lanes that are not there.
func (p part) load(m mem) value {
	if p.mask == nil {
		return p.vec.load(m)
	}
	return p.loadFirst(m, p.mask)
}

func (p part) store(x value, m mem) {
	if p.mask == nil {
		p.vec.store(x, m)
	} else {
		p.storeFirst(x, p.mask, m)
	}
}

// fill returns x with y in the lanes that are not there.
func (p part) fill(x, y value) value {
	if p.mask == nil {
		return x
	}
	return p.choose(p.mask, x, y)
}

// loop writes body for each vector of n elements, at the offset `at` in
// bytes, and for the rest under a mask. It clobbers n.
func (v *vec) loop(name string, n reg64, body func(at reg64, p part)) {
	at := v.GP64()
	if v.avx512() && v.hoisted == nil {
		v.hoist(func() { body(at, part{v, nil}) })
	}
	v.XORQ(at, at)
	v.SUBQ(operand.U8(v.lanes()), n)
	v.JLT(operand.LabelRef(name + "rest"))
	v.Label(name + "vector")
	body(at, part{v, nil})
	v.ADDQ(operand.U8(v.bytes()), at)
	v.SUBQ(operand.U8(v.lanes()), n)
	v.JGE(operand.LabelRef(name + "vector"))
	v.Label(name + "rest")
	v.ADDQ(operand.U8(v.lanes()), n)
	v.JEQ(operand.LabelRef(name + "done"))
	body(at, part{v, v.firstLanes(n)})
	v.Label(name + "done")
}
