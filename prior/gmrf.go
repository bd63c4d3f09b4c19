package prior

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/internal/rng"
)

// Boundary says what a difference sees beyond the edge of a grid.
type Boundary int

const (
	// Neumann reflects the grid: no difference across the edge.
	Neumann Boundary = iota
	// Periodic continues the grid with its opposite side.
	Periodic
	// Dirichlet continues the grid with zeros.
	Dirichlet
)

// String returns the name of the constant.
func (b Boundary) String() string {
	switch b {
	case Neumann:
		return "Neumann"
	case Periodic:
		return "Periodic"
	case Dirichlet:
		return "Dirichlet"
	}
	return fmt.Sprintf("Boundary(%d)", int(b))
}

// GMRFOptions are the options of NewGMRF1D and NewGMRF2D.
type GMRFOptions struct {
	// Order is 1 or 2: it penalises first differences, as a random walk does,
	// or second ones, which gives smoother fields. If Order is 0, it will be
	// defaulted to 1.
	Order int

	// Precision is the factor τ. If Precision is 0, it will be defaulted to 1.
	Precision float64

	// Range is the correlation length in grid cells, the distance at which
	// the correlation has fallen to about 0.1:
	//
	//	κ = sqrt(8 max(ν, 1/2))/Range,  ν = Order - d/2 in d dimensions
	//
	// (Lindgren, Rue and Lindström, 2011, section 2.2). If Range is 0, it
	// will be defaulted to the longer side of the grid: the prior is proper,
	// but leaves the level of the field nearly free. An infinite Range is
	// κ = 0, which is proper with Dirichlet boundaries only.
	Range float64

	// Boundary is Neumann if not set.
	Boundary Boundary

	// Mean is the mean, one element a grid cell; nil means 0.
	Mean []float64

	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// GMRF is a Gaussian Markov random field: the density N(μ, Q⁻¹) on a grid,
// stored row by row, with the sparse precision
//
//	Q = τ (κ²I + L)^Order
//
// where L is the discrete Laplacian, the sum of (xᵢ - xⱼ) over the neighbours
// j of cell i. It approximates a Matérn field (Lindgren, Rue and Lindström,
// 2011).
//
// LogProb and its score cost n operations. Draws and products with Q⁻¹ cost
// n log n, by the cosine, Fourier or sine transform that diagonalises L. No
// n×n matrix is formed. Transforms are fastest where the sides of the grid
// (with Dirichlet, the sides plus 1) have small prime factors only.
type GMRF struct {
	rows, cols int
	line       bool // one-dimensional
	order      int
	tau, kappa float64
	boundary   Boundary
	mean       []float64
	q          []float64 // eigenvalues of Q
	sd         []float64 // 1/sqrt(q)
	logDet     float64   // log det Q
	basis      basis
	zeros      []float64 // a row of zeros
	src        rand.Source
	scratch    scratch
}

var (
	_ Prior         = (*GMRF)(nil)
	_ Diffusible    = (*GMRF)(nil)
	_ distmv.Rander = (*GMRF)(nil)
)

// NewGMRF1D returns a field on n cells in a line. It returns an error if n or
// an option is out of range.
func NewGMRF1D(n int, opt *GMRFOptions) (*GMRF, error) {
	if n < 1 {
		return nil, fmt.Errorf("prior: GMRF: n = %d is not positive", n)
	}
	return newGMRF(1, n, true, opt)
}

// NewGMRF2D returns a field on a grid. It returns an error if a dimension or
// an option is out of range.
func NewGMRF2D(rows, cols int, opt *GMRFOptions) (*GMRF, error) {
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("prior: GMRF: a grid of %d×%d cells", rows, cols)
	}
	return newGMRF(rows, cols, false, opt)
}

func newGMRF(rows, cols int, line bool, opt *GMRFOptions) (*GMRF, error) {
	o := GMRFOptions{}
	if opt != nil {
		o = *opt
	}
	if o.Order == 0 {
		o.Order = 1
	}
	if o.Order != 1 && o.Order != 2 {
		return nil, fmt.Errorf("prior: GMRF: Order is %d, want 1 or 2", o.Order)
	}
	if o.Precision == 0 {
		o.Precision = 1
	}
	if !(o.Precision > 0) || math.IsInf(o.Precision, 1) {
		return nil, fmt.Errorf("prior: GMRF: Precision is %g, want a positive number", o.Precision)
	}
	if o.Range == 0 {
		o.Range = float64(max(rows, cols))
	}
	if !(o.Range > 0) {
		return nil, fmt.Errorf("prior: GMRF: Range is %g, want a positive number of cells", o.Range)
	}
	if o.Boundary < Neumann || o.Boundary > Dirichlet {
		return nil, fmt.Errorf("prior: GMRF: Boundary is %v", o.Boundary)
	}
	if math.IsInf(o.Range, 1) && o.Boundary != Dirichlet {
		return nil, fmt.Errorf("prior: GMRF: an infinite Range is improper with Boundary %v", o.Boundary)
	}
	mean, err := checkMean(o.Mean, rows*cols)
	if err != nil {
		return nil, fmt.Errorf("prior: GMRF: %w", err)
	}

	nu := float64(o.Order) - 1
	if line {
		nu = float64(o.Order) - 0.5
	}
	f := &GMRF{
		rows: rows, cols: cols, line: line,
		order: o.Order, tau: o.Precision, boundary: o.Boundary,
		kappa: math.Sqrt(8*math.Max(nu, 0.5)) / o.Range,
		mean:  mean,
		q:     make([]float64, rows*cols),
		sd:    make([]float64, rows*cols),
		basis: newBasis(o.Boundary, rows, cols),
		zeros: make([]float64, cols),
		src:   rng.Or(o.Src),
	}
	for k := range rows {
		for l := range cols {
			e := f.kappa*f.kappa + laplacian(o.Boundary, l, cols)
			if !line {
				e += laplacian(o.Boundary, k, rows)
			}
			q := f.tau * e
			if f.order == 2 {
				q *= e
			}
			if f.q[k*cols+l] = q; !(q > 0) || math.IsInf(q, 1) {
				return nil, fmt.Errorf("prior: GMRF: Precision %g and Range %g overflow", o.Precision, o.Range)
			}
			f.sd[k*cols+l] = 1 / math.Sqrt(q)
			f.logDet += math.Log(q)
		}
	}
	return f, nil
}

// Dim returns the number n of cells.
func (f *GMRF) Dim() int { return len(f.mean) }

// GridDims returns the size of the grid; a line is one row.
func (f *GMRF) GridDims() (rows, cols int) { return f.rows, f.cols }

// Mean stores μ in dst, which is allocated if nil, and returns it.
func (f *GMRF) Mean(dst []float64) []float64 {
	dst = use(dst, f.Dim())
	copy(dst, f.mean)
	return dst
}

// LogDet returns log det Q⁻¹.
func (f *GMRF) LogDet() float64 { return -f.logDet }

// LogProb returns the log density at x.
func (f *GMRF) LogProb(x []float64) float64 {
	p := f.scratch.get(f.Dim())
	logp := f.LogProbScore(*p, x)
	f.scratch.put(p)
	return logp
}

// ScoreInput stores -Q(x - μ) in score, which is allocated if nil, and
// returns it.
func (f *GMRF) ScoreInput(score, x []float64) []float64 { return scoreOf(f, score, x) }

// LogProbScore stores the score in score and returns the log density.
func (f *GMRF) LogProbScore(score, x []float64) float64 {
	checkPoint(x, f.Dim())
	checkPoint(score, f.Dim())
	p := f.scratch.get(f.Dim())
	d := *p
	floats.SubTo(d, f.mean, x)
	f.shifted(score, d)
	quad := 0.0
	if f.order == 2 {
		quad = f.tau * floats.Dot(score, score)
		copy(d, score)
		f.shifted(score, d)
	} else {
		quad = f.tau * floats.Dot(score, d)
	}
	floats.Scale(f.tau, score)
	f.scratch.put(p)
	return 0.5 * (f.logDet - float64(f.Dim())*math.Log(2*math.Pi) - quad)
}

// MulPrecision sets the rows of dst to Q x_i. It may be x itself.
func (f *GMRF) MulPrecision(dst, x *mat.Dense) {
	checkRows(dst, x, f.Dim())
	p := f.scratch.get(f.Dim())
	for i := range x.RawMatrix().Rows {
		to := dst.RawRowView(i)
		copy(*p, x.RawRowView(i))
		f.shifted(to, *p)
		if f.order == 2 {
			copy(*p, to)
			f.shifted(to, *p)
		}
		floats.Scale(f.tau, to)
	}
	f.scratch.put(p)
}

// MulCovariance sets the rows of dst to Q⁻¹x_i. It may be x itself.
func (f *GMRF) MulCovariance(dst, x *mat.Dense) {
	checkRows(dst, x, f.Dim())
	for i := range x.RawMatrix().Rows {
		to := dst.RawRowView(i)
		f.basis.forward(to, x.RawRowView(i))
		floats.Div(to, f.q)
		f.basis.inverse(to, to)
	}
}

// Rand draws from the options' source into x, which is allocated if nil.
func (f *GMRF) Rand(x []float64) []float64 { return randOf(f, x, f.src) }

// Draw fills the rows of dst with independent draws from src.
func (f *GMRF) Draw(dst *mat.Dense, src rand.Source) { drawRows(f, dst, src) }

func (f *GMRF) draw(x []float64, src rand.Source) {
	rng.FillNormal(x, src)
	floats.Mul(x, f.sd)
	f.basis.inverse(x, x)
	floats.Add(x, f.mean)
}

// shifted sets dst to (κ²I + L)x.
func (f *GMRF) shifted(dst, x []float64) {
	n, k := f.cols, f.kappa*f.kappa
	for i := range f.rows {
		row, to := x[i*n:(i+1)*n], dst[i*n:(i+1)*n]
		up, down := row, row // no difference along a column
		if !f.line {
			up, down = f.row(x, i, i-1), f.row(x, i, i+1)
		}
		left := f.beyond(row, 0, n-1)
		for j, v := range row {
			right := 0.0
			if j < n-1 {
				right = row[j+1]
			} else {
				right = f.beyond(row, n-1, 0)
			}
			to[j] = k*v + (v - left) + (v - right) + (v - up[j]) + (v - down[j])
			left = v
		}
	}
}

// beyond returns what a difference across an end of the row sees.
func (f *GMRF) beyond(row []float64, end, opposite int) float64 {
	switch f.boundary {
	case Neumann:
		return row[end]
	case Periodic:
		return row[opposite]
	}
	return 0
}

// row returns row j of x, or what a difference from row i sees there beyond
// an edge.
func (f *GMRF) row(x []float64, i, j int) []float64 {
	if j < 0 || j >= f.rows {
		switch f.boundary {
		case Neumann:
			j = i
		case Periodic:
			j = (j + f.rows) % f.rows
		case Dirichlet:
			return f.zeros
		}
	}
	return x[j*f.cols : (j+1)*f.cols]
}
