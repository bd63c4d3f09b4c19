package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
)

// elementwise lists the functions that set each element of dst to f of the
// elements of the named slices; "s" is a scalar.
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
	{"mulLogCosh", "a b", func(v *vec, x []value) value { return v.mul(v.tanh(x[1]), x[0]) }},

	{"add", "a b", func(v *vec, x []value) value { return v.add(x[0], x[1]) }},
	{"sub", "a b", func(v *vec, x []value) value { return v.sub(x[0], x[1]) }},
	{"mul", "a b", func(v *vec, x []value) value { return v.mul(x[0], x[1]) }},
	{"div", "a b", func(v *vec, x []value) value { return v.div(x[0], x[1]) }},
	{"addMul", "a b dst", func(v *vec, x []value) value { return v.addMul(x[2], x[0], x[1]) }},
	{"scale", "a s", func(v *vec, x []value) value { return v.mul(x[0], x[1]) }},
	{"subScalar", "a s", func(v *vec, x []value) value { return v.sub(x[0], x[1]) }},
	{"axpy", "a s dst", func(v *vec, x []value) value { return v.addMul(x[2], x[0], x[1]) }},
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
	var scalar value
	for _, arg := range args {
		switch {
		case arg == "s":
			scalar = v.broadcast(mem{Base: v.param("s")})
		case arg != "dst":
			from[arg] = v.param(arg)
		}
	}
	v.loop(v.param("n"), func(at reg64, load loader, store storer) {
		var x []value
		for _, arg := range args {
			if arg == "s" {
				x = append(x, scalar)
			} else {
				x = append(x, load(mem{Base: from[arg], Index: at, Scale: 1}))
			}
		}
		store(f(v, x), mem{Base: dst, Index: at, Scale: 1})
	})
	v.end()
}

type (
	loader func(m mem) value
	storer func(x value, m mem)
)

// loop writes body for each vector of n elements, at the offset `at` in
// bytes, and for the rest under a mask. It clobbers n.
func (v *vec) loop(n reg64, body func(at reg64, load loader, store storer)) {
	at := v.GP64()
	if v.avx512() {
		v.hoist(func() {
			body(at, func(mem) value { return v.reg() }, func(value, mem) {})
		})
	}
	v.XORQ(at, at)
	v.SUBQ(operand.U8(v.lanes()), n)
	v.JLT(operand.LabelRef("rest"))
	v.Label("vector")
	body(at, v.load, v.store)
	v.ADDQ(operand.U8(v.bytes()), at)
	v.SUBQ(operand.U8(v.lanes()), n)
	v.JGE(operand.LabelRef("vector"))
	v.Label("rest")
	v.ADDQ(operand.U8(v.lanes()), n)
	v.JEQ(operand.LabelRef("done"))
	mask := v.firstLanes(n)
	body(at,
		func(m mem) value { return v.loadFirst(m, mask) },
		func(x value, m mem) { v.storeFirst(x, mask, m) })
	v.Label("done")
}
