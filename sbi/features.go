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
	// nothing and are left out, and so are those that differ in fewer than 10
	// of at least 100: there is next to nothing to learn from them, and they may
	// not differ at all in the rows that are drawn for training. Options.Screen
	// leaves out those that it finds independent of the parameters.
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

// newFeatures chooses the features by the rows of y and, with Options.Screen,
// the parameters theta.
func (o *Options) newFeatures(theta, y *mat.Dense) (Features, error) {
	n, m := y.Dims()
	var f Features
	col := make([]float64, n)
	warped := false
	var depends []bool
	if o.Screen {
		depends = screen(theta, y)
	}
	for j := range m {
		mat.Col(col, j, y)
		slices.Sort(col)
		if almostConstant(col) || o.Screen && !depends[j] {
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

// almostConstant reports whether a sorted column has one value but for a few
// rows.
func almostConstant(col []float64) bool {
	n := len(col)
	few := 0
	if n >= 100 {
		few = 9
	}
	// A run of n - few values begins in the first few + 1.
	for i := range few + 1 {
		if col[i] == col[i+n-few-1] {
			return true
		}
	}
	return false
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

// repeats returns the independent repeats of an experiment that rows of data
// have, one each unless there is a size, and their features.
func (f *Features) repeats(y [][]float64, size, want int) (repeats [][]float64, features []*mat.Dense, err error) {
	for _, row := range y {
		if size == 0 {
			repeats = append(repeats, row)
			continue
		}
		if len(row)%size != 0 {
			return nil, nil, fmt.Errorf("sbi: y has %d elements, want a multiple of RepeatSize, %d", len(row), size)
		}
		repeats = slices.AppendSeq(repeats, slices.Chunk(row, size))
	}
	if len(repeats) == 0 {
		return nil, nil, errors.New("sbi: Given: there are no data")
	}
	features = make([]*mat.Dense, len(repeats))
	for k, one := range repeats {
		if features[k], err = f.given(one, want); err != nil {
			return nil, nil, err
		}
	}
	return repeats, features, nil
}

// single returns the parameters and data of a table with a row for each of the
// independent repeats of the given size, and the number of repeats that have
// the same parameters.
func single(rows *Table, size int) (theta, y *mat.Dense, group int, err error) {
	n, m := rows.Y.Dims()
	_, d := rows.Theta.Dims()
	if size == 0 || size == m {
		return rows.Theta, rows.Y, 1, nil
	}
	if size < 0 || m%size != 0 {
		return nil, nil, 0, fmt.Errorf("Options.RepeatSize is %d, want a divisor of the number of data, %d", size, m)
	}
	group = m / size
	theta, y = mat.NewDense(n*group, d, nil), mat.NewDense(n*group, size, nil)
	for i := range n {
		for k := range group {
			theta.SetRow(i*group+k, rows.Theta.RawRowView(i))
			y.SetRow(i*group+k, rows.Y.RawRowView(i)[k*size:(k+1)*size])
		}
	}
	return theta, y, group, nil
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
