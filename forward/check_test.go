package forward

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// matrix is a plain 3×4 Linear operator, whose methods a test may spoil.
type matrix struct {
	a              *mat.Dense
	apply, adjoint func(dst, x *mat.Dense)
}

func newMatrix() *matrix {
	m := &matrix{a: mat.NewDense(3, 4, []float64{1, 2, 0, -1, 0, 3, 1, 4, 2, 0, 5, 1})}
	at := m.a.T()
	m.apply = func(dst, x *mat.Dense) { dst.Mul(x, at) }
	m.adjoint = func(dst, y *mat.Dense) { dst.Mul(y, m.a) }
	return m
}

func (m *matrix) Dims() (int, int)          { return m.a.Dims() }
func (m *matrix) Apply(dst, x *mat.Dense)   { m.apply(dst, x) }
func (m *matrix) Adjoint(dst, y *mat.Dense) { m.adjoint(dst, y) }

func init() {
	operatorCases = append(operatorCases, func(*testing.T) []operatorCase {
		return []operatorCase{{name: "matrix", op: newMatrix()}}
	})
}

func TestCheckAdjointFindsWhatIsWrong(t *testing.T) {
	if err := CheckAdjoint(newMatrix(), rng.New(1, 0)); err != nil {
		t.Fatalf("a correct operator: %v", err)
	}
	boom := errors.New("boom")
	for _, tt := range []struct {
		want  string
		spoil func(m *matrix)
	}{
		{"not the transpose", func(m *matrix) {
			b := mat.DenseCopyOf(m.a)
			b.Set(1, 2, b.At(1, 2)+1e-8)
			m.adjoint = func(dst, y *mat.Dense) { dst.Mul(y, b) }
		}},
		{"not linear", func(m *matrix) {
			m.apply = func(dst, x *mat.Dense) {
				dst.Mul(x, m.a.T())
				dst.Apply(func(_, _ int, v float64) float64 { return v + 1e-9*v*v*v }, dst)
			}
			m.adjoint = func(dst, y *mat.Dense) { dst.Mul(y, m.a) }
		}},
		{"held NaN", func(m *matrix) {
			m.apply = func(dst, x *mat.Dense) {
				var ax mat.Dense
				ax.Mul(x, m.a.T())
				dst.Add(dst, &ax)
			}
		}},
		{"held NaN", func(m *matrix) { m.adjoint = func(dst, _ *mat.Dense) {} }},
		{"changes its input", func(m *matrix) {
			m.apply = func(dst, x *mat.Dense) { dst.Mul(x, m.a.T()); x.Set(0, 0, 7) }
		}},
		{"rows beside it", func(m *matrix) {
			m.adjoint = func(dst, y *mat.Dense) { dst.Mul(y, m.a); dst.Set(0, 0, mat.Sum(y)) }
		}},
		{"views", func(m *matrix) {
			m.adjoint = func(dst, y *mat.Dense) {
				r, _ := y.Dims()
				dst.Mul(mat.NewDense(r, 3, y.RawMatrix().Data[:3*r]), m.a)
			}
		}},
		{"outside its destination", func(m *matrix) {
			m.adjoint = func(dst, y *mat.Dense) {
				dst.Mul(y, m.a)
				raw := dst.RawMatrix()
				if raw.Rows > 1 && raw.Stride > 4 {
					raw.Data[raw.Stride-1] = 0
				}
			}
		}},
		{"boom", func(m *matrix) { m.apply = func(_, _ *mat.Dense) { panic(boom) } }},
		{"0×0", func(m *matrix) { m.a = new(mat.Dense) }},
	} {
		m := newMatrix()
		tt.spoil(m)
		err := CheckAdjoint(m, rng.New(1, 0))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("want an error with %q, got %v", tt.want, err)
		}
		if tt.want == "boom" && !errors.Is(err, boom) {
			t.Errorf("the panic's error is not wrapped: %v", err)
		}
	}
	if err := CheckAdjoint(nil, nil); err == nil {
		t.Error("nil operator: no error")
	}
}

// cube is x ↦ c x³ elementwise. Its VJP is that of an operator with other,
// a multiple of the true derivative.
type cube struct{ c, factor float64 }

func (cube) Dims() (int, int) { return 5, 5 }

func (q cube) Apply(dst, x *mat.Dense) {
	dst.Apply(func(_, _ int, v float64) float64 { return q.c * v * v * v }, x)
}

func (q cube) VJP(dst, x, y *mat.Dense) {
	dst.Apply(func(i, j int, v float64) float64 { return q.factor * 3 * q.c * v * v * y.At(i, j) }, x)
}

// lazyCube is a Linearizer as well; stale makes it keep its first point.
type lazyCube struct {
	cube
	shift float64
	stale bool
}

func (q lazyCube) Linearize() inverse.Linearization { return &lazyAt{q: q} }

type lazyAt struct {
	q lazyCube
	x *mat.Dense
}

func (l *lazyAt) Apply(dst, x *mat.Dense) {
	if l.x == nil || !l.q.stale {
		l.x = mat.DenseCopyOf(x)
	}
	l.q.Apply(dst, x)
	dst.Apply(func(_, _ int, v float64) float64 { return v + l.q.shift }, dst)
}

func (l *lazyAt) VJP(dst, y *mat.Dense) { l.q.VJP(dst, l.x, y) }

// bare hides every capability of an operator.
type bare struct{ inverse.Operator }

func TestCheckVJPFindsWhatIsWrong(t *testing.T) {
	for _, op := range []inverse.Operator{
		newMatrix(), cube{2, 1}, cube{1e9, 1}, lazyCube{cube: cube{2, 1}},
	} {
		if err := CheckVJP(op, nil, rng.New(1, 0)); err != nil {
			t.Errorf("%T: %v", op, err)
		}
	}
	for _, tt := range []struct {
		want string
		op   inverse.Operator
		x    *mat.Dense
	}{
		{"central differences", cube{2, 1 + 1e-5}, nil},
		{"central differences", lazyCube{cube: cube{2, 1 - 1e-5}}, nil},
		{"of the operator and of its linearization differ", lazyCube{cube: cube{2, 1}, shift: 1e-3}, nil},
		{"panicked", lazyCube{cube: cube{2, 1}, stale: true}, nil},
		{"gives NaN", cube{math.NaN(), 1}, nil},
		{"forward: operator forward.bare has no derivative", bare{cube{2, 1}}, nil},
		{"x is 2×4, want rows of 5", cube{2, 1}, mat.NewDense(2, 4, nil)},
	} {
		err := CheckVJP(tt.op, tt.x, rng.New(1, 0))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: want an error with %q, got %v", tt.op, tt.want, err)
		}
	}
}

func TestLinearize(t *testing.T) {
	x, y := mat.NewDense(1, 4, []float64{1, -2, 3, 0.5}), mat.NewDense(1, 3, []float64{2, 1, -1})
	lin, err := Linearize(newMatrix())
	if err != nil {
		t.Fatal(err)
	}
	dst := mat.NewDense(1, 4, nil)
	lin.Apply(mat.NewDense(1, 3, nil), x)
	lin.VJP(dst, y)
	if want := mat.NewDense(1, 4, []float64{0, 7, -4, 1}); !mat.Equal(dst, want) {
		t.Errorf("VJP of a matrix is %v, want %v", dst.RawRowView(0), want.RawRowView(0))
	}

	lin, err = Linearize(cube{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	for r := 1; r < 4; r++ { // batches of several sizes through one workspace
		x, y, dst := filledRows(r, 5, 2), filledRows(r, 5, 3), filledRows(r, 5, 0)
		lin.Apply(filledRows(r, 5, 0), x)
		x.Zero() // the linearization keeps its own copy
		lin.VJP(dst, y)
		if !mat.Equal(dst, filledRows(r, 5, 36)) {
			t.Errorf("VJP of the cube is %v, want 36", dst.RawRowView(0))
		}
	}

	for _, op := range []inverse.Operator{nil, bare{newMatrix()}} {
		if lin, err := Linearize(op); err == nil || lin != nil {
			t.Errorf("Linearize(%T) gives no error", op)
		}
	}
}
