package flow

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// scaling standardises the columns of a matrix: (x - Mean)/Scale. Its fields
// are encoded in files.
type scaling struct {
	Mean, Scale []float64
}

// newScaling returns the scaling by the mean and standard deviation of the
// given rows of x. Columns whose numbers are equal modulo period share them.
// The error names a column without spread.
func newScaling(name string, x *mat.Dense, rows []int, period int) (scaling, error) {
	_, d := x.Dims()
	s := scaling{make([]float64, d), make([]float64, d)}
	for j := range period {
		n := float64(len(rows) * ((d - j + period - 1) / period))
		lo, hi, sum := math.Inf(1), math.Inf(-1), 0.0
		for _, i := range rows {
			for k := j; k < d; k += period {
				v := x.At(i, k)
				lo, hi = min(lo, v), max(hi, v)
				sum += v / n
			}
		}
		var ss float64
		for _, i := range rows {
			for k := j; k < d; k += period {
				v := x.At(i, k) - sum
				ss += v * v / n
			}
		}
		sd := math.Sqrt(ss)
		switch {
		case lo == hi || sd <= 1e-14*math.Abs(sum):
			return s, fmt.Errorf("flow: column %d of %s has no spread: it is %g in all of the %d training rows", j, name, lo, len(rows))
		case !(sd >= 1e-150) || math.IsInf(sd, 0):
			return s, fmt.Errorf("flow: column %d of %s has the standard deviation %g, which cannot be scaled to 1", j, name, sd)
		}
		for k := j; k < d; k += period {
			s.Mean[k], s.Scale[k] = sum, sd
		}
	}
	return s, nil
}

// identity returns the scaling of d columns that changes nothing.
func identity(d int) scaling {
	s := scaling{make([]float64, d), make([]float64, d)}
	fill(s.Scale, 1)
	return s
}

// check returns an error unless the scaling, read from a file, is one of d
// columns.
func (s scaling) check(name string, d int) error {
	if len(s.Mean) != d || len(s.Scale) != d {
		return fmt.Errorf("scaling of %s has %d means and %d scales, want %d", name, len(s.Mean), len(s.Scale), d)
	}
	for j, v := range s.Scale {
		if !(v > 0) || math.IsInf(v, 0) || math.IsNaN(s.Mean[j]) || math.IsInf(s.Mean[j], 0) {
			return fmt.Errorf("scaling of %s: column %d has mean %g and scale %g", name, j, s.Mean[j], v)
		}
	}
	return nil
}

// apply sets dst to the standardised row x, which it may be.
func (s scaling) apply(dst, x []float64) {
	for j, v := range x {
		dst[j] = (v - s.Mean[j]) / s.Scale[j]
	}
}

// undo is the inverse of apply.
func (s scaling) undo(dst, x []float64) {
	for j, v := range x {
		dst[j] = s.Mean[j] + s.Scale[j]*v
	}
}

// logDet returns log |det ∂apply(x)/∂x|.
func (s scaling) logDet() (l float64) {
	for _, v := range s.Scale {
		l -= math.Log(v)
	}
	return l
}
