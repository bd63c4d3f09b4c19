package forward

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// parts returns operators on R⁵ with various capabilities; orthogonal is a
// permutation.
func parts(t *testing.T) (dense, orthogonal inverse.Spectral, linear inverse.Linear, smooth, plain inverse.Operator) {
	a := must[*Dense](t)(NewDense(normalRows(3, 5, rng.New(6, 0))))
	q := must[*Mask](t)(NewMask(5, []int{4, 2, 0, 1, 3}))
	b := mat.NewDense(5, 5, nil)
	b.Copy(normalRows(5, 5, rng.New(6, 1)))
	bt := b.T()
	l := &matrix{a: b}
	l.apply = func(dst, x *mat.Dense) { dst.Mul(x, bt) }
	l.adjoint = func(dst, y *mat.Dense) { dst.Mul(y, b) }
	return a, q, l, quiet{cube{0.7, 1}}, bare{cube{1, 1}}
}

// quiet is a cube that does not allocate.
type quiet struct{ cube }

func (q quiet) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		d := dst.RawRowView(i)
		for j, v := range x.RawRowView(i) {
			d[j] = q.c * v * v * v
		}
	}
}

func (q quiet) VJP(dst, x, y *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		d, yi := dst.RawRowView(i), y.RawRowView(i)
		for j, v := range x.RawRowView(i) {
			d[j] = 3 * q.c * v * v * yi[j]
		}
	}
}

// expressions returns one of each kind that the algebra makes, with the
// function it stands for.
func expressions(t *testing.T) map[string]struct {
	op   inverse.Operator
	want func(x []float64) []float64
	kind string // what the operator promises
} {
	dense, orthogonal, linear, smooth, plain := parts(t)
	op := must[inverse.Operator](t)
	f := func(o inverse.Operator) func(x []float64) []float64 {
		return func(x []float64) []float64 { return applyRow(o, x) }
	}
	after := func(a, b inverse.Operator) func(x []float64) []float64 {
		return func(x []float64) []float64 { return applyRow(a, applyRow(b, x)) }
	}
	times := func(c float64, a inverse.Operator) func(x []float64) []float64 {
		return func(x []float64) []float64 {
			return floats.ScaleTo(make([]float64, 5), c, append(applyRow(a, x), 0, 0)[:5])
		}
	}
	plus := func(a, b inverse.Operator) func(x []float64) []float64 {
		return func(x []float64) []float64 { return floats.AddTo(make([]float64, 5), applyRow(a, x), applyRow(b, x)) }
	}
	and := func(ops ...inverse.Operator) func(x []float64) []float64 {
		return func(x []float64) []float64 {
			var y []float64
			for _, o := range ops {
				y = append(y, applyRow(o, x)...)
			}
			return y
		}
	}
	type m = map[string]struct {
		op   inverse.Operator
		want func(x []float64) []float64
		kind string
	}
	return m{
		"Compose linear":         {op(Compose(dense, linear)), after(dense, linear), "Linear"},
		"Compose right rotation": {op(Compose(dense, orthogonal)), after(dense, orthogonal), "Spectral"},
		"Compose left rotation":  {op(Compose(orthogonal, orthogonal)), after(orthogonal, orthogonal), "Spectral"},
		"Compose smooth":         {op(Compose(dense, smooth)), after(dense, smooth), "Linearizer"},
		"Compose smooth twice":   {op(Compose(smooth, smooth)), after(smooth, smooth), "Linearizer"},
		"Compose plain":          {op(Compose(dense, plain)), after(dense, plain), "Operator"},
		"Scale spectral":         {op(Scale(-2, orthogonal)), times(-2, orthogonal), "Spectral"},
		"Scale by 0":             {op(Scale(0, orthogonal)), times(0, orthogonal), "Spectral"},
		"Scale linear":           {op(Scale(3, linear)), times(3, linear), "Linear"},
		"Scale smooth":           {op(Scale(-2, smooth)), times(-2, smooth), "Linearizer"},
		"Scale plain":            {op(Scale(2, plain)), times(2, plain), "Operator"},
		"Sum linear":             {op(Sum(linear, orthogonal)), plus(linear, orthogonal), "Linear"},
		"Sum of one":             {op(Sum(linear)), f(linear), "Linear"},
		"Sum smooth":             {op(Sum(linear, smooth)), plus(linear, smooth), "Linearizer"},
		"Sum plain":              {op(Sum(smooth, plain)), plus(smooth, plain), "Operator"},
		"Stack linear":           {op(Stack(dense, linear, dense)), and(dense, linear, dense), "Linear"},
		"Stack smooth":           {op(Stack(dense, smooth)), and(dense, smooth), "Linearizer"},
		"Stack plain":            {op(Stack(plain, dense)), and(plain, dense), "Operator"},
		"Restrict": {op(Restrict(linear, []int{3, 0})), func(x []float64) []float64 {
			y := applyRow(linear, x)
			return []float64{y[3], y[0]}
		}, "Linear"},
	}
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		var cases []operatorCase
		for name, e := range expressions(t) {
			cases = append(cases, operatorCase{name: name, op: e.op})
		}
		dense, orthogonal, _, _, _ := parts(t)
		op := must[inverse.Operator](t)
		tall := must[*Dense](t)(NewDense(normalRows(5, 2, rng.New(6, 3))))
		return append(cases,
			operatorCase{name: "rotation after tall", op: op(Compose(orthogonal, tall))},
			operatorCase{name: "Scale dense", op: op(Scale(-0.5, dense))})
	})
}

func TestExpressions(t *testing.T) {
	x := normalRows(1, 5, rng.New(7, 0)).RawRowView(0)
	for name, e := range expressions(t) {
		want := e.want(x)
		if got := applyRow(e.op, x); !floats.EqualApprox(got, want[:len(got)], 1e-13) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		_, spectral := e.op.(inverse.Spectral)
		_, linear := e.op.(inverse.Linear)
		_, linearizer := e.op.(inverse.Linearizer)
		kind := "Operator"
		switch {
		case spectral:
			kind = "Spectral"
		case linear:
			kind = "Linear"
		case linearizer:
			kind = "Linearizer"
		}
		if kind != e.kind {
			t.Errorf("%s is %s, want %s", name, kind, e.kind)
		}
	}
}

func TestBadExpressions(t *testing.T) {
	dense, _, linear, _, _ := parts(t)
	for _, tt := range []struct {
		want string
		err  func() error
	}{
		{"Compose of 5×5 after 3×5: the first takes 5 values, the second gives 3", func() error { _, err := Compose(linear, dense); return err }},
		{"Compose: operator 1 is nil", func() error { _, err := Compose(linear, nil); return err }},
		{"Scale by NaN", func() error { _, err := Scale(math.NaN(), dense); return err }},
		{"Scale: operator 0 is nil", func() error { _, err := Scale(1, nil); return err }},
		{"Sum of no operators", func() error { _, err := Sum(); return err }},
		{"operator 0 is 5×5, operator 1 is 3×5", func() error { _, err := Sum(linear, dense); return err }},
		{"Stack of no operators", func() error { _, err := Stack(); return err }},
		{"operator 0 takes 5 values, operator 1 takes 1", func() error {
			one, err := NewIdentity(1)
			if err != nil {
				return err
			}
			_, err = Stack(dense, one)
			return err
		}},
		{"index[0] is 3, want it in [0, 3)", func() error { _, err := Restrict(dense, []int{3}); return err }},
		{"Restrict: operator 0 is nil", func() error { _, err := Restrict(nil, []int{3}); return err }},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("want an error with %q, got %v", tt.want, err)
		}
	}
}
