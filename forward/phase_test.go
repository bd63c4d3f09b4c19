package forward

import (
	"math/cmplx"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

func newTestPhase(t *testing.T, rows, n int, opts *PhaseOptions) (*Phase, *mat.Dense) {
	t.Helper()
	b := normalRows(rows, n, rng.New(7, 0))
	dense, err := NewDense(b)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewPhase(dense, opts)
	if err != nil {
		t.Fatal(err)
	}
	return o, b
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		squares, _ := newTestPhase(t, 7, 4, nil)
		intensities, _ := newTestPhase(t, 10, 4, &PhaseOptions{Complex: true})
		return []operatorCase{
			{name: "Phase", op: squares},
			{name: "Phase complex", op: intensities},
		}
	})
}

// |Bx|² in complex arithmetic, with B = re + i im.
func TestPhaseIsAnIntensity(t *testing.T) {
	const m, n = 5, 4
	o, b := newTestPhase(t, 2*m, n, &PhaseOptions{Complex: true})
	x := normalRows(2, n, rng.New(8, 0))
	got := mat.NewDense(2, m, nil)
	o.Apply(got, x)
	for r := range 2 {
		for i := range m {
			var sum complex128
			for j := range n {
				sum += complex(b.At(i, j), b.At(m+i, j)) * complex(x.At(r, j), 0)
			}
			want := cmplx.Abs(sum) * cmplx.Abs(sum)
			if !scalar.EqualWithinRel(got.At(r, i), want, 1e-12) {
				t.Errorf("intensity %d of row %d is %g, want %g", i, r, got.At(r, i), want)
			}
		}
	}
	// The sign is lost.
	minus := mat.NewDense(2, m, nil)
	x.Scale(-1, x)
	o.Apply(minus, x)
	if !mat.EqualApprox(got, minus, 1e-14) {
		t.Error("A(-x) is not A(x)")
	}
}

type emptyLinear struct{ inverse.Linear }

func (emptyLinear) Dims() (m, n int) { return 0, 3 }

func TestNewPhaseErrors(t *testing.T) {
	odd, err := NewDense(normalRows(3, 2, rng.New(1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func() (*Phase, error){
		"b is nil":                     func() (*Phase, error) { return NewPhase(nil, nil) },
		"b is 0×3":                     func() (*Phase, error) { return NewPhase(emptyLinear{}, nil) },
		"b has 3 data, want an even n": func() (*Phase, error) { return NewPhase(odd, &PhaseOptions{Complex: true}) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
