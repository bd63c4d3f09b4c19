package forward

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

func TestPSFsAreCentredAndNormalised(t *testing.T) {
	psf := must[*mat.Dense](t)
	for name, h := range map[string]*mat.Dense{
		"Gaussian 0.1":    psf(GaussianPSF(0.1)),
		"Gaussian 2.3":    psf(GaussianPSF(2.3)),
		"defocus 0.2":     psf(DefocusPSF(0.2)),
		"defocus 0.6":     psf(DefocusPSF(0.6)),
		"defocus 7.5":     psf(DefocusPSF(7.5)),
		"motion 0.1":      psf(MotionPSF(0.1, 1)),
		"motion 5, 90°":   psf(MotionPSF(5, math.Pi/2)),
		"motion 9.3, -20": psf(MotionPSF(9.3, -20)),
	} {
		rows, cols := h.Dims()
		sum, meanRow, meanCol := 0.0, 0.0, 0.0
		for i := range rows {
			for j := range cols {
				v := h.At(i, j)
				if v < 0 {
					t.Errorf("%s: %g at [%d,%d]", name, v, i, j)
				}
				sum += v
				meanRow += v * float64(i)
				meanCol += v * float64(j)
			}
		}
		if math.Abs(sum-1) > 1e-14 || math.Abs(meanRow-float64(rows/2)) > 1e-12 || math.Abs(meanCol-float64(cols/2)) > 1e-12 {
			t.Errorf("%s (%d×%d): sum %.16g, centre (%g, %g)", name, rows, cols, sum, meanRow, meanCol)
		}
	}
}

// The values are those of scipy.ndimage.gaussian_filter (scipy 1.17.1) of a
// single one with sigma 2.5 and truncate 4.
func TestGaussianPSFIsScipys(t *testing.T) {
	h := must[*mat.Dense](t)(GaussianPSF(2.5))
	if r, c := h.Dims(); r != 21 || c != 21 {
		t.Fatalf("%d×%d, want 21×21", r, c)
	}
	for _, tt := range []struct {
		i, j int
		want float64
	}{{10, 10, 0.02546599321453549}, {11, 13, 0.011442608351303427}, {0, 2, 5.1052500288726724e-08}, {0, 0, 2.8658199957972185e-09}} {
		if got := h.At(tt.i, tt.j); math.Abs(got-tt.want) > 1e-14*tt.want {
			t.Errorf("[%d,%d] is %.17g, want %.17g", tt.i, tt.j, got, tt.want)
		}
	}
}

// Each entry is the area of the disk in its pixel, here by quadrature.
func TestDefocusPSFIsADisk(t *testing.T) {
	for _, r := range []float64{0.6, 1, 1.9, 4.25} {
		h := must[*mat.Dense](t)(DefocusPSF(r))
		size, _ := h.Dims()
		half := size / 2
		for i := range size {
			for j := range size {
				y, x := float64(i-half), float64(j-half)
				chord := func(u float64) float64 {
					reach := math.Sqrt(max(0, r*r-u*u))
					return max(0, min(y+0.5, reach)-max(y-0.5, -reach))
				}
				want := 0.0
				for k := range 1024 { // pieces, for the kinks
					lo := x - 0.5 + float64(k)/1024
					want += quad.Fixed(chord, lo, lo+1./1024, 4, nil, 0) / (math.Pi * r * r)
				}
				if got := h.At(i, j); math.Abs(got-want) > 2e-6 {
					t.Errorf("radius %g: [%d,%d] is %.8g, want %.8g", r, i, j, got, want)
				}
			}
		}
	}
}

func TestMotionPSFIsALine(t *testing.T) {
	for _, tt := range []struct {
		length, angle float64
		want          *mat.Dense
	}{
		{3, 0, mat.NewDense(1, 3, []float64{1. / 3, 1. / 3, 1. / 3})},
		{4, math.Pi, mat.NewDense(1, 5, []float64{0.125, 0.25, 0.25, 0.25, 0.125})},
		{2, math.Pi / 2, mat.NewDense(3, 1, []float64{0.25, 0.5, 0.25})},
		{2 * math.Sqrt2, math.Pi / 4, mat.NewDense(3, 3, []float64{0, 0, 0.25, 0, 0.5, 0, 0.25, 0, 0})},
		// Up one pixel in two columns: leaves its row at columns ±1.
		{2 * math.Sqrt(5), math.Atan2(1, 2), mat.NewDense(3, 5, []float64{0, 0, 0, 0.125, 0.125, 0, 0.125, 0.25, 0.125, 0, 0.125, 0.125, 0, 0, 0})},
	} {
		if got := must[*mat.Dense](t)(MotionPSF(tt.length, tt.angle)); !mat.EqualApprox(got, tt.want, 1e-14) {
			t.Errorf("length %g, angle %g:\n%.4v, want\n%.4v", tt.length, tt.angle, mat.Formatted(got), mat.Formatted(tt.want))
		}
	}
}

func TestBadPSFs(t *testing.T) {
	nan := math.NaN()
	for _, tt := range []struct {
		want string
		f    func(float64) (*mat.Dense, error)
		bad  []float64
	}{
		{"sigma is ", GaussianPSF, []float64{0, -1, nan, math.Inf(1), 1e9}},
		{"radius is ", DefocusPSF, []float64{0, -1, nan, math.Inf(1), 1e9}},
		{"length is ", func(v float64) (*mat.Dense, error) { return MotionPSF(v, 0) }, []float64{0, -1, nan, math.Inf(1), 1e9}},
		{"angle is ", func(v float64) (*mat.Dense, error) { return MotionPSF(3, v) }, []float64{nan, math.Inf(-1)}},
	} {
		for _, v := range tt.bad {
			if _, err := tt.f(v); err == nil || !strings.HasPrefix(err.Error(), "forward: "+tt.want) {
				t.Errorf("%s%g: got %v", tt.want, v, err)
			}
		}
	}
}
