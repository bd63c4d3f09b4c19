package autodiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-inverse/inverse/internal/kernel"
)

// program is a function of some matrices, written on a tape.
type program struct {
	name string
	in   [][2]int // shapes of the inputs
	f    func(t *Tape[float64], in []Var) Var
	// from and to bound the inputs, -1.5 and 1.5 if both are 0.
	from, to float64
}

// check compares the gradient of Σ_i c_i f_i, with random c, by the tape with
// central differences. The step is chosen for an error near 1e-10.
func (p program) check(t *testing.T) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	if p.from == 0 && p.to == 0 {
		p.from, p.to = -1.5, 1.5
	}
	x := make([][]float64, len(p.in))
	for i, s := range p.in {
		x[i] = make([]float64, s[0]*s[1])
		for j := range x[i] {
			x[i][j] = p.from + (p.to-p.from)*rnd.Float64()
		}
	}
	var tape Tape[float64]
	in := make([]Var, len(x))
	run := func(variable bool) Var {
		tape.Reset(nil, nil)
		for i, s := range p.in {
			if variable {
				in[i] = tape.Variable(s[0], s[1])
			} else {
				in[i] = tape.Input(s[0], s[1])
			}
			copy(tape.Value(in[i]), x[i])
		}
		return p.f(&tape, in)
	}
	y := run(true)
	cot := make([]float64, len(tape.Value(y)))
	for i := range cot {
		cot[i] = rnd.NormFloat64()
	}
	tape.Pullback(y, cot)
	grads := make([][]float64, len(in))
	for i, v := range in {
		grads[i] = append([]float64(nil), tape.Grad(v)...)
		if len(grads[i]) == 0 {
			t.Fatalf("no gradient at input %d", i)
		}
	}
	if !raceEnabled {
		if n := testing.AllocsPerRun(2, func() {
			y := run(true)
			tape.Pullback(y, cot)
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
	value := func() float64 {
		y := run(false)
		if tape.needs(y) {
			t.Fatal("recorded without need")
		}
		var s float64
		for i, v := range tape.Value(y) {
			s += cot[i] * v
		}
		return s
	}
	for i := range x {
		scale := 1e-3
		for _, g := range grads[i] {
			scale = max(scale, math.Abs(g))
		}
		for j := range x[i] {
			// Richardson's extrapolation of central differences: error O(h⁴).
			d := func(h float64) float64 {
				x0 := x[i][j]
				x[i][j] = x0 + h
				up := value()
				x[i][j] = x0 - h
				down := value()
				x[i][j] = x0
				return (up - down) / (2 * h)
			}
			const h = 1e-3
			want := (4*d(h/2) - d(h)) / 3
			if got := grads[i][j]; !(math.Abs(got-want) <= 1e-7*scale) {
				t.Errorf("input %d, element %d: gradient %.12g, differences give %.12g", i, j, got, want)
			}
		}
	}
}

func TestGradients(t *testing.T) {
	type T = Tape[float64]
	perm := []int{2, 0, 1, 2}
	mask := []float64{1, 0, 1, 1, 1, 0}
	sp := &Spline{Bins: 4, Bound: 3, MinWidth: 1e-3, MinHeight: 1e-3, MinSlope: 1e-3}
	img := &Conv{H: 5, W: 4, In: 2, Out: 3, KH: 3, KW: 3, Stride: 1}
	wide := &Conv{H: 3, W: 7, In: 2, Out: 3, KH: 3, KW: 5, Stride: 1}
	tiles := &Conv{H: 5, W: 9, In: 8, Out: 8, KH: 3, KW: 3, Stride: 1}
	strided := &Conv{H: 5, W: 4, In: 2, Out: 3, KH: 3, KW: 3, Stride: 2}
	point := &Conv{H: 2, W: 2, In: 2, Out: 3, KH: 1, KW: 1, Stride: 1}
	seq := &Conv{H: 1, W: 7, In: 2, Out: 2, KH: 1, KW: 5, Stride: 1}
	pd := func(t *T, a Var, n int) Var { // AAᵀ + I/2, symmetric and positive definite
		r, _ := t.Dims(a)
		eye := t.Fill(r, n*n, 0)
		for i := range r * n * n {
			if i%(n*n)%(n+1) == 0 {
				t.Value(eye)[i] = 0.5
			}
		}
		return t.Add(t.BatchMatMul(false, true, a, a, n, n, n), eye)
	}
	programs := []program{
		{name: "Exp", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Exp(in[0]) }},
		{name: "Log", in: [][2]int{{3, 4}}, from: 0.5, to: 2, f: func(t *T, in []Var) Var { return t.Log(in[0]) }},
		{name: "Square", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Square(in[0]) }},
		{name: "Sqrt", in: [][2]int{{3, 4}}, from: 0.5, to: 2, f: func(t *T, in []Var) Var { return t.Sqrt(in[0]) }},
		{name: "Recip", in: [][2]int{{3, 4}}, from: 0.5, to: 2, f: func(t *T, in []Var) Var { return t.Recip(in[0]) }},
		{name: "Abs", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Abs(in[0]) }},
		{name: "Clamp", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Clamp(in[0], 0.7) }},
		{name: "ELU", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.ELU(in[0]) }},
		{name: "Sin", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Sin(in[0]) }},
		{name: "Cos", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Cos(in[0]) }},
		{name: "Scale", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Scale(1.7, in[0]) }},
		{name: "AddConst", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.AddConst(in[0], 3) }},
		{name: "used three times", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var {
			a := t.AddConst(in[0], 3)
			return t.Add(t.Add(a, a), t.Mul(a, t.Div(t.Neg(a), a)))
		}},
		{name: "Sum", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Sum(t.Square(in[0])) }},
		{name: "Mean", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Mean(t.Square(in[0])) }},
		{name: "RowSums", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.RowSums(t.Square(in[0])) }},
		{name: "ColSums", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.ColSums(t.Square(in[0])) }},
		{name: "GroupSums", in: [][2]int{{6, 4}}, f: func(t *T, in []Var) Var { return t.GroupSums(t.Square(in[0]), 3) }},
		{name: "LogNormalMass", in: [][2]int{{4, 5}, {4, 5}}, f: func(t *T, in []Var) Var { return t.LogNormalMass(in[0], t.Exp(in[1])) }},
		{name: "LogSumExp", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.LogSumExp(in[0]) }},
		{name: "Softmax", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Softmax(in[0]) }},
		{name: "LogSoftmax", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.LogSoftmax(in[0]) }},
		{name: "CumSum", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.CumSum(t.Square(in[0])) }},
		{name: "Reshape", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var {
			return t.Add(t.RowSums(t.Reshape(in[0], 6, 2)), t.Reshape(t.Cols(in[0], 1, 3), 6, 1))
		}},
		{name: "Cols", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Mul(t.Cols(in[0], 1, 3), t.Cols(in[0], 2, 4)) }},
		{name: "Rows", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Mul(t.Rows(in[0], 0, 2), t.Rows(in[0], 1, 3)) }},
		{name: "ConcatCols", in: [][2]int{{3, 4}, {3, 2}}, f: func(t *T, in []Var) Var { return t.Square(t.ConcatCols(in[0], in[1], in[0])) }},
		{name: "ConcatRows", in: [][2]int{{3, 4}, {2, 4}}, f: func(t *T, in []Var) Var { return t.Square(t.ConcatRows(in[0], in[1], in[0])) }},
		{name: "GatherCols", in: [][2]int{{3, 3}}, f: func(t *T, in []Var) Var { return t.Square(t.GatherCols(in[0], perm)) }},
		{name: "GatherRows", in: [][2]int{{3, 4}}, f: func(t *T, in []Var) Var { return t.Square(t.GatherRows(in[0], perm)) }},
		{name: "RepeatRows", in: [][2]int{{3, 4}, {6, 4}}, f: func(t *T, in []Var) Var { return t.Mul(t.RepeatRows(in[0], 2), in[1]) }},
		{name: "TileRows", in: [][2]int{{3, 4}, {6, 4}}, f: func(t *T, in []Var) Var { return t.Mul(t.TileRows(in[0], 2), in[1]) }},
		{name: "Detach", in: [][2]int{{3, 4}, {3, 4}}, f: func(t *T, in []Var) Var {
			return t.Add(t.Mul(in[0], in[1]), t.Sub(t.Detach(t.Fill(3, 4, 2)), in[1]))
		}},
		{name: "LogDet", in: [][2]int{{2, 9}}, f: func(t *T, in []Var) Var { return t.LogDet(pd(t, in[0], 3), 3) }},
		{name: "Solve", in: [][2]int{{2, 9}, {2, 3}}, f: func(t *T, in []Var) Var { return t.Solve(pd(t, in[0], 3), in[1]) }},
		{name: "Conv", in: [][2]int{{3, 40}, {3, 18}, {1, 3}}, f: func(t *T, in []Var) Var { return t.Conv(img, in[0], in[1], in[2], kernel.SiLU) }},
		{name: "Conv by windows", in: [][2]int{{3, 42}, {3, 30}, {1, 3}}, f: func(t *T, in []Var) Var { return t.Conv(wide, in[0], in[1], in[2], kernel.GELU) }},
		{name: "Conv by tiles", in: [][2]int{{2, 360}, {8, 72}, {1, 8}}, f: func(t *T, in []Var) Var { return t.Conv(tiles, in[0], in[1], in[2], kernel.SiLU) }},
		{name: "Conv stride 2", in: [][2]int{{2, 40}, {3, 18}}, f: func(t *T, in []Var) Var { return t.Conv(strided, in[0], in[1], 0, kernel.Tanh) }},
		{name: "Conv 1×1", in: [][2]int{{2, 8}, {3, 2}, {1, 3}}, f: func(t *T, in []Var) Var { return t.Conv(point, in[0], in[1], in[2], kernel.Identity) }},
		{name: "Conv sequence", in: [][2]int{{2, 14}, {2, 10}, {1, 2}}, f: func(t *T, in []Var) Var { return t.Conv(seq, in[0], in[1], in[2], kernel.GELU) }},
		{name: "GroupNorm", in: [][2]int{{2, 24}, {1, 6}, {1, 6}}, f: func(t *T, in []Var) Var { return t.GroupNorm(in[0], in[1], in[2], Norm{Groups: 3}) }},
		{name: "layer norm", in: [][2]int{{3, 6}, {1, 6}, {1, 6}}, f: func(t *T, in []Var) Var { return t.GroupNorm(in[0], in[1], in[2], Norm{Groups: 1}) }},
		{name: "GroupNorm FiLM SiLU", in: [][2]int{{2, 24}, {1, 6}, {1, 6}, {2, 12}}, f: func(t *T, in []Var) Var {
			return t.GroupNorm(in[0], in[1], in[2], Norm{3, in[3], kernel.SiLU})
		}},
		{name: "GroupNorm Tanh", in: [][2]int{{2, 24}, {1, 6}, {1, 6}}, f: func(t *T, in []Var) Var {
			return t.GroupNorm(in[0], in[1], in[2], Norm{Groups: 2, Act: kernel.Tanh})
		}},
		{name: "Upsample", in: [][2]int{{2, 12}}, f: func(t *T, in []Var) Var { return t.Square(t.Upsample(in[0], 2, 3)) }},
		{name: "AvgPool", in: [][2]int{{2, 48}}, f: func(t *T, in []Var) Var { return t.Square(t.AvgPool(in[0], 4, 6)) }},
	}
	for act := kernel.Identity; act <= kernel.LogCosh; act++ {
		programs = append(programs, program{name: "Activate " + act.String(), in: [][2]int{{3, 4}},
			f: func(t *T, in []Var) Var { return t.Scale(1, t.Activate(act, in[0])) }})
		programs = append(programs, program{name: "Linear " + act.String(), in: [][2]int{{5, 3}, {2, 3}, {1, 2}},
			f: func(t *T, in []Var) Var { return t.Linear(in[0], in[1], in[2], act) }})
		programs = append(programs, program{name: "trace " + act.String(), in: [][2]int{{4, 5}, {3, 5}, {1, 3}, {2, 3}},
			f: func(t *T, in []Var) Var {
				h := t.LinearDual(t.Seed(in[0], 1, 3), in[1], in[2], act)
				y := t.LinearDual(h, in[3], 0, act)
				return t.Add(t.Trace(y), t.RowSums(y.Val))
			}})
	}
	for _, b := range [][2]int{{6, 4}, {1, 4}, {6, 1}, {1, 1}, {2, 4}, {3, 1}} {
		for name, f := range map[string]func(*T, Var, Var) Var{"Add": (*T).Add, "Sub": (*T).Sub, "Mul": (*T).Mul, "Div": (*T).Div} {
			for _, swap := range []bool{false, true} {
				programs = append(programs, program{name: fmt.Sprintf("%s %v %t", name, b, swap), in: [][2]int{{6, 4}, b}, from: 0.5, to: 2,
					f: func(t *T, in []Var) Var {
						if swap {
							return f(t, in[1], in[0])
						}
						return f(t, in[0], in[1])
					}})
			}
		}
	}
	for i := range 4 {
		ta, tb := i&1 == 1, i&2 == 2
		a, b := [2]int{2, 3}, [2]int{3, 4}
		if ta {
			a = [2]int{3, 2}
		}
		if tb {
			b = [2]int{4, 3}
		}
		programs = append(programs,
			program{name: fmt.Sprintf("MatMul %t %t", ta, tb), in: [][2]int{a, b}, f: func(t *T, in []Var) Var { return t.MatMul(ta, tb, in[0], in[1]) }},
			program{name: fmt.Sprintf("BatchMatMul %t %t", ta, tb), in: [][2]int{{3, 6}, {3, 12}}, f: func(t *T, in []Var) Var { return t.BatchMatMul(ta, tb, in[0], in[1], 2, 4, 3) }})
	}
	programs = append(programs,
		// Every bin and both outsides are met.
		program{name: "Spline", in: [][2]int{{20, 2}, {20, 22}}, from: -3.6, to: 3.6, f: func(t *T, in []Var) Var {
			y, l := t.Spline(sp, in[0], in[1])
			return t.ConcatCols(y, l)
		}},
		program{name: "Spline slope alone", in: [][2]int{{3, 2}, {3, 22}}, f: func(t *T, in []Var) Var {
			_, l := t.Spline(sp, in[0], in[1])
			return l
		}})
	for _, p := range programs {
		t.Run(p.name, p.check)
	}

	// A mask: the structural zeros get no gradient, the others theirs.
	t.Run("MaskedLinear", func(t *testing.T) {
		p := program{in: [][2]int{{5, 3}, {2, 3}, {1, 2}}, f: func(t *T, in []Var) Var {
			m := t.Fill(2, 3, 0)
			copy(t.Value(m), mask)
			w := t.Mul(in[1], m)
			return t.MaskedLinear(in[0], w, in[2], kernel.Tanh, mask)
		}}
		p.check(t)
		var tape T
		w := []float64{1, 0, 2, 3, 4, 0}
		g := make([]float64, 6)
		tape.Reset(w, g)
		y := tape.MaskedLinear(tape.Fill(5, 3, 1), tape.Param(Param{Rows: 2, Cols: 3}), 0, kernel.Identity, mask)
		tape.Backward(y, 1)
		for i := range g {
			if g[i] != 5*mask[i] {
				t.Errorf("gradient %v", g)
				break
			}
		}
	})
}
