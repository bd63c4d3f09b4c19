package ode

import (
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/diff"
)

// rate stores the time derivative of the state z in dz. For the sensitivities
// S = ∂y/∂(p, y0) these are the variational equations S' = f_y S + f_p.
func (s *Solver) rate(dz []float64, t float64, z []float64) {
	d, q := s.sys.Dim, s.q
	y := z[:d]
	s.sys.Func(dz[:d], t, y, s.p)
	if s.n == d {
		return
	}
	s.jac.evaluate(t, y, s.p)
	for i := range d {
		row := dz[d+i*q : d+(i+1)*q]
		clear(row)
		if s.jac.dfdp != nil {
			copy(row, s.jac.dfdp.RawRowView(i))
		}
		for k, a := range s.jac.dfdy.RawRowView(i) {
			if a == 0 {
				continue
			}
			for j, v := range z[d+k*q : d+(k+1)*q] {
				row[j] += a * v
			}
		}
	}
}

// jacobian evaluates f_y and f_p.
type jacobian struct {
	sys        System
	dfdy, dfdp *mat.Dense // dfdp is nil without parameters

	byY, byP *diff.Jacobian // without System.Jacobian, at:
	t        float64
	y, p     []float64
}

func newJacobian(sys System) *jacobian {
	j := &jacobian{sys: sys, dfdy: mat.NewDense(sys.Dim, sys.Dim, nil)}
	if sys.Params > 0 {
		j.dfdp = mat.NewDense(sys.Dim, sys.Params, nil)
	}
	if sys.Jacobian == nil {
		j.byY = diff.NewJacobian(sys.Dim, sys.Dim, func(dst, y []float64) { sys.Func(dst, j.t, y, j.p) })
		j.byP = diff.NewJacobian(sys.Dim, sys.Params, func(dst, p []float64) { sys.Func(dst, j.t, j.y, p) })
	}
	return j
}

func (j *jacobian) evaluate(t float64, y, p []float64) {
	if j.sys.Jacobian == nil {
		j.t, j.y, j.p = t, y, p
		j.byY.At(j.dfdy.RawMatrix().Data, y)
		if j.dfdp != nil {
			j.byP.At(j.dfdp.RawMatrix().Data, p)
		}
		return
	}
	j.dfdy.Zero()
	if j.dfdp != nil {
		j.dfdp.Zero()
	}
	j.sys.Jacobian(j.dfdy, j.dfdp, t, y, p)
}
