package forward

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// An operatorCase is held to everything that operators of this package
// promise, by TestOperators.
type operatorCase struct {
	name string
	op   inverse.Operator
	x    *mat.Dense // where to differentiate; nil stands for normal draws
}

// operatorCases is added to by the init functions of the operators' tests.
var operatorCases []func(t *testing.T) []operatorCase

func TestOperators(t *testing.T) {
	for _, cases := range operatorCases {
		for _, tt := range cases(t) {
			t.Run(tt.name, func(t *testing.T) {
				src := rng.New(1, 0)
				if op, ok := tt.op.(inverse.Linear); ok {
					if err := CheckAdjoint(op, src); err != nil {
						t.Error(err)
					}
				}
				if _, err := Linearize(tt.op); err == nil {
					if err := CheckVJP(tt.op, tt.x, src); err != nil {
						t.Error(err)
					}
				}
				if op, ok := tt.op.(inverse.Spectral); ok {
					checkSpectral(t, op, src)
				}
				testConcurrency(t, tt)
				testAllocation(t, tt)
			})
		}
	}
}

// A method is a batch method of an operator with its inputs: f fills dst
// (rows×cols).
type method struct {
	name       string
	rows, cols int
	f          func(dst *mat.Dense)
}

func methods(tt operatorCase) []method {
	m, n := tt.op.Dims()
	k := min(m, n)
	x := tt.x
	if x == nil {
		x = normalRows(3, n, rng.New(2, 0))
	}
	r, _ := x.Dims()
	y, c := normalRows(r, m, rng.New(3, 0)), normalRows(r, k, rng.New(4, 0))
	ms := []method{{"Apply", r, m, func(dst *mat.Dense) { tt.op.Apply(dst, x) }}}
	if op, ok := tt.op.(inverse.Linear); ok {
		ms = append(ms, method{"Adjoint", r, n, func(dst *mat.Dense) { op.Adjoint(dst, y) }})
	}
	if op, ok := tt.op.(inverse.Differentiable); ok {
		ms = append(ms, method{"VJP", r, n, func(dst *mat.Dense) { op.VJP(dst, x, y) }})
	}
	if op, ok := tt.op.(inverse.Spectral); ok {
		ms = append(ms,
			method{"MulV", r, n, func(dst *mat.Dense) { op.MulV(dst, c) }},
			method{"MulU", r, m, func(dst *mat.Dense) { op.MulU(dst, c) }},
			method{"MulVT", r, k, func(dst *mat.Dense) { op.MulVT(dst, x) }},
			method{"MulUT", r, k, func(dst *mat.Dense) { op.MulUT(dst, y) }})
	}
	return ms
}

// testConcurrency checks that several goroutines, whatever GOMAXPROCS, get the
// bits that one does.
func testConcurrency(t *testing.T, tt operatorCase) {
	for _, m := range methods(tt) {
		want := mat.NewDense(m.rows, m.cols, nil)
		procs := runtime.GOMAXPROCS(1)
		m.f(want)
		runtime.GOMAXPROCS(max(procs, 2))
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				got := mat.NewDense(m.rows, m.cols, nil)
				m.f(got)
				if !mat.Equal(got, want) {
					t.Errorf("%s gives other bits when called concurrently", m.name)
				}
			}()
		}
		wg.Wait()
		runtime.GOMAXPROCS(procs)
	}
}

// testAllocation checks that methods do not allocate in steady state.
func testAllocation(t *testing.T, tt operatorCase) {
	if raceEnabled {
		return // the race detector makes sync.Pool drop what it holds
	}
	for _, m := range methods(tt) {
		dst := mat.NewDense(m.rows, m.cols, nil)
		if allocs := testing.AllocsPerRun(10, func() { m.f(dst) }); allocs > 0 {
			t.Errorf("%s allocates %v times", m.name, allocs)
		}
	}
}

// checkSpectral returns an error unless U and V have orthonormal columns and
// op = U Σ Vᵀ.
func checkSpectral(t *testing.T, op inverse.Spectral, src rand.Source) {
	t.Helper()
	m, n := op.Dims()
	k := min(m, n)
	s := op.SingularValues()
	if len(s) != k {
		t.Fatalf("%d singular values, want %d", len(s), k)
	}
	largest := 0.0
	for i, v := range s {
		if !(v >= 0) || math.IsInf(v, 0) {
			t.Fatalf("singular value %d is %g", i, v)
		}
		largest = max(largest, v)
	}
	c, x, y := normalRows(3, k, src), normalRows(3, n, src), normalRows(3, m, src)
	factor := func(name string, rows int, mul, mulT func(dst, x *mat.Dense), z *mat.Dense) {
		out, back := filledRows(3, rows, math.NaN()), filledRows(3, k, math.NaN())
		mul(out, c)
		mulT(back, out)
		if !mat.EqualApprox(back, c, 1e-10) {
			t.Errorf("%sᵀ%s is not the identity", name, name)
		}
		mulT(back, z)
		for i := range 3 {
			if err := sameDot(out.RawRowView(i), z.RawRowView(i), c.RawRowView(i), back.RawRowView(i), adjointTol); err != nil {
				t.Errorf("Mul%sT is not the transpose of Mul%s: %v", name, name, err)
			}
		}
	}
	factor("V", n, op.MulV, op.MulVT, x)
	factor("U", m, op.MulU, op.MulUT, y)

	ax, usvx, vx := filledRows(3, m, math.NaN()), filledRows(3, m, math.NaN()), filledRows(3, k, math.NaN())
	op.Apply(ax, x)
	op.MulVT(vx, x)
	for i := range 3 {
		for j, v := range s {
			vx.Set(i, j, vx.At(i, j)*v)
		}
	}
	op.MulU(usvx, vx)
	if !mat.EqualApprox(usvx, ax, 1e-10*max(largest, 1e-300)) {
		t.Error("U Σ Vᵀ is not the operator")
	}
}
