package forward

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/dft"
)

// NewFourier returns the operator that observes some of the Fourier
// coefficients of real rows×cols images, stored row by row, as magnetic
// resonance imaging does:
//
//	X[k,l] = (rows·cols)^(-1/2) Σ_ij x[i,j] exp(-2πi (k i/rows + l j/cols)).
//
// Element k·cols + l of sampled says whether X[k,l] is observed; the zero
// frequency is element 0, not the middle. The data are the real parts of the
// observed coefficients, in order, and then their imaginary parts.
//
// X[-k,-l] is the conjugate of X[k,l]. The singular values that are not 0 are
// 1 for a frequency that is observed with its conjugate or is its own, and
// √½ for one that is observed alone: noise in the data that is independent
// is best averaged by observing both.
//
// It is an error if the image is empty, or nothing or not every element of
// sampled is given.
func NewFourier(rows, cols int, sampled []bool) (inverse.Spectral, error) {
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("forward: image is %d×%d, want positive sizes", rows, cols)
	}
	n := rows * cols
	if len(sampled) != n {
		return nil, fmt.Errorf("forward: sampled has length %d, want %d for an image of %d×%d", len(sampled), n, rows, cols)
	}
	half := 0
	for _, s := range sampled {
		if s {
			half++
		}
	}
	if half == 0 {
		return nil, fmt.Errorf("forward: sampled has no true element of %d", n)
	}
	m := 2 * half
	f := &fourierSampling{fft: dft.NewFFT(rows, cols), modes: fourierModes(rows, cols, sampled, half)}
	for _, mode := range f.modes {
		f.sigma = append(f.sigma, mode.sigma)
	}
	f.work.New = func() any {
		r, h := f.fft.SpectrumDims()
		return &fourierWork{spectrum: make([]complex128, r*h), packed: make([]float64, n)}
	}
	return &spectralRows{linearRows{m, n, f}, f}, nil
}

// fourierSampling is sampling in the orthonormal real Fourier basis of
// [dft.FFT.Pack], where each datum reads one coordinate, and a coordinate is
// read by at most two data, those of a frequency and of its conjugate.
type fourierSampling struct {
	fft   *dft.FFT
	modes []fourierMode
	sigma []float64
	work  sync.Pool // of *fourierWork
}

// fourierMode is one term of the singular value decomposition: v is a packed
// coordinate, and u has the elements a and b at the data i and j, or only a
// if j is negative.
type fourierMode struct {
	sigma float64
	v     int
	i, j  int
	a, b  float64
}

type fourierWork struct {
	spectrum []complex128
	packed   []float64
}

// fourierModes returns the decomposition: first a mode for each coordinate
// that is read, then pairs of what the data and the coordinates have left.
func fourierModes(rows, cols int, sampled []bool, half int) []fourierMode {
	n := rows * cols
	byCoordinate := make([]fourierMode, n) // sigma 0 if it is not read
	var freeU []fourierMode                // data that no image reaches
	read := func(v, i int, weight float64) {
		mode := &byCoordinate[v]
		if mode.sigma == 0 {
			*mode = fourierMode{sigma: math.Abs(weight), v: v, i: i, j: -1, a: math.Copysign(1, weight)}
			return
		}
		w := math.Copysign(math.Sqrt2/2, weight)
		*mode = fourierMode{sigma: 1, v: v, i: mode.i, j: i, a: mode.a * math.Sqrt2 / 2, b: w}
		freeU = append(freeU, fourierMode{i: mode.i, j: i, a: -mode.b, b: mode.a})
	}
	at := 0
	for k := range rows {
		for l := range cols {
			if !sampled[k*cols+l] {
				continue
			}
			// Of (k, l) and its conjugate Pack keeps the waves of the one
			// with the lesser column, or row if the columns are equal.
			p, q, sign := k, l, 1.
			conjP, conjQ := (rows-k)%rows, (cols-l)%cols
			if conjQ < q || conjQ == q && conjP < p {
				p, q, sign = conjP, conjQ, -1
			}
			switch {
			case k == conjP && l == conjQ:
				read(p*cols+q, at, 1)
				freeU = append(freeU, fourierMode{i: half + at, j: -1, a: 1})
			case l == conjQ:
				read(p*cols+q, at, math.Sqrt2/2)
				read((rows-p)%rows*cols+q, half+at, sign*math.Sqrt2/2)
			default:
				read(p*cols+q, at, math.Sqrt2/2)
				read(p*cols+cols-q, half+at, sign*math.Sqrt2/2)
			}
			at++
		}
	}
	var modes []fourierMode
	var freeV []int
	for v, mode := range byCoordinate {
		if mode.sigma > 0 {
			modes = append(modes, mode)
		} else {
			freeV = append(freeV, v)
		}
	}
	for k := range min(len(freeU), len(freeV)) {
		freeU[k].v = freeV[k]
		modes = append(modes, freeU[k])
	}
	return modes
}

func (f *fourierSampling) apply(dst, x []float64) {
	w := f.pack(x)
	clear(dst)
	for k := range f.modes {
		mode := &f.modes[k]
		mode.addU(dst, mode.sigma*w.packed[mode.v])
	}
	f.work.Put(w)
}

func (f *fourierSampling) adjoint(dst, y []float64) {
	w := f.work.Get().(*fourierWork)
	clear(w.packed)
	for k := range f.modes {
		mode := &f.modes[k]
		w.packed[mode.v] = mode.sigma * mode.dotU(y)
	}
	f.unpack(dst, w)
}

func (f *fourierSampling) values() []float64 { return f.sigma }

func (f *fourierSampling) mulV(dst, c []float64) {
	w := f.work.Get().(*fourierWork)
	clear(w.packed)
	for k, v := range c {
		w.packed[f.modes[k].v] = v
	}
	f.unpack(dst, w)
}

func (f *fourierSampling) mulVT(dst, x []float64) {
	w := f.pack(x)
	for k := range dst {
		dst[k] = w.packed[f.modes[k].v]
	}
	f.work.Put(w)
}

func (f *fourierSampling) mulU(dst, c []float64) {
	clear(dst)
	for k, v := range c {
		f.modes[k].addU(dst, v)
	}
}

func (f *fourierSampling) mulUT(dst, y []float64) {
	for k := range dst {
		dst[k] = f.modes[k].dotU(y)
	}
}

// pack returns a work space with the packed coordinates of x.
func (f *fourierSampling) pack(x []float64) *fourierWork {
	w := f.work.Get().(*fourierWork)
	f.fft.Forward(w.spectrum, x)
	f.fft.Pack(w.packed, w.spectrum)
	return w
}

// unpack sets dst to the image of w's packed coordinates and gives w back.
func (f *fourierSampling) unpack(dst []float64, w *fourierWork) {
	f.fft.Unpack(w.spectrum, w.packed)
	f.fft.Inverse(dst, w.spectrum)
	f.work.Put(w)
}

func (m *fourierMode) addU(y []float64, v float64) {
	y[m.i] += m.a * v
	if m.j >= 0 {
		y[m.j] += m.b * v
	}
}

func (m *fourierMode) dotU(y []float64) float64 {
	v := m.a * y[m.i]
	if m.j >= 0 {
		v += m.b * y[m.j]
	}
	return v
}
