package main

import (
	"fmt"
	"math"
	"reflect"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/reg"
)

// vec writes instructions on whole vectors of one element type with one
// instruction set, so that an algorithm is written once. Arithmetic rounds
// alike in all of them.
type vec struct {
	*build.Context
	bits int // of a vector: 256 for AVX2, 512 for AVX-512
	size int // bytes of an element: 4 for float32, 8 for float64

	spare   int              // registers that may hold constants
	hoisted map[string]value // constants that are in registers, by name
	used    func(constant)   // called with each constant in an instruction
}

type (
	value = reg.VecVirtual // a register with a vector
	mem   = operand.Mem
	reg64 = reg.GPVirtual
)

// sets lists the instruction sets and types that all functions are made for.
func sets(c *build.Context) []*vec {
	return []*vec{
		{Context: c, bits: 256, size: 4}, {Context: c, bits: 256, size: 8},
		{Context: c, bits: 512, size: 4}, {Context: c, bits: 512, size: 8},
	}
}

func (v *vec) avx512() bool { return v.bits == 512 }

// lanes is the number of elements of a vector.
func (v *vec) lanes() int { return v.bytes() / v.size }

// bytes is the size of a vector.
func (v *vec) bytes() int { return v.bits / 8 }

// suffix names the instruction set and type: "F32AVX2".
func (v *vec) suffix() string {
	isa := "AVX2"
	if v.avx512() {
		isa = "AVX512"
	}
	return fmt.Sprintf("F%d%s", 8*v.size, isa)
}

// function begins the function name+suffix with parameters as in Go.
func (v *vec) function(name, params, doc string) {
	v.Function(name + v.suffix())
	v.Attributes(attr.NOSPLIT)
	v.SignatureExpr("func(" + params + ")")
	v.Doc(doc)
	v.Pragma("noescape")
}

// param loads an integer or pointer parameter.
func (v *vec) param(name string) reg64 {
	r := v.GP64()
	v.Load(v.Param(name), r)
	return r
}

// address is where a parameter lies in memory.
func (v *vec) address(name string) mem {
	p, err := v.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// end returns from the function.
func (v *vec) end() {
	v.VZEROUPPER()
	v.RET()
	v.hoisted = nil
}

func (v *vec) reg() value {
	switch v.bits {
	case 512:
		return v.ZMM()
	case 256:
		return v.YMM()
	}
	return v.XMM()
}

// op writes the instruction name for the element type: op("VADD", a, b, dst)
// is VADDPS or VADDPD. A constant becomes a memory operand, broadcast from
// its first element in AVX-512.
func (v *vec) op(name string, ops ...operand.Op) {
	name += map[int]string{4: "PS", 8: "PD"}[v.size]
	v.emit(name, ops...)
}

// iop is op for integer instructions: op("VPADD", a, b, dst) is VPADDD or
// VPADDQ.
func (v *vec) iop(name string, ops ...operand.Op) {
	name += map[int]string{4: "D", 8: "Q"}[v.size]
	v.emit(name, ops...)
}

func (v *vec) emit(name string, ops ...operand.Op) {
	for i, o := range ops {
		k, ok := o.(constant)
		if !ok {
			continue
		}
		v.use(k)
		if r, ok := v.hoisted[k.Symbol.Name]; ok {
			ops[i] = r
			continue
		}
		ops[i] = k.Mem
		if v.avx512() {
			name += "_BCST"
		}
	}
	f := reflect.ValueOf(v.Context).MethodByName(name)
	if !f.IsValid() {
		panic("no instruction " + name)
	}
	args := make([]reflect.Value, len(ops))
	for i, o := range ops {
		args[i] = reflect.ValueOf(o)
	}
	f.Call(args)
}

// constant is a vector of equal elements in memory.
type constant struct {
	operand.Mem
	bits uint64 // of an element
}

// constants are the static data of a file, by name.
var constants = map[string]operand.Mem{}

// k returns the constant x, rounded to the element type.
func (v *vec) k(x float64) constant {
	if v.size == 4 {
		return v.kbits(uint64(math.Float32bits(float32(x))))
	}
	return v.kbits(math.Float64bits(x))
}

// kbits returns the constant with the given bits in each element.
func (v *vec) kbits(bits uint64) constant {
	name := fmt.Sprintf("k%0*x", 2*v.size, bits)
	m, ok := constants[name]
	if !ok {
		m = v.StaticGlobal(name)
		v.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := 0; i < 32; i += v.size {
			if v.size == 4 {
				v.AddDatum(i, operand.U32(bits))
			} else {
				v.AddDatum(i, operand.U64(bits))
			}
		}
		constants[name] = m
	}
	return constant{m, bits}
}

// broadcast fills a register with one element from memory.
func (v *vec) broadcast(m mem) value {
	r := v.reg()
	if v.size == 4 {
		v.VBROADCASTSS(m, r)
	} else {
		v.VBROADCASTSD(m, r)
	}
	return r
}

// set returns a new register with a constant, which may be overwritten.
func (v *vec) set(k constant) value {
	v.use(k)
	if r, ok := v.hoisted[k.Symbol.Name]; ok {
		return v.copy(r)
	}
	return v.broadcast(k.Mem)
}

// fixed returns a register with a constant, which may not be overwritten.
func (v *vec) fixed(k constant) value {
	v.use(k)
	if r, ok := v.hoisted[k.Symbol.Name]; ok {
		return r
	}
	return v.broadcast(k.Mem)
}

// aside runs f with another context, whose code is not kept.
func (v *vec) aside(trial vec, f func()) {
	saved, context := constants, *v
	constants = map[string]operand.Mem{}
	*v = trial
	v.Function("trial")
	v.SignatureExpr("func()")
	f()
	constants, *v = saved, context
}

// withSpare writes a function with as many spare registers as there are.
func (v *vec) withSpare(function func()) {
	if !v.avx512() {
		function()
		return
	}
	for v.spare = 24; v.spare > 0; v.spare-- {
		trial := *v
		trial.Context = build.NewContext()
		var file *ir.File
		var err error
		v.aside(trial, func() {
			function()
			file, err = v.Result()
		})
		if err == nil && pass.Compile.Execute(file) == nil {
			break
		}
	}
	function()
}

func (v *vec) use(k constant) {
	if v.used != nil {
		v.used(k)
	}
}

// hoist loads constants that f uses into the spare registers before a loop.
// Without it, AVX-512 code is bound by its loads.
func (v *vec) hoist(f func()) {
	found := map[string]bool{}
	var list []constant
	trial := vec{Context: build.NewContext(), bits: v.bits, size: v.size, used: func(k constant) {
		if name := k.Symbol.Name; !found[name] {
			found[name] = true
			list = append(list, k)
		}
	}}
	v.aside(trial, f)
	v.hoisted = map[string]value{}
	for _, k := range list[:min(v.spare, len(list))] {
		v.hoisted[k.Symbol.Name] = v.broadcast(v.kbits(k.bits).Mem)
	}
}

func (v *vec) zero() value {
	r := v.reg()
	v.clear(r)
	return r
}

func (v *vec) clear(r value) {
	if v.avx512() {
		v.VPXORD(r, r, r)
	} else {
		v.VXORPS(r, r, r)
	}
}

func (v *vec) load(m mem) value {
	r := v.reg()
	v.op("VMOVU", m, r)
	return r
}

func (v *vec) store(x value, m mem) { v.op("VMOVU", x, m) }

// lanemask is what selects the first lanes of a vector: an opmask register,
// or a vector with the sign bits of these lanes set.
type lanemask = reg.Register

// firstLanes returns the mask of the first n lanes, 0 ≤ n ≤ lanes. It
// clobbers n.
func (v *vec) firstLanes(n reg64) lanemask {
	if v.avx512() {
		ones, k := v.GP64(), v.K()
		v.MOVQ(operand.U32(1<<v.lanes()-1), ones)
		v.BZHIQ(n, ones, ones)
		v.KMOVW(ones.As32(), k)
		return k
	}
	// A window of lanes ones followed by lanes zeros, n lanes before the zeros.
	name := fmt.Sprintf("lanes%d", 8*v.size)
	m, ok := constants[name]
	if !ok {
		m = v.StaticGlobal(name)
		v.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := 0; i < 64; i += 8 {
			x := operand.U64(math.MaxUint64)
			if i >= 32 {
				x = 0
			}
			v.AddDatum(i, x)
		}
		constants[name] = m
	}
	window := v.GP64()
	v.LEAQ(m.Offset(32), window)
	switch v.size {
	case 4:
		v.SHLQ(operand.U8(2), n)
	case 8:
		v.SHLQ(operand.U8(3), n)
	}
	v.SUBQ(n, window)
	r := v.YMM()
	v.VMOVUPS(mem{Base: window}, r)
	return r
}

// loadFirst loads the lanes in the mask, zeros in the others; memory beyond
// them is not touched.
func (v *vec) loadFirst(m mem, k lanemask) value {
	r := v.reg()
	v.loadFirstTo(m, k, r)
	return r
}

func (v *vec) loadFirstTo(m mem, k lanemask, r value) {
	if v.avx512() {
		v.op2("VMOVU", "_Z", m, k, r)
	} else {
		v.op("VMASKMOV", m, k, r)
	}
}

// storeFirst stores the lanes in the mask.
func (v *vec) storeFirst(x value, k lanemask, m mem) {
	if v.avx512() {
		v.op("VMOVU", x, k, m)
	} else {
		v.op("VMASKMOV", x, k, m)
	}
}

func (v *vec) op2(name, ending string, ops ...operand.Op) {
	v.emit(name+map[int]string{4: "PS", 8: "PD"}[v.size]+ending, ops...)
}
