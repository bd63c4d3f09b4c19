package diffusion

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/likelihood"
)

// logNormal returns log N(r; 0, v).
func logNormal(r, v float64) float64 { return -0.5 * (r*r/v + math.Log(2*math.Pi*v)) }

// MMPS is moment matching posterior sampling (Rozet et al. 2024): x₀ given x_t
// is taken for Gaussian with its mean D and its covariance C = (σ²/α)J, which
// Tweedie's formula gives as well as the mean,
//
//	∇ log p(y|x_t) ≈ JᵀAᵀ(Σ + A C Aᵀ)⁻¹(y - AD),  J = ∂D/∂x_t.
//
// It is exact for Gaussian priors, and the best of the guidances elsewhere.
//
// An operator that is not linear is replaced by what it is to first order about
// D, A(D) + H (x₀ - D). That is good where C is small, or A nearly linear on its
// scale, and otherwise a twist for [TDS] to correct.
//
// With at most MaxIter data, the matrix A C Aᵀ is formed, by one backward pass
// for each datum. With more, conjugate gradients solve the system with one
// backward pass for each iteration.
type MMPS struct {
	// MaxIter bounds the number of backward passes of an evaluation. If it is
	// 0, it is defaulted to 8. For learned scores Rozet et al. take 1 to 5.
	MaxIter int
	// Tol ends conjugate gradients where the residual is Tol times the right
	// side. If it is 0, it is defaulted to 10⁻⁶.
	Tol float64

	*guide
	lik   *likelihood.Gaussian
	m, n  int
	a     inverse.Linear // nil if the operator is not linear
	rows  *mat.Dense     // L⁻¹A with Σ = LLᵀ, if there are few data and A is linear
	units *mat.Dense     // L⁻¹ if there are few data
}

var _ Guidance = (*MMPS)(nil)

// fewData bounds the number of data for which MMPS may form A C Aᵀ.
const fewData = 64

// NewMMPS returns the guidance of a Gaussian likelihood of an operator that is
// linear or has a derivative.
func NewMMPS(score Score, lik *likelihood.Gaussian) (*MMPS, error) {
	if lik == nil {
		return nil, errors.New("diffusion: the likelihood is nil")
	}
	s := &MMPS{lik: lik}
	s.m, s.n = lik.Operator().Dims()
	if len(lik.Data()) != s.m {
		return nil, fmt.Errorf("diffusion: MMPS: the likelihood has %d data for %d outputs of the operator", len(lik.Data()), s.m)
	}
	s.a, _ = lik.Operator().(inverse.Linear)
	if s.a == nil {
		if err := lik.Differentiable(); err != nil {
			return nil, fmt.Errorf("diffusion: MMPS: %w", err)
		}
	}
	var err error
	if s.guide, err = newGuide(score, s.n); err != nil {
		return nil, err
	}
	s.guide.add = s.add
	if s.m <= fewData {
		s.units = mat.NewDense(s.m, s.m, nil)
		for i := range s.m {
			s.units.Set(i, i, 1)
		}
		lik.WhitenT(s.units, s.units)
		if s.a != nil {
			s.rows = mat.NewDense(s.m, s.n, nil)
			s.a.Adjoint(s.rows, s.units)
		}
	}
	return s, nil
}

func (g *MMPS) add(dst *mat.Dense, logp []float64, p *point) {
	limit := g.MaxIter
	if limit <= 0 {
		limit = 8
	}
	r := resize(&p.data[0], p.x.RawMatrix().Rows, g.m)
	g.residual(r, p)
	g.lik.Whiten(r, r)
	if g.m <= limit && g.units != nil {
		g.direct(dst, logp, p, r)
	} else {
		g.iterate(dst, logp, p, r, limit)
	}
}

// direct solves (I + M) w = r with M = L⁻¹A C AᵀL⁻ᵀ for each row and adds
// JᵀAᵀL⁻ᵀw to dst. Column j of M comes from Jᵀu_j, where u_j is row j of L⁻¹A,
// and so does the sum Σ w_j Jᵀu_j.
func (g *MMPS) direct(dst *mat.Dense, logp []float64, p *point, r *mat.Dense) {
	m, n, rows := g.m, g.n, r.RawMatrix().Rows
	v := resize(&p.full[0], rows, n)
	pulled := resize(&p.full[1], m*rows, n)
	gram := resize(&p.data[1], rows, m*m)
	column := resize(&p.data[2], rows, m)
	scale := p.sigma * p.sigma / p.alpha
	raw := pulled.RawMatrix()
	for j := range m {
		g.row(v, j, p)
		p.part.SetRawMatrix(blas64.General{Rows: rows, Cols: n, Stride: n, Data: raw.Data[j*rows*n : (j+1)*rows*n]})
		p.pull(&p.part, v)
		g.push(column, &p.part, p)
		g.lik.Whiten(column, column)
		for i := range rows {
			to := gram.RawRowView(i)
			for l, c := range column.RawRowView(i) {
				to[l*m+j] = scale * c
			}
		}
	}
	constant := g.lik.LogDet() + float64(m)*math.Log(2*math.Pi)
	for i := range rows {
		w := column.RawRowView(i)
		logDet := solveShifted(w, gram.RawRowView(i), r.RawRowView(i), m)
		if logp != nil {
			logp[i] = -0.5 * (constant + logDet + floats.Dot(w, r.RawRowView(i)))
		}
		for j, c := range w {
			floats.AddScaled(dst.RawRowView(i), c, raw.Data[(j*rows+i)*n:(j*rows+i+1)*n])
		}
	}
}

// solveShifted stores (I + M)⁻¹r in w and returns log det(I + M); M (m×m) is
// overwritten. It is symmetrised. If I + M is then not positive definite, as
// that of a learned score may be, its diagonal is raised until it is dominant:
// a larger covariance is the cautious side.
func solveShifted(w, gram, r []float64, m int) (logDet float64) {
	for i := range m {
		for j := range i {
			mean := 0.5 * (gram[i*m+j] + gram[j*m+i])
			gram[i*m+j], gram[j*m+i] = mean, mean
		}
		gram[i*m+i]++
	}
	if m == 1 {
		d := math.Max(gram[0], 1)
		w[0] = r[0] / d
		return math.Log(d)
	}
	diagonal := [fewData]float64{}
	for i := range m {
		diagonal[i] = gram[i*m+i]
	}
	if !kernel.Cholesky(gram, gram, m) {
		for i := range m {
			sum := math.Max(diagonal[i], 1)
			for j := range m {
				if j < i {
					gram[i*m+j] = gram[j*m+i]
				}
				if j != i {
					sum += math.Abs(gram[i*m+j])
				}
			}
			diagonal[i] = sum
		}
		for i := range m {
			gram[i*m+i] = diagonal[i]
		}
		if !kernel.Cholesky(gram, gram, m) { // only what is not finite comes here
			for i := range w {
				w[i] = math.NaN()
			}
			return math.NaN()
		}
	}
	copy(w, r)
	kernel.CholeskySolve(w, gram, m)
	for i := range m {
		logDet += 2 * math.Log(gram[i*m+i])
	}
	return logDet
}

// iterate solves (I + M) w = r by conjugate gradients for all rows at once,
// and adds JᵀAᵀL⁻ᵀw to dst as it goes, since each direction d comes with
// JᵀAᵀL⁻ᵀd. A row is done when its residual is small or d has no positive
// curvature, which only a learned score brings about.
func (g *MMPS) iterate(dst *mat.Dense, logp []float64, p *point, r *mat.Dense, limit int) {
	tol := g.Tol
	if tol == 0 {
		tol = 1e-6
	}
	m, n, rows := g.m, g.n, r.RawMatrix().Rows
	d, md, z := resize(&p.data[1], rows, m), resize(&p.data[2], rows, m), resize(&p.data[3], rows, m)
	back, pulled := resize(&p.full[0], rows, n), resize(&p.full[1], rows, n)
	d.Copy(r)
	rr, stop := p.numbers(0, rows), p.numbers(1, rows)
	live := rows
	for i := range rows {
		row := r.RawRowView(i)
		rr[i] = floats.Dot(row, row)
		stop[i] = tol * tol * rr[i]
		if rr[i] == 0 {
			live--
		}
		if logp != nil {
			logp[i] = 0
		}
	}
	scale := p.sigma * p.sigma / p.alpha
	for iter := 0; iter < limit && live > 0; iter++ {
		g.lik.WhitenT(z, d)
		g.adjoint(back, z, p)
		p.pull(pulled, back)
		g.push(md, pulled, p)
		g.lik.Whiten(md, md)
		for i := range rows {
			if rr[i] <= stop[i] {
				continue
			}
			di, mdi, ri := d.RawRowView(i), md.RawRowView(i), r.RawRowView(i)
			floats.Scale(scale, mdi)
			floats.Add(mdi, di)
			curvature := floats.Dot(di, mdi)
			if !(curvature > 0) {
				rr[i], stop[i] = 0, 0
				live--
				continue
			}
			step := rr[i] / curvature
			floats.AddScaled(dst.RawRowView(i), step, pulled.RawRowView(i))
			floats.AddScaled(ri, -step, mdi)
			if logp != nil {
				logp[i] -= 0.5 * step * rr[i] // r₀ᵀw grows by step dᵀr₀ = step ‖r‖²
			}
			next := floats.Dot(ri, ri)
			floats.Scale(next/rr[i], di)
			floats.Add(di, ri)
			if rr[i] = next; rr[i] <= stop[i] {
				live--
			}
		}
	}
}
