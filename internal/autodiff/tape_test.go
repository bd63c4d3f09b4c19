package autodiff

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-inverse/inverse/internal/kernel"
)

// layers is a small program with every kind of memory the tape hands out.
func layers(t *Tape[float32], rows int) Var {
	x := t.Input(rows, 3)
	for i := range t.Value(x) {
		t.Value(x)[i] = float32(i%7) / 7
	}
	w, b := Param{ID: 0, Rows: 4, Cols: 3}, Param{ID: 1, Offset: 12, Rows: 1, Cols: 4}
	h := t.Linear(x, t.Param(w), t.Param(b), kernel.SiLU)
	h = t.Add(h, t.RepeatRows(t.Rows(h, 0, 1), rows))
	h = t.ConcatCols(h, t.Softmax(h), t.Linear(x, t.Param(w), t.Param(b), kernel.Tanh))
	return t.LogSumExp(h)
}

func TestStepDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what they hold")
	}
	params, grads := make([]float32, 16), make([]float32, 16)
	var tape Tape[float32]
	step := func() {
		for _, rows := range []int{64, 7, 33} {
			tape.Reset(params, grads)
			tape.Backward(layers(&tape, rows), 1)
		}
	}
	step()
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("%v allocations per step", n)
	}
}

func TestGradientsOfParameters(t *testing.T) {
	params := make([]float32, 20)
	for i := range params {
		params[i] = float32(i%5) / 5
	}
	grads := make([]float32, 20)
	for i := range grads {
		grads[i] = 99
	}
	var tape Tape[float32]
	tape.Reset(params, grads)
	tape.Backward(layers(&tape, 8), 1)
	if !slices.Equal(grads[16:], make([]float32, 4)) {
		t.Errorf("parameters that were not used have gradient %v", grads[16:])
	}
	if slices.Contains(grads[:16], 99) || slices.Contains(grads[:16], 0) {
		t.Errorf("parameters that were used have gradient %v", grads[:16])
	}
	once := slices.Clone(grads)
	tape.Reset(params, grads)
	tape.AddGrads()
	tape.Backward(layers(&tape, 8), 1)
	for i := range grads {
		if d := grads[i] - 2*once[i]; d > 1e-5 || d < -1e-5 {
			t.Errorf("gradient %d: %g, then %g", i, once[i], grads[i])
		}
	}
	// A parameter that is recorded but has no part in the result.
	tape.Reset(params, grads)
	tape.Param(Param{ID: 0, Rows: 2, Cols: 3})
	tape.Backward(tape.Sum(tape.Param(Param{ID: 3, Offset: 8, Rows: 1, Cols: 2})), 1)
	want := make([]float32, 20)
	want[8], want[9] = 1, 1
	if !slices.Equal(grads, want) {
		t.Errorf("gradient %v", grads)
	}
}

func TestDetachStopsTheGradient(t *testing.T) {
	var tape Tape[float64]
	tape.Reset(nil, nil)
	x := tape.Variable(1, 1)
	tape.Value(x)[0] = 3
	tape.Backward(tape.Mul(x, tape.Detach(tape.Square(x))), 1)
	if g := tape.Grad(x)[0]; g != 9 {
		t.Errorf("gradient %g, want 9", g)
	}
}

func TestFloat64(t *testing.T) {
	var tape Tape[float32]
	tape.Reset(nil, nil)
	v := tape.InputFloat64(2, 2, []float64{1, 2, 99, 3, 4, 99}, 3)
	dst := []float64{9, 9, 9, 9, 9, 9, 9, 9}
	tape.Export(dst, 4, tape.Scale(2, v))
	if want := []float64{2, 4, 9, 9, 6, 8, 9, 9}; !slices.Equal(dst, want) {
		t.Errorf("got %v, want %v", dst, want)
	}
}

func TestFreeze(t *testing.T) {
	p := Param{Rows: 1, Cols: 2}
	grads := make([]float64, 2)
	var tape Tape[float64]
	for range 2 {
		tape.Reset([]float64{1, 2}, grads)
		w := tape.Param(p)
		tape.Freeze([]float64{3, 4})
		frozen := tape.Param(p)
		tape.Freeze(nil)
		if tape.Param(p) != w {
			t.Error("another Var after Freeze(nil)")
		}
		y := tape.Sum(tape.Mul(w, frozen))
		tape.Backward(y, 1)
		if tape.Value(y)[0] != 11 || !slices.Equal(grads, []float64{3, 4}) {
			t.Errorf("value %g, gradient %v", tape.Value(y)[0], grads)
		}
		tape.Reset([]float64{1, 2}, grads)
		tape.Freeze([]float64{5, 6})
		if v := tape.Value(tape.Param(p)); v[0] != 5 {
			t.Errorf("frozen value %v", v)
		}
	}
}

func TestShapesPanic(t *testing.T) {
	for name, f := range map[string]func(*Tape[float64]){
		"Add of 4×3 and 3×3":    func(t *Tape[float64]) { t.Add(t.Input(4, 3), t.Input(3, 3)) },
		"Mul of 4×3 and 4×2":    func(t *Tape[float64]) { t.Mul(t.Input(4, 3), t.Input(4, 2)) },
		"MatMul of 2×3 and 4×3": func(t *Tape[float64]) { t.MatMul(false, false, t.Input(2, 3), t.Input(4, 3)) },
		"Linear of 2×3 and 4×2": func(t *Tape[float64]) { t.Linear(t.Input(2, 3), t.Input(4, 2), 0, 0) },
		"Reshape of 2×3":        func(t *Tape[float64]) { t.Reshape(t.Input(2, 3), 4, 2) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(v.(string), name) {
					t.Errorf("want a panic with %q, got %v", name, v)
				}
			}()
			var tape Tape[float64]
			tape.Reset(nil, nil)
			f(&tape)
		}()
	}
}

// With constant parameters a record can be pulled back many times, without
// memory for each.
func TestPullbackAgain(t *testing.T) {
	params := []float64{.3, -.2, .5, .7, .1, -.4}
	w := Param{ID: 0, Rows: 2, Cols: 2}
	b := Param{ID: 1, Offset: 4, Rows: 1, Cols: 2}
	var tape Tape[float64]
	record := func() (x, y Var) {
		tape.Reset(params, nil)
		x = tape.Variable(3, 2)
		for i := range tape.Value(x) {
			tape.Value(x)[i] = math.Sin(float64(i))
		}
		h := tape.Linear(x, tape.Param(w), tape.Param(b), kernel.SiLU)
		return x, tape.Add(tape.Mul(tape.Add(h, x), h), x) // the gradient of h has two parts
	}
	cots := [][]float64{{1, 2, 3, 4, 5, 6}, {-1, 0, 2, 0, .5, 1}, {1, 2, 3, 4, 5, 6}}
	var want [][]float64
	for _, c := range cots {
		x, y := record()
		tape.Pullback(y, c)
		want = append(want, slices.Clone(tape.Grad(x)))
	}
	x, y := record()
	for i, c := range cots {
		tape.Pullback(y, c)
		if !slices.Equal(tape.Grad(x), want[i]) {
			t.Errorf("pullback %d: %v, want %v", i, tape.Grad(x), want[i])
		}
	}
	if n := testing.AllocsPerRun(100, func() { tape.Pullback(y, cots[0]) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
