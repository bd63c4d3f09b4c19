package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
)

// A tile is rows×cols sums of the product, cols being up to three vectors, in
// registers: 12×2 or 8×3 of the 32 in AVX-512, 6×2 or 4×3 of the 16 in AVX2.
const (
	tileVectors = 3
	unrollK     = 2 // steps of the sum without a jump
)

// tileRows is the height of the tallest tile of a width in vectors.
func (v *vec) tileRows(vectors int) int {
	rows := 12
	if vectors == 3 {
		rows = 8
	}
	if !v.avx512() {
		rows /= 2
	}
	return rows
}

// gemmTiles writes the functions that compute count tiles of the product, one
// below the other:
//
//	C = D + A B    A rows·count × k, B k × cols
//
// There is one for each height of a tile and each width in vectors, so that
// the last rows and columns of a matrix cost what they are. The last vector
// of a row has `last` elements, but is read whole from B. D is a matrix like C, or one row for all (di = 0), or nothing (nil); each sum
// starts with it and adds the products in the order of k. Thus a row of C
// does not depend on how rows are grouped, nor C on how k is cut into blocks.
//
// Strides are in bytes: element (i, l) of A is at ai·i + al·l, of B at
// bl·l + j·size, of C and D at ci·i and di·i + j·size.
func (v *vec) gemmTiles() {
	for vectors := 1; vectors <= tileVectors; vectors++ {
		for rows := 1; rows <= v.tileRows(vectors); rows++ {
			v.gemmTile(rows, vectors, false)
			if v.avx512() {
				v.gemmTile(rows, vectors, true)
			}
		}
	}
}

// gemmTile writes the function for one size. If narrow is set, the last vector
// is half as wide, for the last columns of a matrix: some processors do two
// products of 256 bits in the time of one of 512.
func (v *vec) gemmTile(rows, vectors int, narrow bool) {
	v.function(tileName(rows, vectors, narrow),
		"a, b, c, d *byte, ai, al, bl, ci, di, k, count, last int",
		fmt.Sprintf("computes count tiles of %d rows and %d vectors.", rows, vectors))
	t := tile{vec: v, narrow: narrow}
	for i := range rows {
		t.acc = append(t.acc, nil)
		for j := range vectors {
			t.acc[i] = append(t.acc[i], t.register(j == vectors-1))
		}
	}
	v.Label("tile")
	t.start()
	t.sum()
	t.store()
	for _, p := range []struct{ ptr, stride string }{{"a", "ai"}, {"c", "ci"}, {"d", "di"}} {
		step := v.param(p.stride)
		v.IMUL3Q(operand.Imm(uint64(rows)), step, step)
		v.ADDQ(step, v.address(p.ptr))
	}
	v.DECQ(v.address("count"))
	v.JNE(operand.LabelRef("tile"))
	v.end()
}

func tileName(rows, vectors int, narrow bool) string {
	name := fmt.Sprintf("gemm%dx%d", rows, vectors)
	if narrow {
		name += "Narrow"
	}
	return name
}

// tile is the state of a gemmTile: its sums.
type tile struct {
	*vec
	acc    [][]value
	narrow bool
}

// register returns a new register, for the last vector of a row or another.
func (t *tile) register(last bool) value {
	if last && t.narrow {
		return t.YMM()
	}
	return t.reg()
}

// each calls f with the vectors of a matrix of the shape of the tile.
func (t *tile) each(matrix, stride string, f func(s value, m mem, last bool)) {
	p, ld := t.param(matrix), t.param(stride)
	for i, row := range t.acc {
		if i > 0 {
			t.ADDQ(ld, p)
		}
		for j, s := range row {
			f(s, mem{Base: p, Disp: j * t.bytes()}, j == len(row)-1)
		}
	}
}

// start sets the sums to D or to zero.
func (t *tile) start() {
	t.CMPQ(t.address("d"), operand.U8(0))
	t.JEQ(operand.LabelRef("zero"))
	mask := t.firstLanes(t.param("last"))
	t.each("d", "di", func(s value, m mem, last bool) {
		if last {
			t.loadFirstTo(m, mask, s)
		} else {
			t.op("VMOVU", m, s)
		}
	})
	t.JMP(operand.LabelRef("sum"))
	t.Label("zero")
	for _, row := range t.acc {
		for _, s := range row {
			t.clear(s)
		}
	}
	t.Label("sum")
}

// sum adds A B to the sums: for each l, a row of B is loaded and multiplied
// with each element of a column of A.
func (t *tile) sum() {
	rows, vectors := len(t.acc), len(t.acc[0])
	b, bl, al, k := t.param("b"), t.param("bl"), t.param("al"), t.param("k")
	// Row i of A is at a0 + i·ai, reached with the addressing modes of x86.
	a0, ai := t.param("a"), t.param("ai")
	bases := []reg64{a0}
	var ai3, ai5 reg64
	if rows > 3 {
		ai3 = t.GP64()
		t.LEAQ(mem{Base: ai, Index: ai, Scale: 2}, ai3)
	}
	if rows > 5 {
		ai5 = t.GP64()
		t.LEAQ(mem{Base: ai, Index: ai, Scale: 4}, ai5)
	}
	if rows > 6 {
		a6 := t.GP64()
		t.LEAQ(mem{Base: a0, Index: ai3, Scale: 2}, a6)
		bases = append(bases, a6)
	}
	row := func(i int) mem {
		return [6]mem{
			{},
			{Index: ai, Scale: 1},
			{Index: ai, Scale: 2},
			{Index: ai3, Scale: 1},
			{Index: ai, Scale: 4},
			{Index: ai5, Scale: 1},
		}[i%6]
	}

	step := func() {
		bv := make([]value, vectors)
		for j := range bv {
			bv[j] = t.register(j == vectors-1)
			t.op("VMOVU", mem{Base: b, Disp: j * t.bytes()}, bv[j])
		}
		for i, sums := range t.acc {
			m := row(i)
			m.Base = bases[i/6]
			if vectors == 1 && t.avx512() {
				t.op2("VFMADD231", "_BCST", m, bv[0], sums[0])
				continue
			}
			a := t.broadcast(m)
			for j, s := range sums {
				if t.narrow && j == vectors-1 {
					t.op("VFMADD231", a.AsY(), bv[j], s)
				} else {
					t.op("VFMADD231", a, bv[j], s)
				}
			}
		}
		for _, p := range bases {
			t.ADDQ(al, p)
		}
		t.ADDQ(bl, b)
	}
	t.SUBQ(operand.U8(unrollK), k)
	t.JLT(operand.LabelRef("rest"))
	t.Label("steps")
	for range unrollK {
		step()
	}
	t.SUBQ(operand.U8(unrollK), k)
	t.JGE(operand.LabelRef("steps"))
	t.Label("rest")
	t.ADDQ(operand.U8(unrollK), k)
	t.JEQ(operand.LabelRef("stores"))
	t.Label("step")
	step()
	t.DECQ(k)
	t.JNE(operand.LabelRef("step"))
	t.Label("stores")
}

// store writes the sums to C. Stores under a mask are slow on some
// processors, so whole vectors are stored without.
func (t *tile) store() {
	whole := t.lanes()
	if t.narrow {
		whole /= 2
	}
	t.CMPQ(t.address("last"), operand.U8(whole))
	t.JNE(operand.LabelRef("masked"))
	t.each("c", "ci", func(s value, m mem, _ bool) { t.vec.store(s, m) })
	t.JMP(operand.LabelRef("stored"))
	t.Label("masked")
	mask := t.firstLanes(t.param("last"))
	t.each("c", "ci", func(s value, m mem, last bool) {
		if last {
			t.storeFirst(s, mask, m)
		} else {
			t.vec.store(s, m)
		}
	})
	t.Label("stored")
}
