package ode

import (
	"math"

	"gonum.org/v1/gonum/mat"
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
	s.evaluate(t, y, s.p)
	for i := range d {
		row := dz[d+i*q : d+(i+1)*q]
		clear(row)
		copy(row, s.rowP(i))
		for k, a := range s.dfdy.RawRowView(i) {
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
	yh, ph     []float64
	fp, fm     []float64
}

func newJacobian(sys System) jacobian {
	j := jacobian{
		sys:  sys,
		dfdy: mat.NewDense(sys.Dim, sys.Dim, nil),
		yh:   make([]float64, sys.Dim),
		ph:   make([]float64, sys.Params),
		fp:   make([]float64, sys.Dim),
		fm:   make([]float64, sys.Dim),
	}
	if sys.Params > 0 {
		j.dfdp = mat.NewDense(sys.Dim, sys.Params, nil)
	}
	return j
}

func (j *jacobian) rowP(i int) []float64 {
	if j.dfdp == nil {
		return nil
	}
	return j.dfdp.RawRowView(i)
}

func (j *jacobian) evaluate(t float64, y, p []float64) {
	if j.sys.Jacobian != nil {
		j.dfdy.Zero()
		if j.dfdp != nil {
			j.dfdp.Zero()
		}
		j.sys.Jacobian(j.dfdy, j.dfdp, t, y, p)
		return
	}
	copy(j.yh, y)
	copy(j.ph, p)
	j.differences(j.dfdy, j.yh, t)
	if j.dfdp != nil {
		j.differences(j.dfdp, j.ph, t)
	}
}

// differences stores in dst the derivatives of f(t, yh; ph) by v, which is yh
// or ph, by central differences. The step is relative to v_i, or to the
// largest component where v_i is much smaller than that.
func (j *jacobian) differences(dst *mat.Dense, v []float64, t float64) {
	const rel = 6e-6 // ∛ε
	var scale float64
	for _, a := range v {
		scale = math.Max(scale, math.Abs(a))
	}
	if scale == 0 {
		scale = 1
	}
	for c, a := range v {
		h := rel * math.Max(math.Abs(a), 1e-3*scale)
		v[c] = a + h
		up := v[c]
		j.sys.Func(j.fp, t, j.yh, j.ph)
		v[c] = a - h
		down := v[c]
		j.sys.Func(j.fm, t, j.yh, j.ph)
		v[c] = a
		for i := range j.fp {
			dst.Set(i, c, (j.fp[i]-j.fm[i])/(up-down))
		}
	}
}
