package forward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/go-inverse/inverse"
)

// Darcy observes the solution u of the elliptic equation
//
//	-div(θ grad u) = f  in (0, 1)²,  u = 0 on the boundary
//
// at given points, as a function of the coefficient θ: the pressure in a
// porous medium of permeability θ, or the deflection of a membrane of
// stiffness θ. The coefficient is constant on each of k×k equal squares;
// element i k + j of x is its value, or with Log its logarithm, where
// i/k < y < (i+1)/k and j/k < x < (j+1)/k.
//
// The equation is discretised by bilinear finite elements on a mesh of n×n
// squares and solved by a banded Cholesky factorisation, in O(n⁴) operations
// and 8n³ bytes. The vector-Jacobian product is the adjoint-state method and
// costs one more solve with the same factor, which a linearization keeps for
// each row.
//
// Where a coefficient is not positive and finite, the row is NaN.
// A Darcy is safe for concurrent use.
type Darcy struct {
	nonlinear
	mesh   int // n
	blocks int // k
	log    bool
	load   []float64      // ∫ f φ_p of the interior nodes p
	points []interpolated // the observations
	block  []int          // of a row or column of cells
	work   sync.Pool      // *darcyWork
}

var (
	_ inverse.Differentiable = (*Darcy)(nil)
	_ inverse.Linearizer     = (*Darcy)(nil)
)

// DarcyOptions are the options of [NewDarcy].
type DarcyOptions struct {
	// Blocks is the number k of squares along a side on which the coefficient
	// is constant; it divides the size of the mesh. If it is 0, it is
	// defaulted to the size of the mesh: each cell has its own coefficient.
	Blocks int

	// Log is set if x is the logarithm of the coefficient.
	Log bool

	// Source is the right-hand side f. If it is nil, f = 1. It is integrated
	// with 2×2 Gauss points in each cell.
	Source func(x, y float64) float64
}

// NewDarcy returns the Darcy operator on a mesh of n×n cells, observed at
// points (x, y) of the closed unit square. A nil opts means defaults.
func NewDarcy(n int, points [][2]float64, opts *DarcyOptions) (*Darcy, error) {
	if opts == nil {
		opts = &DarcyOptions{}
	}
	k := opts.Blocks
	if k == 0 {
		k = n
	}
	switch {
	case n < 2:
		return nil, fmt.Errorf("forward: the mesh has %d cells along a side, want at least 2", n)
	case k < 0 || n%k != 0:
		return nil, fmt.Errorf("forward: Blocks is %d, want a divisor of the mesh's %d cells", k, n)
	case len(points) == 0:
		return nil, errors.New("forward: points is empty")
	}
	o := &Darcy{mesh: n, blocks: k, log: opts.Log, block: make([]int, n)}
	for i := range o.block {
		o.block[i] = i * k / n
	}
	for i, p := range points {
		if !(p[0] >= 0 && p[0] <= 1 && p[1] >= 0 && p[1] <= 1) {
			return nil, fmt.Errorf("forward: points[%d] is (%g, %g), want a point of the unit square", i, p[0], p[1])
		}
		o.points = append(o.points, interpolate(n, p))
	}
	var err error
	if o.load, err = darcyLoad(n, opts.Source); err != nil {
		return nil, err
	}
	inner := (n - 1) * (n - 1)
	o.work.New = func() any {
		return &darcyWork{state: make([]float64, o.stateLen), rhs: make([]float64, inner), grid: make([]float64, (n+1)*(n+1))}
	}
	o.nonlinear = nonlinear{a: (*darcyModel)(o), m: len(points), n: k * k, stateLen: inner*(n+1) + (n+1)*(n+1) + k*k}
	return o, nil
}

// interpolated is the bilinear interpolation of a point from the corners of
// its cell, in the grid of all (n+1)² nodes.
type interpolated struct {
	node   [4]int
	weight [4]float64
}

func interpolate(n int, p [2]float64) interpolated {
	cell := func(v float64) (int, float64) {
		v *= float64(n)
		c := min(int(v), n-1)
		return c, v - float64(c)
	}
	cx, s := cell(p[0])
	cy, t := cell(p[1])
	first := cy*(n+1) + cx
	return interpolated{
		node:   [4]int{first, first + 1, first + n + 1, first + n + 2},
		weight: [4]float64{(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t},
	}
}

// darcyLoad returns the integrals of f times the basis functions of the
// interior nodes.
func darcyLoad(n int, f func(x, y float64) float64) ([]float64, error) {
	inner := n - 1
	h := 1 / float64(n)
	load := make([]float64, inner*inner)
	gauss := []float64{0.5 - math.Sqrt(1./12), 0.5 + math.Sqrt(1./12)}
	for cy := range n {
		for cx := range n {
			for _, t := range gauss {
				for _, s := range gauss {
					v := 1.0
					if f != nil {
						x, y := (float64(cx)+s)*h, (float64(cy)+t)*h
						v = f(x, y)
						if math.IsNaN(v) || math.IsInf(v, 0) {
							return nil, fmt.Errorf("forward: Source(%g, %g) is %g", x, y, v)
						}
					}
					for i, wy := range []float64{1 - t, t} {
						for j, wx := range []float64{1 - s, s} {
							iy, ix := cy+i, cx+j
							if iy > 0 && iy < n && ix > 0 && ix < n {
								load[(iy-1)*inner+ix-1] += v * wy * wx * h * h / 4
							}
						}
					}
				}
			}
		}
	}
	return load, nil
}

// darcyModel is a Darcy as a map of one vector.
type darcyModel Darcy

// darcyWork is the workspace of one solve.
type darcyWork struct {
	state     []float64 // where only the value is wanted
	rhs, grid []float64
}

// parts cuts a state: the banded factor, the solution on the grid of all
// nodes, and the coefficients.
func (o *darcyModel) parts(state []float64) (factor, u, theta []float64) {
	n := o.mesh
	f, g := (n-1)*(n-1)*(n+1), (n+1)*(n+1)
	return state[:f], state[f : f+g], state[f+g:]
}

func (o *darcyModel) value(dst, x []float64) {
	w := o.work.Get().(*darcyWork)
	defer o.work.Put(w)
	o.solve(dst, w.state, x, w)
}

func (o *darcyModel) linearize(dst, state, x []float64) {
	w := o.work.Get().(*darcyWork)
	defer o.work.Put(w)
	o.solve(dst, state, x, w)
}

func (o *darcyModel) solve(dst, state, x []float64, w *darcyWork) {
	factor, u, theta := o.parts(state)
	copy(theta, x)
	if o.log {
		for i, v := range x {
			theta[i] = math.Exp(v)
		}
	}
	ok := !slices.ContainsFunc(theta, func(v float64) bool { return !(v > 0) || math.IsInf(v, 1) })
	if ok {
		o.assemble(factor, theta)
		_, ok = lapack64.Pbtrf(blas64.SymmetricBand{Uplo: blas.Upper, N: len(o.load), K: o.mesh, Stride: o.mesh + 1, Data: factor})
	}
	if !ok {
		fillNaN(dst)
		theta[0] = math.NaN() // for vjp
		return
	}
	copy(w.rhs, o.load)
	o.backSolve(factor, w.rhs)
	o.spread(u, w.rhs)
	for i := range o.points {
		p := &o.points[i]
		dst[i] = 0
		for c, node := range p.node {
			dst[i] += p.weight[c] * u[node]
		}
	}
}

// vjp is the adjoint-state method: with K λ = Pᵀy, where P takes the solution
// to the observations, the derivative by the coefficient of block b is
// -λᵀ (∂K/∂θ_b) u.
func (o *darcyModel) vjp(dst, state, y []float64) {
	factor, u, theta := o.parts(state)
	if math.IsNaN(theta[0]) {
		fillNaN(dst)
		return
	}
	w := o.work.Get().(*darcyWork)
	defer o.work.Put(w)
	n := o.mesh
	lambda := w.grid
	clear(lambda)
	for i := range o.points {
		p := &o.points[i]
		for c, node := range p.node {
			lambda[node] += p.weight[c] * y[i]
		}
	}
	for i := range n - 1 {
		copy(w.rhs[i*(n-1):(i+1)*(n-1)], lambda[(i+1)*(n+1)+1:])
	}
	o.backSolve(factor, w.rhs)
	o.spread(lambda, w.rhs)

	clear(dst)
	for cy := range n {
		row := dst[o.block[cy]*o.blocks:]
		u0, u1 := u[cy*(n+1):], u[(cy+1)*(n+1):]
		l0, l1 := lambda[cy*(n+1):], lambda[(cy+1)*(n+1):]
		for cx, b := range o.block {
			row[b] -= cellEnergy(u0[cx], u0[cx+1], u1[cx], u1[cx+1], l0[cx], l0[cx+1], l1[cx], l1[cx+1])
		}
	}
	if o.log {
		for i, v := range theta {
			dst[i] *= v
		}
	}
}

// cellEnergy is λᵀK u for the stiffness matrix of a bilinear square with
// coefficient 1, whose entries are 2/3 (diagonal), -1/6 (nodes joined by a
// side) and -1/3 (opposite nodes), whatever its size.
func cellEnergy(u00, u01, u10, u11, l00, l01, l10, l11 float64) float64 {
	return l00*(2./3*u00-1./6*(u01+u10)-1./3*u11) +
		l01*(2./3*u01-1./6*(u00+u11)-1./3*u10) +
		l10*(2./3*u10-1./6*(u00+u11)-1./3*u01) +
		l11*(2./3*u11-1./6*(u01+u10)-1./3*u00)
}

// assemble stores the stiffness matrix of the interior nodes, row by row, as
// a band of width n above the diagonal.
func (o *darcyModel) assemble(band, theta []float64) {
	n := o.mesh
	clear(band)
	for iy := 1; iy < n; iy++ {
		below, above := theta[o.block[iy-1]*o.blocks:], theta[o.block[iy]*o.blocks:]
		for ix := 1; ix < n; ix++ {
			a := band[:n+1]
			band = band[n+1:]
			left, right := o.block[ix-1], o.block[ix]
			a[0] = 2. / 3 * (below[left] + below[right] + above[left] + above[right])
			if ix < n-1 {
				a[1] = -1. / 6 * (below[right] + above[right])
			}
			if iy == n-1 {
				continue
			}
			// To the three nodes of the next row.
			if ix > 1 {
				a[n-2] = -1. / 3 * above[left]
			}
			a[n-1] = -1. / 6 * (above[left] + above[right])
			if ix < n-1 {
				a[n] = -1. / 3 * above[right]
			}
		}
	}
}

// backSolve solves K z = rhs in place with the factor of K.
func (o *darcyModel) backSolve(factor, rhs []float64) {
	lapack64.Pbtrs(
		blas64.TriangularBand{Uplo: blas.Upper, Diag: blas.NonUnit, N: len(rhs), K: o.mesh, Stride: o.mesh + 1, Data: factor},
		blas64.General{Rows: len(rhs), Cols: 1, Stride: 1, Data: rhs})
}

// spread stores the values z of the interior nodes in the grid of all nodes,
// with zeros on the boundary.
func (o *darcyModel) spread(grid, z []float64) {
	n := o.mesh
	clear(grid)
	for i := range n - 1 {
		copy(grid[(i+1)*(n+1)+1:(i+2)*(n+1)-1], z[i*(n-1):(i+1)*(n-1)])
	}
}
