package sbi

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Features say what a network sees of the data. The zero value is the data as
// they are. It can be encoded as JSON, to be kept with a flow that is saved.
type Features struct {
	// Columns are the columns of the data that the network sees, and nil if it
	// sees all of them. Columns that are the same in all simulations say
	// nothing and are left out.
	Columns []int
	// Center and Scale have an element for each column that the network sees,
	// or are nil. Where Scale is positive, the network sees
	//
	//	sign(y - Center) log(1 + |y - Center|/Scale)
	//
	// instead of y: data with outliers, more than ten times the interquartile
	// range from a quartile, or of several orders of magnitude, would
	// otherwise leave all of the ordinary data near one point.
	Center, Scale []float64
}

// newFeatures chooses the features by the rows of y.
func newFeatures(y *mat.Dense) (Features, error) {
	n, m := y.Dims()
	var f Features
	col := make([]float64, n)
	warped := false
	for j := range m {
		mat.Col(col, j, y)
		slices.Sort(col)
		if col[0] == col[n-1] {
			continue
		}
		center, scale := warpOf(col)
		f.Columns = append(f.Columns, j)
		f.Center, f.Scale = append(f.Center, center), append(f.Scale, scale)
		warped = warped || scale > 0
	}
	switch len(f.Columns) {
	case 0:
		return f, errors.New("sbi: the data of all simulations are the same")
	case m:
		f.Columns = nil
	}
	if !warped {
		f.Center, f.Scale = nil, nil
	}
	return f, nil
}

// warpOf returns the center and scale of a sorted column, 0 for one without
// outliers.
func warpOf(col []float64) (center, scale float64) {
	quantile := func(p float64) float64 { return stat.Quantile(p, stat.Empirical, col, nil) }
	lo, mid, hi := quantile(0.25), quantile(0.5), quantile(0.75)
	n := len(col)
	far := 10 * (hi - lo)
	if hi > lo && col[0] >= lo-far && col[n-1] <= hi+far {
		return 0, 0
	}
	if hi == lo && math.Max(col[n-1]-mid, mid-col[0]) <= 10*stat.StdDev(col, nil) {
		return 0, 0
	}
	if col[0] >= 0 { // counts, or of several orders of magnitude
		for _, v := range col {
			if v > 0 {
				return 0, v
			}
		}
	}
	away := make([]float64, n)
	for i, v := range col {
		away[i] = math.Abs(v - mid)
	}
	slices.Sort(away)
	for _, v := range away[n/2:] { // the median distance, unless it is 0
		if v > 0 {
			return mid, v
		}
	}
	return 0, 0
}

// valid returns an error if the features are none that newFeatures makes.
func (f *Features) valid() error {
	if len(f.Center) != len(f.Scale) || f.Columns != nil && len(f.Columns) == 0 || !finite(f.Center) || !finite(f.Scale) {
		return fmt.Errorf("features of columns %v with centers %v and scales %v", f.Columns, f.Center, f.Scale)
	}
	for k, j := range f.Columns {
		if j < 0 || k > 0 && j <= f.Columns[k-1] {
			return fmt.Errorf("features of columns %v, want increasing numbers", f.Columns)
		}
	}
	return nil
}

// given returns the features of y, as a network with so many of them sees them.
// The error says that y has another number of elements, or one that is not
// finite.
func (f *Features) given(y []float64, want int) (*mat.Dense, error) {
	if n := len(f.Columns); len(y) == 0 || n > 0 && f.Columns[n-1] >= len(y) {
		return nil, fmt.Errorf("sbi: y has %d elements, which are not those of the simulations", len(y))
	}
	row := f.of(mat.NewDense(1, len(y), slices.Clone(y)))
	if _, n := row.Dims(); n != want {
		return nil, fmt.Errorf("sbi: y has %d elements, the network sees %d of them, want %d", len(y), n, want)
	}
	if !finite(row.RawRowView(0)) {
		return nil, fmt.Errorf("sbi: the data are not finite: %v", y)
	}
	return row, nil
}

// repeats returns the features of independent repeats of an experiment.
func (f *Features) repeats(y [][]float64, want int) ([]*mat.Dense, error) {
	if len(y) == 0 {
		return nil, errors.New("sbi: Given: there are no data")
	}
	rows := make([]*mat.Dense, len(y))
	for k, row := range y {
		var err error
		if rows[k], err = f.given(row, want); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// of returns the features of the rows of y, which is y itself if that is what
// the network sees.
func (f *Features) of(y *mat.Dense) *mat.Dense {
	if f.Columns == nil && f.Scale == nil {
		return y
	}
	n, m := y.Dims()
	columns := f.Columns
	if columns == nil {
		columns = make([]int, m)
		for j := range columns {
			columns[j] = j
		}
	}
	s := mat.NewDense(n, len(columns), nil)
	for i := range n {
		for k, j := range columns {
			v := y.At(i, j)
			if f.Scale != nil && f.Scale[k] > 0 {
				v -= f.Center[k]
				v = math.Copysign(math.Log1p(math.Abs(v)/f.Scale[k]), v)
			}
			s.Set(i, k, v)
		}
	}
	return s
}

// logDet returns the log of the determinant of the map from the columns that
// the network sees to the features at y.
func (f *Features) logDet(y []float64) (l float64) {
	for k, s := range f.Scale {
		if s > 0 {
			j := k
			if f.Columns != nil {
				j = f.Columns[k]
			}
			l -= math.Log(s + math.Abs(y[j]-f.Center[k]))
		}
	}
	return l
}

// featuresFor chooses the features unless a network that embeds the data needs
// all of them as they are.
func featuresFor(y *mat.Dense, embedded bool) (Features, error) {
	if embedded {
		return Features{}, nil
	}
	return newFeatures(y)
}
