// Command gen writes the assembly of package dft. Run it with go generate in
// that package.
//
// Each function is one of the passes radix2, radix3, radix4 and radix5, whose
// formulas stand in the Go functions of the same names, with the real parts of
// a block in one vector (AVX-512) or two (AVX2), and the imaginary parts in
// others.
package main

import (
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

const blockBytes = 128 // eight real parts, then eight imaginary ones

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: gen directory")
	}
	c := build.NewContext()
	c.ConstraintExpr("!noasm")
	constants := map[float64]operand.Mem{}
	for _, avx512 := range []bool{false, true} {
		g := &gen{Context: c, avx512: avx512, constants: constants}
		g.pass("2", 2, g.radix2)
		g.pass("3", 3, g.radix3)
		g.pass("4", 4, g.radix4)
		g.pass("5", 5, g.radix5)
	}
	file, err := c.Result()
	if err != nil {
		log.Fatal(err)
	}
	if err := pass.Compile.Execute(file); err != nil {
		log.Fatal(err)
	}
	cfg := printer.Config{Name: "internal/dft/gen", Pkg: "dft"}
	print(filepath.Join(os.Args[1], "bundle_amd64.s"), printer.NewGoAsm(cfg), file)
	print(filepath.Join(os.Args[1], "bundle_amd64.go"), printer.NewStubs(cfg), file)
}

func print(path string, p printer.Printer, file *ir.File) {
	b, err := p.Print(file)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		log.Fatal(err)
	}
}

type gen struct {
	*build.Context
	avx512    bool
	constants map[float64]operand.Mem

	x, y     reg.GPVirtual // the blocks at (j, q)
	xs, x3   reg.GPVirtual // bytes from one input of a butterfly to the next, and three times that
	ys, y3   reg.GPVirtual // the same for outputs
	w        reg.GPVirtual // the twiddle factors of j
	half     int           // bytes into the real or imaginary parts
	suffix   string
	vectorOf func() reg.VecVirtual
}

// A value is a vector of real and one of imaginary parts.
type value struct{ re, im reg.VecVirtual }

// pass writes the loops over j and q around a butterfly.
func (g *gen) pass(name string, p int, butterfly func()) {
	g.suffix, g.vectorOf = "AVX2", func() reg.VecVirtual { return g.YMM() }
	halves := 2
	if g.avx512 {
		g.suffix, g.vectorOf = "AVX512", func() reg.VecVirtual { return g.ZMM() }
		halves = 1
	}
	g.Function("radix" + name + g.suffix)
	g.Attributes(attr.NOSPLIT)
	g.SignatureExpr("func(y, x *float64, m, s int, w *complex128)")
	g.Doc("radix" + name + g.suffix + " is the method radix" + name + " of pass.")
	g.Pragma("noescape")

	load := func(name string) reg.GPVirtual {
		r := g.GP64()
		g.Load(g.Param(name), r)
		return r
	}
	g.y, g.x, g.w = load("y"), load("x"), load("w")
	m, s := load("m"), load("s")
	g.ys, g.y3, g.xs, g.x3 = g.GP64(), g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(s, g.ys)
	g.SHLQ(operand.U8(7), g.ys)
	g.MOVQ(m, g.xs)
	g.IMULQ(g.ys, g.xs)
	g.LEAQ(operand.Mem{Base: g.ys, Index: g.ys, Scale: 2}, g.y3)
	g.LEAQ(operand.Mem{Base: g.xs, Index: g.xs, Scale: 2}, g.x3)
	q := g.GP64()

	g.Label("j")
	g.MOVQ(s, q)
	g.Label("q")
	for h := range halves {
		g.half = 32 * h
		butterfly()
	}
	g.ADDQ(operand.U8(blockBytes/2), g.x)
	g.ADDQ(operand.U8(blockBytes/2), g.x)
	g.ADDQ(operand.U8(blockBytes/2), g.y)
	g.ADDQ(operand.U8(blockBytes/2), g.y)
	g.DECQ(q)
	g.JNZ(operand.LabelRef("q"))
	for range p - 1 {
		g.ADDQ(g.ys, g.y)
	}
	g.ADDQ(operand.U8(16*(p-1)), g.w)
	g.DECQ(m)
	g.JNZ(operand.LabelRef("j"))
	g.VZEROUPPER()
	g.RET()
}

// at returns where number k of the inputs or outputs of a butterfly lies.
func at(base, stride, three reg.GPVirtual, k int) operand.Mem {
	switch k {
	case 0:
		return operand.Mem{Base: base}
	case 3:
		return operand.Mem{Base: base, Index: three, Scale: 1}
	}
	return operand.Mem{Base: base, Index: stride, Scale: uint8(k)}
}

func (g *gen) in(k int) value {
	m := at(g.x, g.xs, g.x3, k)
	v := value{g.vectorOf(), g.vectorOf()}
	g.VMOVUPD(m.Offset(g.half), v.re)
	g.VMOVUPD(m.Offset(blockBytes/2+g.half), v.im)
	return v
}

func (g *gen) out(k int, v value) {
	m := at(g.y, g.ys, g.y3, k)
	g.VMOVUPD(v.re, m.Offset(g.half))
	g.VMOVUPD(v.im, m.Offset(blockBytes/2+g.half))
}

func (g *gen) add(a, b value) value {
	v := value{g.vectorOf(), g.vectorOf()}
	g.VADDPD(b.re, a.re, v.re)
	g.VADDPD(b.im, a.im, v.im)
	return v
}

func (g *gen) sub(a, b value) value {
	v := value{g.vectorOf(), g.vectorOf()}
	g.VSUBPD(b.re, a.re, v.re)
	g.VSUBPD(b.im, a.im, v.im)
	return v
}

// minusI returns a - ib, and plusI a + ib.
func (g *gen) minusI(a, b value) value {
	v := value{g.vectorOf(), g.vectorOf()}
	g.VADDPD(b.im, a.re, v.re)
	g.VSUBPD(b.re, a.im, v.im)
	return v
}

func (g *gen) plusI(a, b value) value {
	v := value{g.vectorOf(), g.vectorOf()}
	g.VSUBPD(b.im, a.re, v.re)
	g.VADDPD(b.re, a.im, v.im)
	return v
}

// everywhere returns the number at m in all lanes.
func (g *gen) everywhere(m operand.Mem) reg.VecVirtual {
	v := g.vectorOf()
	g.VBROADCASTSD(m, v)
	return v
}

// constant returns c in all lanes.
func (g *gen) constant(c float64) reg.VecVirtual {
	m, ok := g.constants[c]
	if !ok {
		m = g.ConstData("c"+string(rune('0'+len(g.constants))), operand.F64(c))
		g.constants[c] = m
	}
	return g.everywhere(m)
}

// scale returns c a.
func (g *gen) scale(c float64, a value) value {
	k := g.constant(c)
	v := value{g.vectorOf(), g.vectorOf()}
	g.VMULPD(k, a.re, v.re)
	g.VMULPD(k, a.im, v.im)
	return v
}

// addScaled adds c b to a, in place.
func (g *gen) addScaled(a value, c float64, b value) value {
	k := g.constant(c)
	g.VFMADD231PD(k, b.re, a.re)
	g.VFMADD231PD(k, b.im, a.im)
	return a
}

func (g *gen) copy(a value) value {
	v := value{g.vectorOf(), g.vectorOf()}
	g.VMOVAPD(a.re, v.re)
	g.VMOVAPD(a.im, v.im)
	return v
}

// twiddle returns a times twiddle factor r of j, r ≥ 1.
func (g *gen) twiddle(a value, r int) value {
	wr := g.everywhere(operand.Mem{Base: g.w, Disp: 16 * (r - 1)})
	wi := g.everywhere(operand.Mem{Base: g.w, Disp: 16*(r-1) + 8})
	v := value{g.vectorOf(), g.vectorOf()}
	g.VMULPD(wi, a.im, v.re)
	g.VMULPD(wr, a.im, v.im)
	g.VFMSUB231PD(wr, a.re, v.re)
	g.VFMADD231PD(wi, a.re, v.im)
	return v
}

func (g *gen) radix2() {
	a, b := g.in(0), g.in(1)
	g.out(0, g.add(a, b))
	g.out(1, g.twiddle(g.sub(a, b), 1))
}

func (g *gen) radix3() {
	const sin = 0.86602540378443864676372317075293618347140262690519
	a, b, c := g.in(0), g.in(1), g.in(2)
	s, d := g.add(b, c), g.scale(sin, g.sub(b, c))
	g.out(0, g.add(a, s))
	h := g.addScaled(a, -0.5, s)
	g.out(1, g.twiddle(g.minusI(h, d), 1))
	g.out(2, g.twiddle(g.plusI(h, d), 2))
}

func (g *gen) radix4() {
	a, c := g.in(0), g.in(2)
	p, m := g.add(a, c), g.sub(a, c)
	b, d := g.in(1), g.in(3)
	s, t := g.add(b, d), g.sub(b, d)
	g.out(0, g.add(p, s))
	g.out(2, g.twiddle(g.sub(p, s), 2))
	g.out(1, g.twiddle(g.minusI(m, t), 1))
	g.out(3, g.twiddle(g.plusI(m, t), 3))
}

func (g *gen) radix5() {
	const (
		c1 = 0.30901699437494742410229341718281905886015458990289  // cos 2π/5
		c2 = -0.80901699437494742410229341718281905886015458990289 // cos 4π/5
		s1 = 0.95105651629515357211643933337938214340569863412575  // sin 2π/5
		s2 = 0.58778525229247312916870595463907276859765243764315  // sin 4π/5
	)
	b, e := g.in(1), g.in(4)
	p, m := g.add(b, e), g.sub(b, e)
	c, d := g.in(2), g.in(3)
	s, t := g.add(c, d), g.sub(c, d)
	a := g.in(0)
	g.out(0, g.add(g.add(a, p), s))
	f := g.addScaled(g.addScaled(g.copy(a), c1, p), c2, s)
	u := g.addScaled(g.scale(s1, m), s2, t)
	g.out(1, g.twiddle(g.minusI(f, u), 1))
	g.out(4, g.twiddle(g.plusI(f, u), 4))
	h := g.addScaled(g.addScaled(a, c2, p), c1, s)
	v := g.addScaled(g.scale(s2, m), -s1, t)
	g.out(2, g.twiddle(g.minusI(h, v), 2))
	g.out(3, g.twiddle(g.plusI(h, v), 3))
}
