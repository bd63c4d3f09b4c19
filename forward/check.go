package forward

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

const (
	checkRows   = 3     // rows of the batches that the checks draw
	adjointTol  = 1e-10 // relative, for what holds up to rounding
	gradientTol = 1e-6  // relative, for what holds up to finite differences
)

// CheckAdjoint reports the first way in which op fails to be a matrix with
// its transpose, or nil. It is for tests of one's own operators.
//
// For random rows u and v it checks that ⟨Au, v⟩ = ⟨u, Aᵀv⟩ to a relative
// 1e-10, that Apply is linear, and that Apply and Adjoint overwrite their
// destination whatever it held, leave their input alone, return finite
// values, treat the rows of a batch independently of each other and accept
// matrices that are views into larger ones. A panic of op comes back as an
// error.
//
// A nil src is freshly seeded.
func CheckAdjoint(op inverse.Linear, src rand.Source) (err error) {
	defer recoverTo(&err)
	m, n, err := checkedDims(op)
	if err != nil {
		return err
	}
	src = rng.Or(src)
	u, v := normalRows(checkRows, n, src), normalRows(checkRows, m, src)
	au, err := checkMap("Apply", m, unary(op.Apply), u)
	if err != nil {
		return err
	}
	av, err := checkMap("Adjoint", n, unary(op.Adjoint), v)
	if err != nil {
		return err
	}
	combination := mat.NewDense(1, checkRows, []float64{2, -3, 1})
	var w, want mat.Dense
	w.Mul(combination, u)
	want.Mul(combination, au)
	aw := filledRows(1, m, math.NaN())
	op.Apply(aw, &w)
	if err := sameRows(aw, &want); err != nil {
		return fmt.Errorf("forward: Apply is not linear: A(2u-3v+w) and 2Au-3Av+Aw differ: %w", err)
	}
	for i := range checkRows {
		if err := sameDot(au.RawRowView(i), v.RawRowView(i), u.RawRowView(i), av.RawRowView(i), adjointTol); err != nil {
			return fmt.Errorf("forward: Adjoint is not the transpose of Apply: <Au, v> and <u, A'v> are %w", err)
		}
	}
	return nil
}

// CheckVJP reports the first way in which the vector-Jacobian product of op
// disagrees with central differences of Apply at the rows of x, to a relative
// 1e-6, or nil. It is for tests of one's own operators.
//
// It checks every form of the product that op has ([inverse.Differentiable],
// [inverse.Linearizer], [inverse.Linear]); that the workspace of a Linearizer
// gives the operator's own values; and, as [CheckAdjoint] does, that
// destinations are overwritten, inputs left alone, rows independent of each
// other and views accepted. A panic of op comes back as an error. It is an
// error if op has no derivative.
//
// Differences are taken along random directions that scale with the
// coordinates of x, with several steps of at most a few per cent, of which
// the best counts; so positive coordinates stay positive. A nil x stands for
// rows of standard normal draws, a nil src is freshly seeded.
func CheckVJP(op inverse.Operator, x *mat.Dense, src rand.Source) (err error) {
	defer recoverTo(&err)
	m, n, err := checkedDims(op)
	if err != nil {
		return err
	}
	src = rng.Or(src)
	if x == nil {
		x = normalRows(checkRows, n, src)
	}
	r, c := x.Dims()
	if r == 0 || c != n {
		return fmt.Errorf("forward: x is %d×%d, want rows of %d, the operator's number of unknowns", r, c, n)
	}
	lin, err := Linearize(op)
	if err != nil {
		return err
	}
	ax, err := checkMap("Apply", m, unary(op.Apply), x)
	if err != nil {
		return err
	}
	linearized, err := checkMap("Apply of the linearization", m, unary(lin.Apply), x)
	if err != nil {
		return err
	}
	if err := sameRows(linearized, ax); err != nil {
		return fmt.Errorf("forward: Apply of the operator and of its linearization differ: %w", err)
	}

	for range checkRows {
		v := normalRows(r, m, src)
		vjp, err := checkMap("VJP of the linearization", n, func(dst *mat.Dense, in ...*mat.Dense) {
			k, _ := in[0].Dims()
			lin.Apply(mat.NewDense(k, m, nil), in[0])
			lin.VJP(dst, in[1])
		}, x, v)
		if err != nil {
			return err
		}
		if op, ok := op.(inverse.Differentiable); ok {
			own, err := checkMap("VJP", n, func(dst *mat.Dense, in ...*mat.Dense) { op.VJP(dst, in[0], in[1]) }, x, v)
			if err != nil {
				return err
			}
			if err := sameRows(own, vjp); err != nil {
				return fmt.Errorf("forward: VJP of the operator and of its linearization differ: %w", err)
			}
		}
		if err := checkDifferences(op, x, v, vjp, src); err != nil {
			return err
		}
	}
	return nil
}

// checkDifferences compares ⟨Ju, v⟩, by differences of fourth order along a
// random direction u, with ⟨u, Jᵀv⟩ at every row of x.
func checkDifferences(op inverse.Operator, x, v, vjp *mat.Dense, src rand.Source) error {
	r, m := v.Dims()
	_, n := x.Dims()
	u := normalRows(r, n, src)
	for i := range r {
		xi, ui := x.RawRowView(i), u.RawRowView(i)
		size := floats.Norm(xi, 2) / math.Sqrt(float64(n))
		if size == 0 {
			size = 1
		}
		for j := range ui {
			if xi[j] != 0 {
				ui[j] *= math.Abs(xi[j])
			} else {
				ui[j] *= size
			}
		}
	}
	// shifted returns A(x + h u).
	shifted := func(h float64) *mat.Dense {
		var at mat.Dense
		at.Scale(h, u)
		at.Add(x, &at)
		dst := mat.NewDense(r, m, nil)
		op.Apply(dst, &at)
		return dst
	}
	failure := make([]error, r)
	for _, h := range []float64{1e-2, 1e-3, 1e-4, 1e-5} {
		var ju, wide mat.Dense
		ju.Sub(shifted(h/2), shifted(-h/2))
		wide.Sub(shifted(h), shifted(-h))
		wide.Scale(1/(6*h), &wide)
		ju.Scale(4/(3*h), &ju)
		ju.Sub(&ju, &wide)
		good := true
		for i := range r {
			if h != 1e-2 && failure[i] == nil {
				continue
			}
			failure[i] = sameDot(ju.RawRowView(i), v.RawRowView(i), u.RawRowView(i), vjp.RawRowView(i), gradientTol)
			good = good && failure[i] == nil
		}
		if good {
			return nil
		}
	}
	for i, err := range failure {
		if err != nil {
			return fmt.Errorf("forward: VJP disagrees with central differences at row %d of x: <Ju, v> and <u, J'v> are %w", i, err)
		}
	}
	return nil
}

// A batchFunc is a method of an operator: rows of dst from rows of in.
type batchFunc func(dst *mat.Dense, in ...*mat.Dense)

func unary(f func(dst, x *mat.Dense)) batchFunc {
	return func(dst *mat.Dense, in ...*mat.Dense) { f(dst, in[0]) }
}

// checkMap returns f of the batches in, which have equally many rows, after
// checking what holds for the methods of any operator.
func checkMap(name string, cols int, f batchFunc, in ...*mat.Dense) (*mat.Dense, error) {
	r, _ := in[0].Dims()
	given := make([]*mat.Dense, len(in))
	for k := range in {
		given[k] = mat.DenseCopyOf(in[k])
	}
	dst := filledRows(r, cols, math.NaN())
	f(dst, given...)
	for i := range r {
		for j, v := range dst.RawRowView(i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("forward: %s gives %g at [%d,%d] of a destination that held NaN", name, v, i, j)
			}
		}
	}
	for k := range in {
		if !mat.Equal(given[k], in[k]) {
			return nil, fmt.Errorf("forward: %s changes its input", name)
		}
	}

	for i := range r {
		for k := range in {
			given[k] = in[k].Slice(i, i+1, 0, in[k].RawMatrix().Cols).(*mat.Dense)
		}
		row := filledRows(1, cols, math.NaN())
		f(row, given...)
		if err := sameRows(row, dst.Slice(i, i+1, 0, cols).(*mat.Dense)); err != nil {
			return nil, fmt.Errorf("forward: %s of a row depends on the rows beside it: %w", name, err)
		}
	}

	const fence = 12345
	for k := range in {
		c := in[k].RawMatrix().Cols
		given[k] = filledRows(r, c+3, math.NaN()).Slice(0, r, 2, c+2).(*mat.Dense)
		given[k].Copy(in[k])
	}
	around := filledRows(r, cols+3, fence)
	view := around.Slice(0, r, 2, cols+2).(*mat.Dense)
	f(view, given...)
	if err := sameRows(view, dst); err != nil {
		return nil, fmt.Errorf("forward: %s of views into larger matrices is wrong: %w", name, err)
	}
	for i := range r {
		if row := around.RawRowView(i); row[0] != fence || row[1] != fence || row[cols+2] != fence {
			return nil, fmt.Errorf("forward: %s writes outside its destination, a view into a larger matrix", name)
		}
	}
	return dst, nil
}

// sameDot returns an error unless ⟨a, b⟩ = ⟨c, d⟩ relative to the root mean
// square of what such sums are with random signs.
func sameDot(a, b, c, d []float64, tol float64) error {
	left, right := floats.Dot(a, b), floats.Dot(c, d)
	var ab, cd float64
	for i := range a {
		ab += a[i] * b[i] * a[i] * b[i]
	}
	for i := range c {
		cd += c[i] * d[i] * c[i] * d[i]
	}
	if scale := math.Sqrt(max(ab, cd)); !(math.Abs(left-right) <= tol*scale) {
		return fmt.Errorf("%.12g and %.12g (difference %.2g, allowed %.2g)", left, right, math.Abs(left-right), tol*scale)
	}
	return nil
}

// sameRows returns an error unless the rows of a and b are equal up to
// rounding.
func sameRows(a, b *mat.Dense) error {
	r, _ := a.Dims()
	for i := range r {
		ai, bi := a.RawRowView(i), b.RawRowView(i)
		allowed := adjointTol * max(floats.Norm(ai, math.Inf(1)), floats.Norm(bi, math.Inf(1)))
		for j := range ai {
			if !(math.Abs(ai[j]-bi[j]) <= allowed) {
				return fmt.Errorf("%.12g and %.12g at [%d,%d]", ai[j], bi[j], i, j)
			}
		}
	}
	return nil
}

func checkedDims(op inverse.Operator) (m, n int, err error) {
	if op == nil {
		return 0, 0, errors.New("forward: nil operator")
	}
	m, n = op.Dims()
	if m < 1 || n < 1 {
		return m, n, fmt.Errorf("forward: operator %T has dimensions %d×%d", op, m, n)
	}
	return m, n, nil
}

func normalRows(r, c int, src rand.Source) *mat.Dense {
	x := mat.NewDense(r, c, nil)
	rng.FillNormal(x.RawMatrix().Data, src)
	return x
}

func filledRows(r, c int, v float64) *mat.Dense {
	x := mat.NewDense(r, c, nil)
	data := x.RawMatrix().Data
	for i := range data {
		data[i] = v
	}
	return x
}

// recoverTo turns a panic of a user's operator into an error.
func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("forward: the operator panicked: %w", &par.PanicError{Value: v, Stack: debug.Stack()})
	}
}
