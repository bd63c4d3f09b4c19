package flow

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// small are the architectures under test, small enough to be trained in the
// tests, of which invertible ones are stacks of layers.
var small = []Architecture{
	MAF{Transforms: 3, Hidden: []int{12, 12}},
	NSF{Transforms: 2, Bins: 5, Width: 12, Blocks: 1},
	NSF{Transforms: 2, Bins: 5, Width: 12, Autoregressive: true},
	NSF{Transforms: 2, Bins: 5, Width: 12, Independent: true},
	Coupling{Transforms: 4, Width: 12, Blocks: 1},
	MDN{Components: 3, Hidden: []int{12}},
	COT{Width: 16, Steps: 2, EvalSteps: 4, Tolerance: 1e-12},
	PCPMap{Layers: 3, Width: 12},
	Matching{Width: 16, Blocks: 1, Tolerance: 1e-12, Transport: 0.1},
	Diffusion{Width: 16, Blocks: 1, Tolerance: 1e-12},
}

func name(a Architecture) string {
	if n, ok := a.(NSF); ok && n.Autoregressive {
		return "nsf-autoregressive"
	} else if ok && n.Independent {
		return "nsf-independent"
	}
	return a.kind()
}

// pairs returns n pairs of curved, correlated x (n×dx) and y (n×dy), nil if dy
// is 0.
func pairs(n, dx, dy int, seed uint64) (x, y *mat.Dense) {
	x = mat.NewDense(n, dx, nil)
	z := make([]float64, n*(dx+max(dy, 1)))
	rng.FillNormal(z, rng.New(seed, 0))
	if dy > 0 {
		y = mat.NewDense(n, dy, nil)
	}
	for i := range n {
		e := z[i*(dx+max(dy, 1)):]
		shift := 0.0
		for j := range dy {
			y.Set(i, j, 3+2*e[dx+j])
			shift += e[dx+j]
		}
		for j := range dx {
			v := 0.5*e[j] + math.Sin(shift+float64(j))
			if j > 0 {
				v += 0.3 * e[j-1] * e[j-1]
			}
			x.Set(i, j, 10+4*v)
		}
	}
	return x, y
}

// trained returns a flow after a few large steps, so that its weights are far
// from the initial ones.
func trained(t testing.TB, a Architecture, x, y *mat.Dense, o FitOptions) *Flow {
	t.Helper()
	if o.Src == nil {
		o.Src = rng.New(5, 0)
	}
	if o.Epochs == 0 {
		o.Epochs = 10
	}
	if o.Rate == 0 {
		o.Rate = 1e-2
	}
	o.Batch = 50
	f, err := Fit(context.Background(), a, x, y, &o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var shapes = []struct{ dx, dy int }{{1, 0}, {1, 2}, {2, 0}, {3, 2}, {5, 1}}

// forEach runs a test for each architecture and shape with a flow trained in
// float64.
func forEach(t *testing.T, test func(t *testing.T, f *Flow, x, y *mat.Dense)) {
	shapes := shapes
	if testing.Short() {
		shapes = shapes[1:4:4]
	}
	for _, a := range small {
		for _, s := range shapes {
			t.Run(fmt.Sprintf("%s/%d|%d", name(a), s.dx, s.dy), func(t *testing.T) {
				x, y := pairs(300, s.dx, s.dy, 1)
				test(t, trained(t, a, x, y, FitOptions{Float64: true}), x, y)
			})
		}
	}
}

func TestInvertible(t *testing.T) {
	forEach(t, func(t *testing.T, f *Flow, x, y *mat.Dense) {
		rows, dx := x.Dims()
		z, back := mat.NewDense(rows, dx, nil), mat.NewDense(rows, dx, nil)
		logDet, logProb := make([]float64, rows), make([]float64, rows)
		f.Invert(z, logDet, x, y)
		f.Generate(back, z, y)
		f.LogProb(logProb, x, y)
		for i := range rows {
			want := logDet[i]
			for j := range dx {
				want += kernel.LogNormal(z.At(i, j))
				if d := math.Abs(back.At(i, j) - x.At(i, j)); !(d < 1e-10*math.Abs(x.At(i, j))) {
					t.Fatalf("x[%d,%d] = %g comes back as %g, off by %g", i, j, x.At(i, j), back.At(i, j), d)
				}
			}
			if d := math.Abs(logProb[i] - want); !(d < 1e-9) {
				t.Fatalf("LogProb of row %d is %g, by Invert %g", i, logProb[i], want)
			}
		}
	})
}

// The log determinant is that of the Jacobian of Invert by central differences
// of sixth order; of a stack also that by reverse differentiation.
func TestLogDet(t *testing.T) {
	forEach(t, func(t *testing.T, f *Flow, x, y *mat.Dense) {
		const rows = 20
		x = x.Slice(0, rows, 0, f.dx).(*mat.Dense)
		if y != nil {
			y = y.Slice(0, rows, 0, f.dy).(*mat.Dense)
		}
		z := mat.NewDense(rows, f.dx, nil)
		logDet := make([]float64, rows)
		f.Invert(z, logDet, x, y)
		jac := make([]*mat.Dense, rows)
		for i := range jac {
			jac[i] = mat.NewDense(f.dx, f.dx, nil)
		}
		moved := mat.NewDense(rows, f.dx, nil)
		for j := range f.dx {
			const h = 2e-3
			for k, w := range []float64{3. / 4, -3. / 20, 1. / 60} {
				for _, sign := range []float64{1, -1} {
					moved.Copy(x)
					for i := range rows {
						moved.Set(i, j, x.At(i, j)+sign*float64(k+1)*h)
					}
					f.Invert(z, nil, moved, y)
					for i := range rows {
						for l := range f.dx {
							jac[i].Set(l, j, jac[i].At(l, j)+sign*w/h*z.At(i, l))
						}
					}
				}
			}
		}
		off := make([]float64, rows)
		for i := range off {
			want, _ := mat.LogDet(jac[i])
			off[i] = math.Abs(logDet[i] - want)
		}
		slices.Sort(off)
		s, ok := f.net.(*evaluator[float64]).net.(*stack[float64])
		// Knots of splines and kinks of rectifiers spoil some differences.
		if median, worst := off[rows/2], off[rows-1]; !(median < 1e-9) || !ok && !(worst < 1e-8) {
			t.Errorf("log determinants differ from those of finite differences by %g, median %g", worst, median)
		}
		if !ok {
			return
		}
		// In the coordinates of the network.
		var tape autodiff.Tape[float64]
		for i := range rows {
			jac := mat.NewDense(f.dx, f.dx, nil)
			var l float64
			for k := range f.dx {
				tape.Reset(f.net.(*evaluator[float64]).params.Values, nil)
				xv := tape.Variable(1, f.dx)
				f.xs.apply(tape.Value(xv), x.RawRowView(i))
				var cv autodiff.Var
				if y != nil {
					cv = tape.Input(1, f.dy)
					f.ys.apply(tape.Value(cv), y.RawRowView(i))
				}
				zv, dv := s.forward(&tape, xv, cv)
				cot := make([]float64, f.dx)
				cot[k] = 1
				l = tape.Value(dv)[0]
				tape.Pullback(zv, cot)
				jac.SetRow(k, tape.Grad(xv))
			}
			want, _ := mat.LogDet(jac)
			if d := math.Abs(l - want); !(d < 1e-9) {
				t.Fatalf("row %d: log determinant %g, of the Jacobian %g, off by %g", i, l, want, d)
			}
		}
	})
}

// The density of x given y, and of bounded x, integrates to 1.
func TestIntegral(t *testing.T) {
	box := func(d int) prior.Transform {
		lo, hi := make([]float64, d), make([]float64, d)
		for i := range lo {
			lo[i], hi[i] = -10, 60
		}
		b, err := prior.Interval(lo, hi)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, a := range small {
		for _, dx := range []int{1, 2} {
			for _, bounded := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", name(a), dx, bounded), func(t *testing.T) {
					if testing.Short() && dx == 2 {
						t.Skip("many points")
					}
					x, y := pairs(300, dx, 1, 1)
					o := FitOptions{}
					if bounded {
						o.Transform = box(dx)
					}
					f := trained(t, a, x, y, o)
					n, lo, hi := 250, -10.0, 60.0
					if dx == 1 {
						n, lo, hi = 8000, -200, 200
					}
					if bounded {
						lo, hi = -10, 60
					}
					h := (hi - lo) / float64(n)
					grid := mat.NewDense(n, dx, nil)
					l := make([]float64, n)
					var sum float64
					rows := 1
					if dx == 2 {
						rows = n
					}
					for r := range rows {
						for i := range n {
							grid.Set(i, dx-1, lo+(float64(i)+0.5)*h)
							if dx == 2 {
								grid.Set(i, 0, lo+(float64(r)+0.5)*h)
							}
						}
						f.LogProb(l, grid, y.Slice(3, 4, 0, 1).(*mat.Dense))
						for _, v := range l {
							sum += math.Exp(v) * math.Pow(h, float64(dx))
						}
					}
					if !(math.Abs(sum-1) < 1e-3) {
						t.Errorf("integral is %g", sum)
					}
				})
			}
		}
	}
}
