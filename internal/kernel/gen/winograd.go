package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/mmcloughlin/avo/operand"
)

// A Winograd transform is Y = L X Lᵀ for a tile X of pixels, in each channel,
// where L is one of the matrices Aᵀ, Bᵀ and G of
//
//	Y = Aᵀ ((G w Gᵀ) ∘ (Bᵀ X B)) A,
//
// the 4×4 outputs of a 3×3 kernel w on 6×6 inputs X (Lavin and Gray, Fast
// algorithms for convolutional neural networks, 2016), or a transpose, for
// the backward pass.
type winogradTransform struct {
	name string
	l    [][]float64
	add  bool // to what is there
	bias bool // adds a bias
}

var winogradTransforms = []winogradTransform{
	{name: "Input", l: winogradB()},
	{name: "Output", l: winogradA(), bias: true},
	{name: "Kernel", l: winogradG()},
	{name: "InputBack", l: transpose(winogradB()), add: true},
	{name: "OutputBack", l: transpose(winogradA())},
	{name: "KernelBack", l: transpose(winogradG()), add: true},
}

// The convolution is a product of polynomials, which is interpolated at these
// points and infinity. In float32 the error of a convolution is half of that
// with the usual points 0, ±1, ±2.
var points = []float64{0, 5. / 8, -5. / 8, 3. / 2, -3. / 2}

// winogradB returns Bᵀ: the coefficients of Π_{j≠i}(x - p_j) and, for
// infinity, of Π_j(x - p_j).
func winogradB() [][]float64 {
	var rows [][]float64
	for i := range len(points) + 1 {
		row := []float64{1}
		for j, p := range points {
			if j == i {
				continue
			}
			next := make([]float64, len(row)+1) // times x - p
			for k, c := range row {
				next[k+1] += c
				next[k] -= p * c
			}
			row = next
		}
		for len(row) < len(points)+1 {
			row = append(row, 0)
		}
		rows = append(rows, row)
	}
	return rows
}

// winogradA returns Aᵀ, the powers of the points.
func winogradA() [][]float64 {
	const size = 4
	rows := make([][]float64, size)
	for k := range rows {
		for _, p := range points {
			rows[k] = append(rows[k], math.Pow(p, float64(k)))
		}
		rows[k] = append(rows[k], 0)
	}
	rows[size-1][len(points)] = 1
	return rows
}

// winogradG returns G, the powers of each point over Π_{j≠i}(p_i - p_j).
func winogradG() [][]float64 {
	var rows [][]float64
	for i, p := range points {
		n := 1.0
		for j, q := range points {
			if j != i {
				n *= p - q
			}
		}
		rows = append(rows, []float64{1 / n, p / n, p * p / n})
	}
	return append(rows, []float64{0, 0, 1})
}

func transpose(a [][]float64) [][]float64 {
	b := make([][]float64, len(a[0]))
	for _, row := range a {
		for j, x := range row {
			b[j] = append(b[j], x)
		}
	}
	return b
}

// winograd writes the transforms. They go over tiles, which are dt and st
// bytes apart, and all channels of each; lines of a tile are dl and sl bytes
// apart, pixels dp and sp.
func (v *vec) winograd() {
	for _, w := range winogradTransforms {
		v.winogradTransform(w)
	}
}

func (v *vec) winogradTransform(w winogradTransform) {
	v.function("winograd"+w.name, "dst, src, bias, scratch *byte, dt, dl, dp, st, sl, sp, tiles, channels int",
		"is one of the Winograd transforms.")
	out, in := len(w.l), len(w.l[0])
	dst, src, dl, dp, sl, sp := v.param("dst"), v.param("src"), v.param("dl"), v.param("dp"), v.param("sl"), v.param("sp")
	v.Label("tile")
	v.hoisted = map[string]value{} // constants remain in memory
	v.loop("", v.param("channels"), func(at reg64, p part) {
		// L X by columns; it stays in registers if it can.
		stay := v.avx512() && out*in <= 24
		scratch := v.param("scratch")
		lx := make([]value, out*in)
		column, q := v.GP64(), v.GP64()
		v.LEAQ(mem{Base: src, Index: at, Scale: 1}, column)
		for j := range in {
			x := make([]value, in)
			v.MOVQ(column, q)
			for i := range x {
				x[i] = p.load(mem{Base: q})
				v.ADDQ(sl, q)
			}
			v.ADDQ(sp, column)
			for i, y := range v.times(w.l, x) {
				if stay {
					lx[i*in+j] = y
				} else {
					v.store(y, mem{Base: scratch, Disp: (i*in + j) * v.bytes()})
				}
			}
		}
		var bias value
		if w.bias {
			b := v.param("bias")
			bias = p.load(mem{Base: b, Index: at, Scale: 1})
		}
		line := v.GP64()
		v.LEAQ(mem{Base: dst, Index: at, Scale: 1}, line)
		for i := range out {
			x := lx[i*in : (i+1)*in]
			if !stay {
				for j := range x {
					x[j] = v.load(mem{Base: scratch, Disp: (i*in + j) * v.bytes()})
				}
			}
			v.MOVQ(line, q)
			for _, y := range v.times(w.l, x) {
				switch {
				case w.bias:
					y = v.add(y, bias)
				case w.add:
					y = v.add(y, p.load(mem{Base: q}))
				}
				p.store(y, mem{Base: q})
				v.ADDQ(dp, q)
			}
			v.ADDQ(dl, line)
		}
	})
	v.ADDQ(v.address("dt"), dst)
	v.ADDQ(v.address("st"), src)
	v.DECQ(v.address("tiles"))
	v.JNE(operand.LabelRef("tile"))
	v.end()
}

// times returns L x. The points ±p make pairs of rows or of columns of L that
// differ in the signs of every other element, so that one half of each is
// computed once.
func (v *vec) times(l [][]float64, x []value) []value {
	if !slices.ContainsFunc(l[1:], func(row []float64) bool { return mirrored(l[1], row) }) {
		return v.timesColumns(l, x)
	}
	y := make([]value, len(l))
	for i := 0; i < len(l); i++ {
		if i+1 == len(l) || !mirrored(l[i], l[i+1]) {
			y[i] = v.combine(l[i], x)
			continue
		}
		even, odd := make([]float64, len(x)), make([]float64, len(x))
		factor := 0.0
		for j, c := range l[i] {
			switch {
			case c == l[i+1][j]:
				even[j] = c
			default:
				if factor == 0 || c == 1 {
					factor = c
				}
				odd[j] = c
			}
		}
		for j := range odd {
			odd[j] /= factor
		}
		e, o := v.combine(even, x), v.combine(odd, x)
		if factor == 1 {
			y[i], y[i+1] = v.add(e, o), v.sub(e, o)
		} else {
			y[i], y[i+1] = v.addMul(v.copy(e), o, v.k(factor)), v.subMul(e, o, v.k(factor))
		}
		i++
	}
	return y
}

func (v *vec) timesColumns(l [][]float64, x []value) []value {
	t := transpose(l)
	sums, differences := append([]value{}, x...), append([]value{}, x...)
	paired := make([]bool, len(x)+1)
	for j := 0; j+1 < len(x); j++ {
		if mirrored(t[j], t[j+1]) {
			sums[j], differences[j] = v.add(x[j], x[j+1]), v.sub(x[j], x[j+1])
			paired[j] = true
			j++
		}
	}
	y := make([]value, len(l))
	for i, row := range l {
		var c []float64
		var terms []value
		for j := 0; j < len(x); j++ {
			c = append(c, row[j])
			if paired[j] && row[j] != row[j+1] {
				terms = append(terms, differences[j])
			} else {
				terms = append(terms, sums[j])
			}
			if paired[j] {
				j++
			}
		}
		y[i] = v.combine(c, terms)
	}
	return y
}

// mirrored reports whether two rows differ, and in signs alone.
func mirrored(a, b []float64) bool {
	same := true
	for i := range a {
		if math.Abs(a[i]) != math.Abs(b[i]) {
			return false
		}
		same = same && a[i] == b[i]
	}
	return !same
}

// combine returns Σ c[j] x[j] in a new register. It begins with an element
// whose factor is 1, if there is one.
func (v *vec) combine(c []float64, x []value) value {
	first := -1
	for j, f := range c {
		if f != 0 && (first < 0 || f == 1 && c[first] != 1) {
			first = j
		}
	}
	var s value
	if c[first] == 1 {
		s = v.copy(x[first])
	} else {
		s = v.mul(x[first], v.k(c[first]))
	}
	for j, f := range c {
		switch {
		case j == first || f == 0:
		case f == 1:
			v.op("VADD", x[j], s, s)
		case f == -1:
			v.op("VSUB", x[j], s, s)
		default:
			v.addMul(s, x[j], v.k(f))
		}
	}
	return s
}

// writeWinograd writes the matrices for the portable transforms.
func writeWinograd(path string) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "// Code generated by internal/kernel/gen. DO NOT EDIT.\n\npackage kernel")
	fmt.Fprintln(&b, "\n// winogradMatrices are the matrices L of the transforms.")
	fmt.Fprintln(&b, "var winogradMatrices = [...][][]float64{")
	for _, w := range winogradTransforms {
		fmt.Fprintf(&b, "Winograd%s: {\n", w.name)
		for _, row := range w.l {
			fmt.Fprintf(&b, "{")
			for j, x := range row {
				if j > 0 {
					fmt.Fprint(&b, ", ")
				}
				fmt.Fprintf(&b, "%v", x)
			}
			fmt.Fprintln(&b, "},")
		}
		fmt.Fprintln(&b, "},")
	}
	fmt.Fprintln(&b, "}")
	writeGo(path, b.Bytes())
}
