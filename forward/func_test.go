package forward

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
)

// hill has the values (x0 x2/(x1 + x2), x0 exp(-x1)).
func hill(dst, x []float64) {
	dst[0] = x[0] * x[2] / (x[1] + x[2])
	dst[1] = x[0] * math.Exp(-x[1])
}

func hillVJP(dst, x, y []float64) {
	s := x[1] + x[2]
	e := math.Exp(-x[1])
	dst[0] = y[0]*x[2]/s + y[1]*e
	dst[1] = -y[0]*x[0]*x[2]/(s*s) - y[1]*x[0]*e
	dst[2] = y[0] * x[0] * x[1] / (s * s)
}

func newHill(t testing.TB, opts *FuncOptions) *Func {
	t.Helper()
	f, err := NewFunc(2, 3, hill, opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		x := around(5, []float64{2, 0.5, 1.5})
		return []operatorCase{
			{"Func", newHill(t, &FuncOptions{VJP: hillVJP}), x},
			{"Func by differences", newHill(t, nil), x},
			{"Func with 1 worker", newHill(t, &FuncOptions{VJP: hillVJP, Workers: 1}), x},
			{"Func with 2 workers", newHill(t, &FuncOptions{VJP: hillVJP, Workers: 2}), x},
		}
	})
}

func TestFuncFailure(t *testing.T) {
	for _, opts := range []*FuncOptions{{VJP: hillVJP}, nil} {
		o := newHill(t, opts)
		x := mat.NewDense(2, 3, []float64{2, -1, 1, 2, 1, 1}) // division by zero, and not
		f, g := mat.NewDense(2, 2, nil), mat.NewDense(2, 3, nil)
		o.Apply(f, x)
		o.VJP(g, x, mat.NewDense(2, 2, []float64{0, 1, 0, 1}))
		for j, row := range []*mat.Dense{f, g} {
			for k, v := range row.RawRowView(0) {
				if !math.IsNaN(v) || math.IsNaN(row.At(1, k)) {
					t.Errorf("result %d of a failing and a good row:\n%g", j, mat.Formatted(row))
				}
			}
		}
	}
}

// A panic in the function reaches the caller's goroutine.
func TestFuncPanic(t *testing.T) {
	o, err := NewFunc(1, 1, func(dst, x []float64) { panic("boom") }, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range []int{1, 8} {
		func() {
			defer func() {
				v := recover()
				if p, ok := v.(*par.PanicError); ok {
					v = p.Value
				}
				if v != "boom" {
					t.Errorf("%d rows: recovered %v", rows, v)
				}
			}()
			o.Apply(mat.NewDense(rows, 1, nil), mat.NewDense(rows, 1, nil))
		}()
	}
}

func TestNewFuncErrors(t *testing.T) {
	for want, f := range map[string]func() (*Func, error){
		"dimensions are 0×3": func() (*Func, error) { return NewFunc(0, 3, hill, nil) },
		"dimensions are 2×-": func() (*Func, error) { return NewFunc(2, -3, hill, nil) },
		"f is nil":           func() (*Func, error) { return NewFunc(2, 3, nil, nil) },
		"Workers is -2":      func() (*Func, error) { return NewFunc(2, 3, hill, &FuncOptions{Workers: -2}) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
