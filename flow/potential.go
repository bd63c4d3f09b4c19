package flow

import (
	"math"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// potential is the network of OT-Flow (Onken et al. 2021, equations 11 to 13)
// and COT-Flow (Wang et al. 2023), a function of s = (x, t, c):
//
//	Φ(s) = w'N(s) + s'A'A s/2 + b's,   N(s) = u₀ + σ(K₁u₀ + b₁),   u₀ = σ(K₀s + b₀)
//
// with σ(a) = log(2 cosh a). The velocity of a flow is -∇ₓΦ, and its divergence
// is exact: the trace of the Hessian costs no more than d gradients.
//
// With o = K₀s + b₀ and q = K₁u₀ + b₁, and ∘ the product of elements,
//
//	z₁ = w + K₁'(tanh q ∘ w),   ∇Φ = K₀'(tanh o ∘ z₁) + A'A s + b
//	tr ∇ₓ²Φ = Σ_j (1 - tanh² o_j) z₁_j κ_j + Σ_j (1 - tanh² q_j) w_j ρ_j + |A_x|²
//	κ_j = Σ_k K₀_jk²,   ρ_j = Σ_k p_kj²,   p_k = K₁ (tanh o ∘ K₀ₓ_k),   k = 1, ..., d
//
// where K₀ₓ_k is column k of K₀ and A_x are the first d columns of A. The
// components of ∇Φ along c are never needed.
type potential struct {
	d, p, m, r              int // of x, c, u₀ and A s
	k0, b0, k1, b1, w, a, b autodiff.Param
}

// newPotential adds a potential to the parameters, with the initial values of
// the authors' program. There b has elements for c too, which do nothing.
func newPotential[T kernel.Float](p *nn.Params[T], d, dc, width, rank int) potential {
	n := d + 1 + dc
	return potential{
		d: d, p: dc, m: width, r: rank,
		k0: p.Add("k0", width, n, nn.FanIn(n)),
		b0: p.Add("b0", 1, width, nn.FanIn(n), width),
		k1: p.Add("k1", width, width, nn.FanIn(width)),
		b1: p.Add("b1", 1, width, nn.FanIn(width), width),
		w:  p.Add("w", 1, width, nn.Constant(1), width),
		a:  p.Add("a", rank, n, nn.Xavier(n, rank)),
		b:  p.Add("b", 1, d+1, nn.Constant(0), d+1),
	}
}

func (f *potential) params() [7]autodiff.Param {
	return [7]autodiff.Param{f.k0, f.b0, f.k1, f.b1, f.w, f.a, f.b}
}

func of[T any](flat []T, p autodiff.Param) []T { return flat[p.Offset : p.Offset+p.Len()] }

// factors are matrices made from the parameters alone. A name ending in T is a
// transpose, kept because products read it faster.
type factors[T kernel.Float] struct {
	potential
	k0, k1, w, a, b []T // the parameters
	xt, xtT         []T // m×(d+1), columns of K₀ for x and t
	k1T             []T // m×m
	b1              []T // b₁ + log 2 K₁1: with it σ may be log cosh
	w1, w1T         []T // m×m, diag(w) K₁
	px, pxT         []T // d matrices m×m, K₁ diag(K₀ₓ_k), so that p_k = px_k tanh o
	kappa           []T // m
	q               []T // n×(d+1), A'A without the columns for c
	trace           T   // |A_x|²
}

// set computes the factors from the flat vector of parameters.
func (f *factors[T]) set(p *potential, flat []T) {
	f.potential = *p
	d, m, n := p.d, p.m, p.d+1+p.p
	f.k0, f.k1, f.w, f.a, f.b = of(flat, p.k0), of(flat, p.k1), of(flat, p.w), of(flat, p.a), of(flat, p.b)

	f.xt, f.xtT = resize(f.xt, m*(d+1)), resize(f.xtT, m*(d+1))
	for j := range m {
		for k, v := range f.k0[j*n : j*n+d+1] {
			f.xt[j*(d+1)+k], f.xtT[k*m+j] = v, v
		}
	}
	f.k1T, f.b1 = resize(f.k1T, m*m), resize(f.b1, m)
	transpose(f.k1T, f.k1, m)
	kernel.RowSums(f.b1, m, m, f.k1, m)
	kernel.Scale(f.b1, math.Ln2, f.b1)
	kernel.Add(f.b1, f.b1, of(flat, p.b1))
	f.w1, f.w1T = resize(f.w1, m*m), resize(f.w1T, m*m)
	for j := range m {
		kernel.Scale(f.w1[j*m:(j+1)*m], f.w[j], f.k1[j*m:(j+1)*m])
		kernel.Mul(f.w1T[j*m:(j+1)*m], f.w, f.k1T[j*m:(j+1)*m])
	}
	f.q = resize(f.q, n*(d+1))
	kernel.Gemm(true, false, n, d+1, p.r, 1, f.a, n, f.a, n, 0, f.q, d+1)
	f.px, f.pxT, f.kappa = resize(f.px, d*m*m), resize(f.pxT, d*m*m), resize(f.kappa, m)
	clear(f.kappa)
	for k := range d {
		col := f.xtT[k*m : (k+1)*m]
		kernel.AddMul(f.kappa, col, col)
		for j := range m {
			i := (k*m + j) * m
			kernel.Mul(f.px[i:i+m], f.k1[j*m:(j+1)*m], col)
			kernel.Scale(f.pxT[i:i+m], col[j], f.k1T[j*m:(j+1)*m])
		}
	}
	f.trace = 0
	for j := range p.r {
		f.trace += kernel.SumSquares(f.a[j*n : j*n+d])
	}
}

// transpose sets dst to the transpose of the m×m matrix a.
func transpose[T any](dst, a []T, m int) {
	for i := range m {
		for j, v := range a[i*m : (i+1)*m] {
			dst[j*m+i] = v
		}
	}
}

// offsets are what the conditions c of a block of rows contribute.
type offsets[T kernel.Float] struct {
	rows int
	o    []T // rows×m, K₀_c c + b₀
	g    []T // rows×(d+1), the gradient of the quadratic part, with b
}

// set computes the contributions of c (rows×p).
func (x *offsets[T]) set(f *factors[T], b0, c []T, rows int) {
	d, m, n := f.d, f.m, f.d+1+f.p
	x.rows, x.o, x.g = rows, resize(x.o, rows*m), resize(x.g, rows*(d+1))
	for i := range rows {
		copy(x.o[i*m:(i+1)*m], b0)
		copy(x.g[i*(d+1):(i+1)*(d+1)], f.b)
	}
	if f.p > 0 {
		kernel.Gemm(false, true, rows, m, f.p, 1, c, f.p, f.k0[d+1:], n, 1, x.o, m)
		kernel.Gemm(false, false, rows, d+1, f.p, 1, c, f.p, f.q[(d+1)*(d+1):], d+1, 1, x.g, d+1)
	}
}

// swap exchanges rows i and j.
func (x *offsets[T]) swap(f *factors[T], i, j int) {
	swapRows(x.o, f.m, i, j)
	swapRows(x.g, f.d+1, i, j)
}

func swapRows[T any](a []T, cols, i, j int) {
	for k := range cols {
		a[i*cols+k], a[j*cols+k] = a[j*cols+k], a[i*cols+k]
	}
}

// evaluation is a potential evaluated at a block of rows: what the trace and the
// adjoint take up again.
type evaluation[T kernel.Float] struct {
	s              []T // rows×(d+1): x and t
	g              []T // rows×(d+1), the gradient in x and t
	to, u0, tq, z1 []T // rows×m: tanh o, log cosh o, tanh q, z₁
	p              []T // d matrices rows×m: p_k
	rho            []T // rows×m: ρ ∘ (1 - tanh² q)
}

// resize makes room for rows.
func (e *evaluation[T]) resize(f *potential, rows int, trace bool) {
	e.s, e.g = resize(e.s, rows*(f.d+1)), resize(e.g, rows*(f.d+1))
	for _, a := range []*[]T{&e.to, &e.u0, &e.tq, &e.z1} {
		*a = resize(*a, rows*f.m)
	}
	if trace {
		e.p, e.rho = resize(e.p, f.d*rows*f.m), resize(e.rho, rows*f.m)
	}
}

// gradient computes everything but p and rho at e.s, for the first rows of
// the offsets. v (rows×m) is scratch.
func (e *evaluation[T]) gradient(f *factors[T], x *offsets[T], v []T, rows int) {
	d, m := f.d, f.m
	o := e.u0
	copy(o, x.o[:rows*m])
	kernel.Gemm(false, false, rows, m, d+1, 1, e.s, d+1, f.xtT, m, 1, o, m)
	kernel.Activate(kernel.Tanh, e.to, o)
	kernel.Activate(kernel.LogCosh, e.u0, o)
	kernel.GemmEpilogue(false, false, rows, m, m, 1, e.u0, m, f.k1T, m, 0, e.tq, m, kernel.Epilogue[T]{Bias: f.b1, Act: kernel.Tanh})
	kernel.GemmEpilogue(false, false, rows, m, m, 1, e.tq, m, f.w1, m, 0, e.z1, m, kernel.Epilogue[T]{Bias: f.w})
	kernel.Mul(v, e.to, e.z1)
	copy(e.g, x.g[:rows*(d+1)])
	kernel.Gemm(false, false, rows, d+1, d+1, 1, e.s, d+1, f.q, d+1, 1, e.g, d+1)
	kernel.Gemm(false, false, rows, d+1, m, 1, v, m, f.xt, d+1, 1, e.g, d+1)
}

// hessian computes p and rho after gradient, and sets v (rows×m) to
// z₁ ∘ (1 - tanh² o). The trace of the Hessian is then v κ + rho w + |A_x|².
func (e *evaluation[T]) hessian(f *factors[T], v []T, rows int) {
	m, size := f.m, rows*f.m
	for k := range f.d {
		p := e.p[k*size : (k+1)*size]
		kernel.Gemm(false, false, rows, m, m, 1, e.to, m, f.pxT[k*m*m:], m, 0, p, m)
		if k == 0 {
			kernel.Mul(e.rho, p, p)
		} else {
			kernel.AddMul(e.rho, p, p)
		}
	}
	kernel.MulDerivative(kernel.Tanh, e.rho, e.rho, e.tq)
	kernel.MulDerivative(kernel.Tanh, v, e.z1, e.to)
}
