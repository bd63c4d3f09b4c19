package flow

import (
	"math"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// adjoint accumulates the gradient of a loss J through the gradients and
// traces of a potential at many points of the same block of rows, from
// cotangents Γ = ∂J/∂∇Φ and τ = ∂J/∂tr ∇²Φ. Those of the factors are summed
// over the points; finish takes them to the parameters once.
type adjoint[T kernel.Float] struct {
	rows int
	tau  T // Σ τ

	// Cotangents of the factors.
	xt, k1, w1, px, q []T

	// Cotangents that are the same for all points of a row, rows×m, and Γ.
	o, z1, tq, gamma []T
	// Σ τ ρ ∘ (1 - tanh² q) and Σ τ z₁ ∘ (1 - tanh² o), rows×m.
	rho, kappa []T

	// w and κ in each of the rows.
	ws, kappas []T

	v1, v2, v3, v4 []T // scratch, rows×m
}

// reset makes all sums zero.
func (b *adjoint[T]) reset(f *factors[T], rows int) {
	d, m := f.d, f.m
	b.rows, b.tau = rows, 0
	zero := func(a *[]T, n int) {
		*a = resize(*a, n)
		clear(*a)
	}
	zero(&b.xt, m*(d+1))
	zero(&b.k1, m*m)
	zero(&b.w1, m*m)
	zero(&b.q, (d+1)*(d+1))
	zero(&b.gamma, rows*(d+1))
	for _, a := range []*[]T{&b.o, &b.z1, &b.tq} {
		zero(a, rows*m)
	}
	for _, a := range []*[]T{&b.v1, &b.v2, &b.v3, &b.v4} {
		*a = resize(*a, rows*m)
	}
	zero(&b.px, d*m*m)
	zero(&b.rho, rows*m)
	zero(&b.kappa, rows*m)
	b.ws, b.kappas = resize(b.ws, rows*m), resize(b.kappas, rows*m)
	for i := range rows {
		copy(b.ws[i*m:], f.w)
		copy(b.kappas[i*m:], f.kappa)
	}
}

// weigh adds τ times the trace at e to the sums. It is called for each point
// right after its hessian, with the v that this has set.
func (b *adjoint[T]) weigh(e *evaluation[T], v []T, tau T) {
	b.tau += tau
	kernel.Axpy(b.rho, tau, e.rho)
	kernel.Axpy(b.kappa, tau, v)
}

// traces adds Σ τ tr ∇²Φ of each row to dst.
func (b *adjoint[T]) traces(f *factors[T], dst []T) {
	m := f.m
	for i := range dst {
		dst[i] += kernel.Dot(b.rho[i*m:(i+1)*m], f.w) + kernel.Dot(b.kappa[i*m:(i+1)*m], f.kappa) + b.tau*f.trace
	}
}

// add adds what follows from the cotangents gamma (rows×(d+1)) and tau at e,
// and sets sbar (rows×(d+1)) to the cotangent of e.s. It destroys e.p.
func (b *adjoint[T]) add(f *factors[T], e *evaluation[T], sbar, gamma []T, tau T) {
	d, m, rows := f.d, f.m, b.rows
	size := rows * m
	a, v := b.v1, b.v2

	// ∇Φ = (tanh o ∘ z₁) K₀ₓₜ + s Q + offsets
	kernel.Add(b.gamma, b.gamma, gamma)
	kernel.Gemm(true, false, d+1, d+1, rows, 1, e.s, d+1, gamma, d+1, 1, b.q, d+1)
	kernel.Gemm(false, true, rows, d+1, d+1, 1, gamma, d+1, f.q, d+1, 0, sbar, d+1)
	kernel.Mul(v, e.to, e.z1)
	kernel.Gemm(true, false, m, d+1, rows, 1, v, m, gamma, d+1, 1, b.xt, d+1)
	kernel.Gemm(false, false, rows, m, d+1, 1, gamma, d+1, f.xtT, m, 0, a, m)
	tobar, zbar, qbar := a, b.v3, b.v4
	kernel.Mul(zbar, e.to, a)
	// tr = (z₁ ∘ (1 - tanh² o)) κ + (ρ ∘ (1 - tanh² q)) w
	kernel.MulDerivative(kernel.Tanh, v, b.kappas, e.to)
	kernel.Axpy(zbar, tau, v)
	kernel.Mul(v, e.to, b.kappas)
	kernel.Axpy(a, -2*tau, v)
	kernel.Mul(tobar, a, e.z1)
	kernel.MulDerivative(kernel.Tanh, v, b.ws, e.tq)
	kernel.Scale(v, 2*tau, v)
	for k := range d {
		p := e.p[k*size : (k+1)*size]
		kernel.Mul(p, p, v)
		kernel.Gemm(false, false, rows, m, m, 1, p, m, f.px[k*m*m:], m, 1, tobar, m)
		kernel.Gemm(true, false, m, m, rows, 1, p, m, e.to, m, 1, b.px[k*m*m:], m)
	}

	// z₁ = w + tanh q diag(w) K₁
	kernel.Add(b.z1, b.z1, zbar)
	kernel.Gemm(true, false, m, m, rows, 1, e.tq, m, zbar, m, 1, b.w1, m)
	kernel.Gemm(false, false, rows, m, m, 1, zbar, m, f.w1T, m, 0, qbar, m)
	kernel.MulDerivative(kernel.Tanh, qbar, qbar, e.tq)
	kernel.Mul(v, e.tq, e.rho)
	kernel.Mul(v, v, b.ws)
	kernel.Axpy(qbar, -2*tau, v)

	// q = u₀K₁' + b₁
	kernel.Add(b.tq, b.tq, qbar)
	kernel.Gemm(true, false, m, m, rows, 1, qbar, m, e.u0, m, 1, b.k1, m)
	kernel.Gemm(false, false, rows, m, m, 1, qbar, m, f.k1, m, 0, v, m)

	// u₀ = σ(o), o = s K₀ₓₜ' + offsets
	obar := tobar
	kernel.MulDerivative(kernel.Tanh, obar, tobar, e.to)
	kernel.AddMul(obar, e.to, v)
	kernel.Add(b.o, b.o, obar)
	kernel.Gemm(true, false, m, d+1, rows, 1, obar, m, e.s, d+1, 1, b.xt, d+1)
	kernel.Gemm(false, false, rows, d+1, m, 1, obar, m, f.xt, d+1, 1, sbar, d+1)
}

// finish adds the sums, times scale, to the gradients of the parameters and of
// c (rows×p). Gradients that are nil are not wanted.
func (b *adjoint[T]) finish(f *factors[T], t *autodiff.Tape[T], vars *potentialVars, c []T, scale T) {
	d, m, n, p, r := f.d, f.m, f.d+1+f.p, f.p, f.r
	rows := b.rows
	col := b.v1[:m] // sums of columns
	sum := func(a []T) []T {
		clear(col)
		kernel.AddColSums(col, rows, m, a, m)
		return col
	}

	w := t.AddTo(vars.w)
	kernel.Axpy(w, scale, sum(b.z1))
	for j := range m {
		w[j] += scale * kernel.Dot(b.w1[j*m:(j+1)*m], f.k1[j*m:(j+1)*m])
	}

	// K₁ is a factor of q, w1, px and of the shift of b₁.
	k1 := t.AddTo(vars.k1)
	kernel.Axpy(k1, scale, b.k1)
	for j := range m {
		kernel.Axpy(k1[j*m:(j+1)*m], scale*f.w[j], b.w1[j*m:(j+1)*m])
	}
	sum(b.tq)
	kernel.Axpy(t.AddTo(vars.b1), scale, col)
	for j, v := range col {
		row, v := k1[j*m:(j+1)*m], v*scale*math.Ln2
		for l := range row {
			row[l] += v
		}
	}

	// K₀: columns for x and t, the trace's part in those for x, those for c.
	k0 := t.AddTo(vars.k0)
	for j := range m {
		kernel.Axpy(k0[j*n:j*n+d+1], scale, b.xt[j*(d+1):(j+1)*(d+1)])
	}
	kernel.Axpy(w, scale, sum(b.rho))
	sum(b.kappa)
	acc, part := b.v2[:m], b.v3[:m]
	for k := range d {
		x := f.xtT[k*m : (k+1)*m]
		clear(acc)
		for j := range m {
			px := b.px[(k*m+j)*m:][:m]
			kernel.Mul(part, px, x)
			kernel.Axpy(k1[j*m:(j+1)*m], scale, part)
			kernel.AddMul(acc, px, f.k1[j*m:(j+1)*m])
		}
		for j, v := range x {
			k0[j*n+k] += scale * (acc[j] + 2*col[j]*v)
		}
	}
	kernel.Axpy(t.AddTo(vars.b0), scale, sum(b.o))
	if p > 0 {
		kernel.Gemm(true, false, m, p, rows, scale, b.o, m, c, p, 1, k0[d+1:], n)
	}

	// Q = A'A without the columns for c. With its cotangent Q̄,
	// Ā = A Q̄' in the columns for x and t, plus A Q̄.
	a := t.AddTo(vars.a)
	kernel.Gemm(false, true, r, d+1, d+1, scale, f.a, n, b.q, d+1, 1, a, n)
	kernel.Gemm(false, false, r, d+1, d+1, scale, f.a, n, b.q, d+1, 1, a, n)
	if p > 0 {
		// Q̄ has p more rows, c'Γ.
		qc := resize(b.v3, p*(d+1))
		b.v3 = qc
		kernel.Gemm(true, false, p, d+1, rows, 1, c, p, b.gamma, d+1, 0, qc, d+1)
		kernel.Gemm(false, false, r, d+1, p, scale, f.a[d+1:], n, qc, d+1, 1, a, n)
		kernel.Gemm(false, true, r, p, d+1, scale, f.a, n, qc, d+1, 1, a[d+1:], n)
	}
	for j := range r {
		kernel.Axpy(a[j*n:j*n+d], 2*scale*b.tau*T(rows), f.a[j*n:j*n+d])
	}
	bb := t.AddTo(vars.b)
	for i := range rows {
		kernel.Axpy(bb, scale, b.gamma[i*(d+1):(i+1)*(d+1)])
	}

	if cbar := t.AddTo(vars.c); cbar != nil {
		kernel.Gemm(false, false, rows, p, m, scale, b.o, m, f.k0[d+1:], n, 1, cbar, p)
		kernel.Gemm(false, true, rows, p, d+1, scale, b.gamma, d+1, f.q[(d+1)*(d+1):], d+1, 1, cbar, p)
	}
}

// potentialVars are the parameters of a potential and the conditions c on a
// tape.
type potentialVars struct{ k0, b0, k1, b1, w, a, b, c autodiff.Var }

func varsOf[T kernel.Float](t *autodiff.Tape[T], f *potential, c autodiff.Var) potentialVars {
	return potentialVars{t.Param(f.k0), t.Param(f.b0), t.Param(f.k1), t.Param(f.b1), t.Param(f.w), t.Param(f.a), t.Param(f.b), c}
}
