package flow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// randomPotential returns a potential whose parameters are all at work.
func randomPotential(t testing.TB, d, dc, width int, seed uint64) (potential, *nn.Params[float64]) {
	t.Helper()
	p := nn.NewParams[float64](rng.New(seed, 0))
	f := newPotential(p, d, dc, width, min(10, d+1+dc))
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rng.New(seed, 1))
	for i := range p.Values {
		p.Values[i] += 0.3 * r.NormFloat64()
	}
	return f, p
}

func normals(n int, seed uint64) []float64 {
	x := make([]float64, n)
	rng.FillNormal(x, rng.New(seed, 2))
	return x
}

// value is Φ(s) as it is defined, up to b's part for c.
func (f *potential) value(params, s []float64) float64 {
	n := len(s)
	sigma := func(a float64) float64 { return math.Log(2 * math.Cosh(a)) }
	k0, b0, k1, b1, w, a, b := of(params, f.k0), of(params, f.b0), of(params, f.k1), of(params, f.b1), of(params, f.w), of(params, f.a), of(params, f.b)
	u0 := make([]float64, f.m)
	for j := range u0 {
		o := b0[j]
		for i, v := range s {
			o += k0[j*n+i] * v
		}
		u0[j] = sigma(o)
	}
	var phi float64
	for j := range u0 {
		q := b1[j]
		for i, v := range u0 {
			q += k1[j*f.m+i] * v
		}
		phi += w[j] * (u0[j] + sigma(q))
	}
	for j := range f.r {
		var as float64
		for i, v := range s {
			as += a[j*n+i] * v
		}
		phi += as * as / 2
	}
	for i, v := range b {
		phi += v * s[i]
	}
	return phi
}

func TestPotential(t *testing.T) {
	for _, c := range []struct{ d, dc, m int }{{1, 0, 5}, {1, 3, 16}, {3, 2, 17}, {4, 9, 32}} {
		const rows = 7
		p, params := randomPotential(t, c.d, c.dc, c.m, 1)
		n := c.d + 1 + c.dc
		s := normals(rows*n, 2)
		var f factors[float64]
		f.set(&p, params.Values)
		var e evaluation[float64]
		e.resize(&p, rows, true)
		cond := make([]float64, rows*c.dc)
		for i := range rows {
			copy(e.s[i*(c.d+1):], s[i*n:i*n+c.d+1])
			copy(cond[i*c.dc:], s[i*n+c.d+1:(i+1)*n])
		}
		var off offsets[float64]
		off.set(&f, of(params.Values, p.b0), cond, rows)
		v := make([]float64, rows*c.m)
		e.gradient(&f, &off, v, rows)
		e.hessian(&f, v, rows)
		for i := range rows {
			si := s[i*n : (i+1)*n]
			at := func(j int, h float64) float64 {
				x := append([]float64(nil), si...)
				x[j] += h
				return p.value(params.Values, x)
			}
			var trace float64
			for j := range c.d + 1 {
				// Central differences of order 6, and of order 4 for the trace.
				const h = 1e-2
				want := (45*(at(j, h)-at(j, -h)) - 9*(at(j, 2*h)-at(j, -2*h)) + at(j, 3*h) - at(j, -3*h)) / (60 * h)
				if got := e.g[i*(c.d+1)+j]; math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
					t.Errorf("%v: gradient %d of row %d is %.12g, want %.12g", c, j, i, got, want)
				}
				if j < c.d {
					trace += (270*(at(j, h)+at(j, -h)) - 27*(at(j, 2*h)+at(j, -2*h)) + 2*(at(j, 3*h)+at(j, -3*h)) - 490*at(j, 0)) / (180 * h * h)
				}
			}
			got := kernel.Dot(v[i*c.m:(i+1)*c.m], f.kappa) + kernel.Dot(e.rho[i*c.m:(i+1)*c.m], f.w) + f.trace
			if math.Abs(got-trace) > 1e-8*(1+math.Abs(trace)) {
				t.Errorf("%v: trace of row %d is %.12g, want %.12g", c, i, got, trace)
			}
		}
	}
}

// onTape records the gradient (in x and t) and the trace of a potential with
// the operations of a tape: the formulas as in the paper, nothing fused.
func (f *potential) onTape(t *autodiff.Tape[float64], x, time, c autodiff.Var) (gx, gt, trace autodiff.Var) {
	rows, _ := t.Dims(x)
	s := t.ConcatCols(x, time)
	if c != 0 {
		s = t.ConcatCols(s, c)
	}
	k0, k1, w, a := t.Param(f.k0), t.Param(f.k1), t.Param(f.w), t.Param(f.a)
	o := t.Linear(s, k0, t.Param(f.b0), kernel.Identity)
	t0 := t.Tanh(o)
	u0 := t.AddConst(t.Activate(kernel.LogCosh, o), math.Ln2)
	t1 := t.Tanh(t.Linear(u0, k1, t.Param(f.b1), kernel.Identity))
	slope := func(th autodiff.Var) autodiff.Var { return t.AddConst(t.Neg(t.Square(th)), 1) }
	z1 := t.Add(t.MatMul(false, false, t.Mul(t1, w), k1), w)
	g := t.MatMul(false, false, t.Mul(t0, z1), k0)
	g = t.Add(g, t.MatMul(false, false, t.MatMul(false, true, s, a), a))
	gx, gt = t.Cols(g, 0, f.d), t.Cols(g, f.d, f.d+1)
	b := t.Param(f.b)
	gx, gt = t.Add(gx, t.Cols(b, 0, f.d)), t.Add(gt, t.Cols(b, f.d, f.d+1))
	d0, d1 := t.Mul(slope(t0), z1), slope(t1)
	var rho autodiff.Var
	for k := range f.d {
		col := t.Reshape(t.Cols(k0, k, k+1), 1, f.m)
		tr := t.RowSums(t.Mul(d0, t.Square(col)))
		pk := t.Square(t.MatMul(false, true, t.Mul(t0, col), k1))
		tr = t.Add(tr, t.RowSums(t.Mul(t.Mul(d1, w), pk)))
		if rho != 0 {
			tr = t.Add(tr, rho)
		}
		rho = tr
	}
	ax := t.Sum(t.Square(t.Cols(a, 0, f.d)))
	return gx, gt, t.Add(rho, t.MatMul(false, false, t.Fill(rows, 1, 1), ax))
}

// onTape records J with the operations of a tape.
func (p *transport[T]) onTape(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	h := 1 / float64(p.steps)
	zero := t.Fill(rows, 1, 0)
	l, v, r := zero, zero, zero
	for step := range p.steps {
		var k autodiff.Var
		next := x
		for i, node := range rkNodes {
			at := x
			if i > 0 {
				at = t.Add(x, t.Scale(node, k))
			}
			gx, gt, tr := p.potential.onTape(t, at, t.Fill(rows, 1, (float64(step)+node)*h), c)
			k = t.Scale(-h, gx)
			w := rkWeights[i]
			next = t.Add(next, t.Scale(w, k))
			kinetic := t.Scale(0.5, t.RowSums(t.Square(gx)))
			l = t.Sub(l, t.Scale(h*w, tr))
			v = t.Add(v, t.Scale(h*w, kinetic))
			if p.wrongSign {
				r = t.Add(r, t.Scale(h*w, t.Abs(t.Add(gt, kinetic))))
			} else {
				r = t.Add(r, t.Scale(h*w, t.Abs(t.Sub(gt, kinetic))))
			}
		}
		x = next
	}
	j := t.AddConst(t.Scale(0.5, t.RowSums(t.Square(x))), float64(p.d)*halfLog2Pi)
	j = t.Sub(j, l)
	return t.Add(j, t.Add(t.Scale(p.alpha, v), t.Scale(p.beta, r)))
}

// lossAndGradient runs a loss and its derivative by the parameters and c.
func lossAndGradient(tape *autodiff.Tape[float64], params, x, c []float64, rows int, f func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var) (loss float64, grad, cbar []float64) {
	grad = make([]float64, len(params))
	tape.Reset(params, grad)
	xv := tape.Input(rows, len(x)/rows)
	copy(tape.Value(xv), x)
	var cv autodiff.Var
	if len(c) > 0 {
		cv = tape.Variable(rows, len(c)/rows)
		copy(tape.Value(cv), c)
	}
	y := f(tape, xv, cv)
	for _, v := range tape.Value(y) {
		loss += v / float64(rows)
	}
	tape.Backward(y, 1/float64(rows))
	if cv != 0 {
		cbar = append(cbar, tape.Grad(cv)...)
	}
	return loss, grad, cbar
}

func TestTransportLoss(t *testing.T) {
	var tape autodiff.Tape[float64]
	for _, c := range []struct {
		d, dc, m, rows int
		wrong          bool
	}{{1, 0, 8, 3, false}, {2, 3, 16, 5, false}, {4, 9, 32, 20, false}, {2, 3, 16, 5, true}} {
		p, params := randomPotential(t, c.d, c.dc, c.m, 3)
		tr := &transport[float64]{potential: p, steps: 3, validSteps: 7, alpha: 0.7, beta: 0.4, wrongSign: c.wrong}
		x, cond := normals(c.rows*c.d, 4), normals(c.rows*c.dc, 5)
		fused := func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var { return tr.record(t, x, c, false) }
		loss, grad, cbar := lossAndGradient(&tape, params.Values, x, cond, c.rows, fused)
		wantLoss, wantGrad, wantC := lossAndGradient(&tape, params.Values, x, cond, c.rows, tr.onTape)
		if math.Abs(loss-wantLoss) > 1e-12*math.Abs(wantLoss) {
			t.Errorf("%+v: loss is %.15g, by the tape %.15g", c, loss, wantLoss)
		}
		scale := 0.0
		for _, v := range wantGrad {
			scale = max(scale, math.Abs(v))
		}
		if e := largestDifference(grad, wantGrad); e > 1e-11*scale {
			t.Errorf("%+v: gradient is off by %g of %g", c, e, scale)
		}
		if e := largestDifference(cbar, wantC); e > 1e-11*scale {
			t.Errorf("%+v: gradient of c is off by %g", c, e)
		}
		// Directional derivatives by central differences.
		for seed := range uint64(4) {
			dir := normals(len(grad), 10+seed)
			var want, size float64
			for i, v := range dir {
				want += v * grad[i]
				size += math.Abs(v * grad[i])
			}
			const h = 1e-4
			at := func(h float64) float64 {
				q := append([]float64(nil), params.Values...)
				for i, v := range dir {
					q[i] += h * v
				}
				l, _, _ := lossAndGradient(&tape, q, x, cond, c.rows, fused)
				return l
			}
			got := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
			if math.Abs(got-want) > 1e-7*math.Abs(want) {
				t.Errorf("%+v: derivative in direction %d is %.12g, by differences %.12g", c, seed, want, got)
			}
		}
	}
}

func largestDifference(a, b []float64) (e float64) {
	for i := range a {
		e = max(e, math.Abs(a[i]-b[i]))
	}
	return e
}

func BenchmarkTransport(b *testing.B) {
	for _, c := range []struct{ m, rows int }{{32, 32}, {64, 64}, {128, 64}} {
		p, params := randomPotential(b, 4, 9, c.m, 3)
		x, cond := normals(c.rows*4, 4), normals(c.rows*9, 5)
		tr := &transport[float64]{potential: p, steps: 8, alpha: 0.7, beta: 0.4}
		name := fmt.Sprintf("width=%d/rows=%d/", c.m, c.rows)
		b.Run(name+"tape64", func(b *testing.B) {
			benchmarkLoss(b, params.Values, x, cond, c.rows, tr.onTape)
		})
		b.Run(name+"fused64", func(b *testing.B) {
			benchmarkLoss(b, params.Values, x, cond, c.rows, func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var { return tr.record(t, x, c, false) })
		})
		single := &transport[float32]{potential: p, steps: 8, alpha: 0.7, beta: 0.4}
		b.Run(name+"fused32", func(b *testing.B) {
			benchmarkLoss(b, convert[float32](nil, params.Values), convert[float32](nil, x), convert[float32](nil, cond), c.rows, func(t *autodiff.Tape[float32], x, c autodiff.Var) autodiff.Var {
				return single.record(t, x, c, false)
			})
		})
	}
}

func benchmarkLoss[T kernel.Float](b *testing.B, params, x, c []T, rows int, f func(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var) {
	var tape autodiff.Tape[T]
	grad := make([]T, len(params))
	b.ReportAllocs()
	for b.Loop() {
		tape.Reset(params, grad)
		xv, cv := tape.Input(rows, len(x)/rows), tape.Input(rows, len(c)/rows)
		copy(tape.Value(xv), x)
		copy(tape.Value(cv), c)
		tape.Backward(f(&tape, xv, cv), 1/T(rows))
	}
}
