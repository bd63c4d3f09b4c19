package forward

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

var boundaries = []Boundary{Zero, Periodic, Reflect, Mirror, Nearest}

func applyRow(op inverse.Operator, x []float64) []float64 {
	m, n := op.Dims()
	dst := filledRows(1, m, math.NaN())
	op.Apply(dst, mat.NewDense(1, n, x))
	return dst.RawRowView(0)
}

// The values are those of scipy.ndimage.convolve and convolve1d (scipy 1.17.1)
// with the modes constant, wrap, reflect, mirror and nearest.
func TestConvolutionIsScipys(t *testing.T) {
	image := []float64{1, 2, 4, 8, 3, -1, 5, 0, 2, 7, -3, 6}
	small := mat.NewDense(2, 3, []float64{1, 2, 3, 0, -1, 4})
	large := mat.NewDense(5, 4, []float64{1, 0, 2, -1, 3, 1, 0, 5, 2, -2, 4, 1, 0, 1, 1, 7, 1, 3, -1, 2})
	signal := []float64{1, 2, 4, 8, -3}
	longer := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	conv, line := must[inverse.Linear](t), must[inverse.Linear](t)
	for b, want := range [][5][]float64{
		Zero: {
			{4, 14, 11, 23, 8, 30, 12, 23, -2, 1, 31, -18},
			{23, 55, -16, 76, 25, 27, 86, 26, -1, 93, 5, 56},
			{27, 42, 63, 94, 111}, {3, 11, 3, 50, 31}, {32, 39, 46},
		},
		Periodic: {
			{36, 14, 11, 26, 26, 30, 12, 25, 50, 12, 53, 11},
			{75, 95, 45, 90, 137, 32, 142, 57, 86, 121, 45, 95},
			{146, 113, 25, 98, 122}, {-12, 11, 3, 51, 31}, {158, 162, 142},
		},
		Reflect: {
			{17, 14, 11, 23, 26, 30, 12, 29, 23, 18, 52, -9},
			{52, 90, 25, 139, 55, 65, 129, 81, 40, 113, 95, 48},
			{108, 79, 73, 96, 122}, {8, 11, 3, 47, 45}, {170, 174, 154},
		},
		Mirror: {
			{9, 14, 11, 28, 25, 30, 12, 20, 28, 13, 38, 2},
			{38, 74, 34, 107, 82, 44, 101, 54, 16, 124, 23, 136},
			{189, 116, 97, 114, 145}, {13, 11, 3, 58, 19}, {138, 141, 156},
		},
		Nearest: {
			{17, 14, 11, 23, 26, 30, 12, 29, 23, 18, 52, -9},
			{58, 88, 64, 158, 55, 65, 129, 111, 31, 136, 77, 118},
			{58, 66, 73, 85, 93}, {8, 11, 3, 47, 34}, {101, 117, 136},
		},
	} {
		b := Boundary(b)
		for i, got := range [][]float64{
			applyRow(conv(NewConv2D(3, 4, small, &Conv2DOptions{Boundary: b})), image),
			applyRow(conv(NewConv2D(3, 4, large, &Conv2DOptions{Boundary: b})), image),
			applyRow(line(NewConv1D(5, []float64{1, 2, 3, 5, 7, 11, 13}, &Conv1DOptions{Boundary: b})), signal),
			applyRow(line(NewConv1D(5, []float64{1, -2, 3, 5}, &Conv1DOptions{Boundary: b})), signal),
			applyRow(line(NewConv1D(3, longer, &Conv1DOptions{Boundary: b})), signal[:3]),
		} {
			if !floats.EqualApprox(got, want[i], 1e-12) {
				t.Errorf("%v, case %d: %v, want %v", b, i, got, want[i])
			}
		}
	}
}

// The values are those of numpy.pad (numpy 2.4.6) of 1 2 3 4 by 7 with the
// modes constant, wrap, symmetric, reflect and edge.
func TestBoundariesAreNumpys(t *testing.T) {
	for b, want := range [][]int{
		Zero:     {0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0},
		Periodic: {2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3},
		Reflect:  {2, 3, 4, 4, 3, 2, 1, 1, 2, 3, 4, 4, 3, 2, 1, 1, 2, 3},
		Mirror:   {2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 4, 3},
		Nearest:  {1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4},
	} {
		for i, w := range want {
			if got := Boundary(b).index(i-7, 4) + 1; got != w {
				t.Errorf("%v: index %d is %d, want %d", Boundary(b), i-7, got, w)
			}
		}
	}
}

// psfs are point spread functions that take every way through the choice of
// an algorithm.
func psfs() map[string]*mat.Dense {
	even := mat.NewDense(5, 5, nil) // even, not separable
	for i := range 5 {
		for j := range 5 {
			even.Set(i, j, 1/float64(1+(i-2)*(i-2)+2*(j-2)*(j-2)))
		}
	}
	separable := mat.NewDense(4, 3, nil)
	separable.Outer(1, mat.NewVecDense(4, []float64{1, 2, -1, 3}), mat.NewVecDense(3, []float64{2, 1, -1}))
	src := rng.New(8, 0)
	return map[string]*mat.Dense{
		"1x1": mat.NewDense(1, 1, []float64{-2}), "even 5x5": even, "separable 4x3": separable,
		"2x5": normalRows(2, 5, src), "3x3": normalRows(3, 3, src), "9x8": normalRows(9, 8, src),
		"zero": mat.NewDense(2, 3, nil), "1x70": normalRows(1, 70, src), "30x2": normalRows(30, 2, src),
	}
}

// definition computes the convolution of a stencil as its definition reads.
func (s stencil) definition(x []float64) []float64 {
	p, q := s.h.Dims()
	var y []float64
	for i := 0; i < s.rows; i += s.rowStride {
		for j := 0; j < s.cols; j += s.colStride {
			sum := 0.0
			for k := range p {
				for l := range q {
					r := s.boundary.index(i+s.rowShift-k, s.rows)
					c := s.boundary.index(j+s.colShift-l, s.cols)
					if r >= 0 && c >= 0 {
						sum += s.h.At(k, l) * x[r*s.cols+c]
					}
				}
			}
			y = append(y, sum)
		}
	}
	return y
}

// Every algorithm agrees with the definition, chosen or not.
func TestAlgorithmsAgreeWithTheDefinition(t *testing.T) {
	src := rng.New(9, 0)
	for _, size := range [][4]int{{1, 1, 1, 1}, {1, 13, 1, 1}, {13, 1, 1, 1}, {6, 7, 1, 1}, {12, 10, 1, 1}, {6, 8, 2, 2}, {9, 6, 3, 3}, {6, 5, 3, 1}} {
		for name, h := range psfs() {
			for _, b := range boundaries {
				for _, shift := range [][2]int{{0, 0}, {2, -1}, {1, 0}, {0, -1}} {
					p, q := h.Dims()
					s := stencil{
						rows: size[0], cols: size[1], rowStride: size[2], colStride: size[3],
						h: h, rowShift: p/2 + shift[0], colShift: q/2 + shift[1], boundary: b,
					}
					x := normalRows(1, s.rows*s.cols, src).RawRowView(0)
					want := s.definition(x)
					scale := 1e-13 * (1 + floats.Norm(h.RawMatrix().Data, 1)) * floats.Norm(x, math.Inf(1))
					for algorithm, a := range s.algorithms() {
						got := filledRows(1, len(want), math.NaN()).RawRowView(0)
						a.apply(got, x)
						if d := floats.Distance(got, want, math.Inf(1)); !(d <= scale) {
							t.Errorf("%v, psf %s, %v, shift %v: %s is off by %g", size, name, b, shift, algorithm, d)
						}
						y := normalRows(1, len(want), src).RawRowView(0)
						aty := filledRows(1, len(x), math.NaN()).RawRowView(0)
						a.adjoint(aty, y)
						if err := sameDot(got, y, x, aty, adjointTol); err != nil && floats.Norm(want, 2) > 0 {
							t.Errorf("%v, psf %s, %v, shift %v: the adjoint of %s: %v", size, name, b, shift, algorithm, err)
						}
					}
				}
			}
		}
	}
}

// algorithms returns every algorithm that can compute the stencil.
func (s stencil) algorithms() map[string]vectorMap {
	row, col, g := s.axes()
	as := map[string]vectorMap{
		"direct": newDirect(row, col, g, separable{}),
		"padded": newPadded(row, col, g, s.boundary),
	}
	if f := factor(g, row.p, col.p); f.a != nil {
		as["separable"] = newDirect(row, col, g, f)
	}
	if s.boundary == Periodic {
		as["circulant"] = newCirculant(row, col, g)
	}
	if s.boundary == Reflect && even(row, col, g) {
		as["reflecting"] = newReflecting(row, col, g)
	}
	return as
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		var cases []operatorCase
		sizes, centers := [][2]int{{7, 12}, {1, 1}, {1, 20}, {8, 8}}, [][2]int{{-1, 2}, {}}
		if testing.Short() {
			sizes, centers = sizes[:1], centers[:1]
		}
		for _, size := range sizes {
			for name, h := range psfs() {
				for _, b := range boundaries {
					for _, center := range centers {
						op, err := NewConv2D(size[0], size[1], h, &Conv2DOptions{Boundary: b, Center: center})
						if err != nil {
							t.Fatal(err)
						}
						cases = append(cases, operatorCase{name: fmt.Sprintf("Conv2D/%v/%s/%v/%v", size, name, b, center), op: op})
					}
				}
			}
		}
		// Large enough to be spread over the cores.
		for _, name := range []string{"3x3", "separable 4x3", "9x8"} {
			op, err := NewConv2D(96, 88, psfs()[name], &Conv2DOptions{Boundary: Mirror})
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := op.(*spectralRows); ok {
				op = &s.linearRows // its decomposition takes long
			}
			cases = append(cases, operatorCase{name: "Conv2D/large/" + name, op: op})
		}
		factors := []int{2, 1, 3}
		if testing.Short() {
			factors = factors[:1]
		}
		for _, b := range boundaries {
			op, err := NewConv1D(33, []float64{3, 1, 4, 1, 5, 9}, &Conv1DOptions{Boundary: b, Center: 1})
			if err != nil {
				t.Fatal(err)
			}
			cases = append(cases, operatorCase{name: fmt.Sprintf("Conv1D/%v", b), op: op})
			for _, factor := range factors {
				for name, h := range psfs() {
					op, err := NewDownsample(6, 12, factor, &DownsampleOptions{Kernel: h, Boundary: b})
					if err != nil {
						t.Fatal(err)
					}
					cases = append(cases, operatorCase{name: fmt.Sprintf("Downsample/%d/%s/%v", factor, name, b), op: op})
				}
			}
		}
		for _, factor := range []int{1, 2, 4} {
			op, err := NewDownsample(8, 12, factor, nil)
			if err != nil {
				t.Fatal(err)
			}
			cases = append(cases, operatorCase{name: fmt.Sprintf("Downsample/%d", factor), op: op})
		}
		return cases
	})
}

func TestDownsampleIsTheMeanOfBlocks(t *testing.T) {
	op := must[inverse.Linear](t)(NewDownsample(2, 6, 2, nil))
	got := applyRow(op, []float64{1, 2, 3, 4, 5, 6, 3, 2, 1, 0, 4, 1})
	if want := []float64{2, 2, 4}; !floats.EqualApprox(got, want, 1e-14) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Of a few waves, most of the spectrum is rounding errors, whose directions
// have to be orthonormal all the same.
func TestSpectralOfSmoothConvolutions(t *testing.T) {
	psf := mat.NewDense(24, 20, nil)
	psf.Apply(func(i, j int, _ float64) float64 {
		a, b := 2*math.Pi*float64(i)/24, 2*math.Pi*float64(j)/20
		return math.Cos(a+1) + math.Cos(3*b+2) + math.Cos(2*a-b)
	}, psf)
	op := must[inverse.Linear](t)
	for _, op := range []inverse.Linear{
		op(NewConv2D(24, 20, psf, &Conv2DOptions{Boundary: Periodic})),
		op(NewDownsample(24, 20, 2, &DownsampleOptions{Kernel: psf, Boundary: Periodic})),
	} {
		checkSpectral(t, op.(inverse.Spectral), rng.New(10, 0))
	}
}

// Which operators promise a decomposition.
func TestSpectralConvolutions(t *testing.T) {
	h := psfs()
	for _, tt := range []struct {
		psf      string
		b        Boundary
		size     int
		spectral bool
	}{
		{"9x8", Periodic, 12, true}, {"9x8", Reflect, 12, false}, {"9x8", Zero, 12, false},
		{"even 5x5", Reflect, 12, true}, {"even 5x5", Mirror, 12, false},
		{"separable 4x3", Mirror, 12, true}, {"separable 4x3", Zero, 2049, false},
	} {
		op, err := NewConv2D(12, tt.size, h[tt.psf], &Conv2DOptions{Boundary: tt.b})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := op.(inverse.Spectral); ok != tt.spectral {
			t.Errorf("%s, %v: Spectral is %t, want %t", tt.psf, tt.b, ok, tt.spectral)
		}
	}
}

func TestBadConvolutions(t *testing.T) {
	h := mat.NewDense(2, 2, []float64{1, 2, 3, 4})
	bad := mat.NewDense(1, 2, []float64{1, math.Inf(-1)})
	for _, tt := range []struct {
		want string
		err  func() error
	}{
		{"image is 0×3", func() error { _, err := NewConv2D(0, 3, h, nil); return err }},
		{"psf is nil", func() error { _, err := NewConv2D(2, 3, nil, nil); return err }},
		{"psf is empty (0×0)", func() error { _, err := NewConv2D(2, 3, new(mat.Dense), nil); return err }},
		{"psf has -Inf at [0,1]", func() error { _, err := NewConv2D(2, 3, bad, nil); return err }},
		{"unknown boundary 9", func() error { _, err := NewConv2D(2, 3, h, &Conv2DOptions{Boundary: 9}); return err }},
		{"signal has length -1", func() error { _, err := NewConv1D(-1, []float64{1}, nil); return err }},
		{"psf is empty", func() error { _, err := NewConv1D(3, nil, nil); return err }},
		{"psf has NaN", func() error { _, err := NewConv1D(3, []float64{math.NaN()}, nil); return err }},
		{"unknown boundary -1", func() error { _, err := NewConv1D(3, []float64{1}, &Conv1DOptions{Boundary: -1}); return err }},
		{"factor is 0", func() error { _, err := NewDownsample(4, 4, 0, nil); return err }},
		{"factor is 3, want a positive divisor of the image's sides 6 and 4", func() error { _, err := NewDownsample(6, 4, 3, nil); return err }},
		{"image is 4×0", func() error { _, err := NewDownsample(4, 0, 2, nil); return err }},
		{"kernel has -Inf", func() error { _, err := NewDownsample(4, 4, 2, &DownsampleOptions{Kernel: bad}); return err }},
		{"unknown boundary 5", func() error { _, err := NewDownsample(4, 4, 2, &DownsampleOptions{Boundary: 5}); return err }},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("want an error with %q, got %v", tt.want, err)
		}
	}
}
