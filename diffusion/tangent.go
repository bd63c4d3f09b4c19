package diffusion

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
)

// MMPS takes an operator for A(D) + H (x₀ - D) at the denoised means D of a
// point: here are the residual and the products with H and its transpose.

// tangent is what a point has for an operator that is not linear.
type tangent struct {
	op               inverse.Linearization // at the denoised means
	shifted, forward mat.Dense
	steps            []float64
}

// residual sets the rows of r to y - A(D).
func (g *MMPS) residual(r *mat.Dense, p *point) {
	if g.a != nil {
		g.a.Apply(r, &p.mean)
	} else {
		if p.tangent == nil {
			op, err := forward.Linearize(g.lik.Operator())
			if err != nil {
				panic(err) // unreachable: Differentiable was asked
			}
			p.tangent = &tangent{op: op}
		}
		p.tangent.op.Apply(r, &p.mean)
	}
	for i := range r.RawMatrix().Rows {
		row := r.RawRowView(i)
		floats.SubTo(row, g.lik.Data(), row)
	}
}

// row sets all rows of v to row j of L⁻¹H.
func (g *MMPS) row(v *mat.Dense, j int, p *point) {
	rows := v.RawMatrix().Rows
	if g.rows != nil {
		for i := range rows {
			copy(v.RawRowView(i), g.rows.RawRowView(j))
		}
		return
	}
	z := resize(&p.data[3], rows, g.m)
	for i := range rows {
		copy(z.RawRowView(i), g.units.RawRowView(j))
	}
	p.tangent.op.VJP(v, z)
}

// adjoint sets the rows of dst to Hᵀz_i.
func (g *MMPS) adjoint(dst, z *mat.Dense, p *point) {
	if g.a != nil {
		g.a.Adjoint(dst, z)
		return
	}
	p.tangent.op.VJP(dst, z)
}

// push sets the rows of dst to H v_i. Of an operator that is not linear it is
// a central difference of length h in v, which is short on the scale of D and
// of what is not known of x₀.
func (g *MMPS) push(dst, v *mat.Dense, p *point) {
	if g.a != nil {
		g.a.Apply(dst, v)
		return
	}
	const relative = 6e-6 // cube root of the machine epsilon
	t := p.tangent
	rows, n := v.Dims()
	shifted, ahead := resize(&t.shifted, rows, n), resize(&t.forward, rows, g.m)
	if len(t.steps) < rows {
		t.steps = make([]float64, rows)
	}
	for i := range rows {
		t.steps[i] = 0
		if norm := floats.Norm(v.RawRowView(i), 2); norm > 0 {
			rms := floats.Norm(p.mean.RawRowView(i), 2) / math.Sqrt(float64(n))
			t.steps[i] = relative * math.Max(rms, math.Min(1, p.sigma/p.alpha)) / norm
		}
	}
	for _, sign := range [2]float64{1, -1} {
		for i := range rows {
			floats.AddScaledTo(shifted.RawRowView(i), p.mean.RawRowView(i), sign*t.steps[i], v.RawRowView(i))
		}
		g.lik.Operator().Apply(dst, shifted)
		if sign > 0 {
			ahead.Copy(dst)
		}
	}
	for i := range rows {
		row := dst.RawRowView(i)
		if t.steps[i] == 0 {
			clear(row)
			continue
		}
		floats.SubTo(row, ahead.RawRowView(i), row)
		floats.Scale(0.5/t.steps[i], row)
	}
}
