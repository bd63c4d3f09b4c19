package main

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

func noise(rows, n int, seed uint64) *mat.Dense {
	r := rand.New(rand.NewPCG(seed, 0))
	x := mat.NewDense(rows, n, nil)
	for i := range rows {
		for j := range n {
			x.Set(i, j, r.NormFloat64())
		}
	}
	return x
}

// The magnitudes are those of gonum's transforms of rows and columns, and the
// derivative is that of differences.
func TestCamera(t *testing.T) {
	const side, wide = 4, 8
	c, err := newCamera(side)
	if err != nil {
		t.Fatal(err)
	}
	m, n := c.Dims()
	x := noise(2, n, 1)
	y := mat.NewDense(2, m, nil)
	c.Apply(y, x)
	var plane [wide][wide]complex128
	for i := range side {
		for j := range side {
			plane[i][j] = complex((x.At(1, i*side+j)+1)/2, 0)
		}
	}
	f := fourier.NewCmplxFFT(wide)
	for i := range wide {
		f.Coefficients(plane[i][:], plane[i][:])
	}
	column := make([]complex128, wide)
	for j := range wide {
		for i := range wide {
			column[i] = plane[i][j]
		}
		f.Coefficients(column, column)
		for i := range wide {
			plane[i][j] = column[i]
		}
	}
	at := 0
	for k := range wide {
		for l := range wide {
			if k*wide+l > (wide-k)%wide*wide+(wide-l)%wide {
				continue
			}
			if got, want := y.At(1, at), cmplx.Abs(plane[k][l])/wide; math.Abs(got-want) > 1e-12 {
				t.Errorf("frequency (%d, %d): %g, want %g", k, l, got, want)
			}
			at++
		}
	}
	if at != m {
		t.Errorf("%d data, want %d", m, at)
	}
	if err := forward.CheckVJP(c, x, rand.NewPCG(2, 0)); err != nil {
		t.Error(err)
	}
}

// An image that is turned by half a circle has the same data.
func TestCameraAmbiguity(t *testing.T) {
	c, err := newCamera(5)
	if err != nil {
		t.Fatal(err)
	}
	m, n := c.Dims()
	x := noise(1, n, 1)
	y, z := mat.NewDense(1, m, nil), mat.NewDense(1, m, nil)
	c.Apply(y, x)
	c.Apply(z, mat.NewDense(1, n, turn(x.RawRowView(0))))
	if !mat.EqualApprox(y, z, 1e-12) {
		t.Error("the data tell which way up the image is")
	}
}

// For draws of the distribution that the truth is from, intervals have their
// coverage, and a draw the error √2 times that of the mean.
func TestFigures(t *testing.T) {
	const n = 400
	id, err := forward.NewIdentity(n)
	if err != nil {
		t.Fatal(err)
	}
	s := &solved{truth: noise(1, n, 1).RawRowView(0), data: noise(1, n, 2).RawRowView(0), draws: noise(2000, n, 3)}
	s.measure(task{op: id, sigma: math.Sqrt2})
	if math.Abs(s.Coverage-.9) > 4*math.Sqrt(.9*.1/n) || s.Open != 1 {
		t.Errorf("coverage %g of %g", s.Coverage, s.Open)
	}
	if got, want := s.MeanDB-s.DrawDB, 10*math.Log10(2); math.Abs(got-want) > .3 {
		t.Errorf("the mean is better than a draw by %g dB, want %g", got, want)
	}
	if math.Abs(s.Chi2-1) > .1 {
		t.Errorf("χ² %g per datum of differences of independent draws, want 1", s.Chi2)
	}
	if got := psnr([]float64{1, -1}, []float64{-1, 1}); got != 0 {
		t.Errorf("black for white has %g dB, want 0", got)
	}
}

// Intervals of few draws have their coverage as well.
func TestInterval(t *testing.T) {
	const trials = 20_000
	r := rand.New(rand.NewPCG(4, 0))
	for _, n := range []int{19, 48} {
		inside := 0
		for range trials {
			x := make([]float64, n)
			for i := range x {
				x[i] = r.NormFloat64()
			}
			slices.Sort(x)
			if lo, hi := interval(x, .9); math.Abs(r.NormFloat64()-(lo+hi)/2) <= (hi-lo)/2 {
				inside++
			}
		}
		if got := float64(inside) / trials; math.Abs(got-.9) > 4*math.Sqrt(.9*.1/trials) {
			t.Errorf("intervals of %d draws have %.4f, want 0.9", n, got)
		}
	}
}
