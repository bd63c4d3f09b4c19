package forward

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		dense := must[*Dense](t)
		mask := must[*Mask](t)
		src := rng.New(5, 0)
		return []operatorCase{
			{name: "Dense/1x1", op: dense(NewDense(normalRows(1, 1, src)))},
			{name: "Dense/5x3", op: dense(NewDense(normalRows(5, 3, src)))},
			{name: "Dense/3x5", op: dense(NewDense(normalRows(3, 5, src)))},
			{name: "Dense/300x200", op: dense(NewDense(normalRows(300, 200, src)))},
			{name: "Dense/rank 0", op: dense(NewDense(mat.NewDense(4, 3, nil)))},
			{name: "Mask/3 of 7", op: mask(NewMask(7, []int{6, 0, 3}))},
			{name: "Mask/bool", op: mask(NewMaskOf([]bool{false, true, true, false}))},
			{name: "Identity", op: mask(NewIdentity(6))},
		}
	})
}

func TestDense(t *testing.T) {
	a := mat.NewDense(2, 3, []float64{1, 2, 3, 4, 5, 6})
	op := must[*Dense](t)(NewDense(a))
	a.Zero() // the operator keeps a copy
	dst := mat.NewDense(2, 2, nil)
	op.Apply(dst, mat.NewDense(2, 3, []float64{1, 0, -1, 2, 1, 0}))
	if want := mat.NewDense(2, 2, []float64{-2, -2, 4, 13}); !mat.Equal(dst, want) {
		t.Errorf("Apply gives\n%v, want\n%v", mat.Formatted(dst), mat.Formatted(want))
	}
	dst = mat.NewDense(1, 3, nil)
	op.Adjoint(dst, mat.NewDense(1, 2, []float64{1, -1}))
	if want := mat.NewDense(1, 3, []float64{-3, -3, -3}); !mat.Equal(dst, want) {
		t.Errorf("Adjoint gives %v, want %v", mat.Formatted(dst), mat.Formatted(want))
	}
}

func TestMask(t *testing.T) {
	op := must[*Mask](t)(NewMask(4, []int{3, 1}))
	dst := mat.NewDense(1, 2, nil)
	op.Apply(dst, mat.NewDense(1, 4, []float64{10, 11, 12, 13}))
	if want := mat.NewDense(1, 2, []float64{13, 11}); !mat.Equal(dst, want) {
		t.Errorf("Apply gives %v, want %v", mat.Formatted(dst), mat.Formatted(want))
	}
}

func TestBadMatricesAndMasks(t *testing.T) {
	for _, tt := range []struct {
		want string
		err  func() error
	}{
		{"matrix is nil", func() error { _, err := NewDense(nil); return err }},
		{"matrix is empty (0×0)", func() error { _, err := NewDense(new(mat.Dense)); return err }},
		{"NaN at [1,0]", func() error { _, err := NewDense(mat.NewDense(2, 1, []float64{0, math.NaN()})); return err }},
		{"+Inf at [0,1]", func() error { _, err := NewDense(mat.NewDense(1, 2, []float64{0, math.Inf(1)})); return err }},
		{"index is empty", func() error { _, err := NewMask(3, nil); return err }},
		{"index[1] is 3, want it in [0, 3)", func() error { _, err := NewMask(3, []int{0, 3}); return err }},
		{"index[0] is -1", func() error { _, err := NewMask(3, []int{-1}); return err }},
		{"index[0] and index[2] are both 1", func() error { _, err := NewMask(3, []int{1, 0, 1}); return err }},
		{"no true element of 2", func() error { _, err := NewMaskOf(make([]bool, 2)); return err }},
		{"n is 0", func() error { _, err := NewIdentity(0); return err }},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("want an error with %q, got %v", tt.want, err)
		}
	}
}

// Shapes of the caller's own matrices panic with what was found and wanted.
func TestShapePanics(t *testing.T) {
	op := must[*Dense](t)(NewDense(mat.NewDense(2, 3, nil)))
	for _, f := range []func(){
		func() { op.Apply(mat.NewDense(1, 2, nil), mat.NewDense(2, 3, nil)) },
		func() { op.Apply(mat.NewDense(1, 3, nil), mat.NewDense(1, 2, nil)) },
		func() { op.Adjoint(mat.NewDense(4, 3, nil), mat.NewDense(4, 3, nil)) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.Contains(s, "destination is") {
					t.Errorf("recovered %q", s)
				}
			}()
			f()
		}()
	}
}
