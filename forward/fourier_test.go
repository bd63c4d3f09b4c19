package forward

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// sampling returns a mask that observes about the share of frequencies.
func sampling(rows, cols int, share float64, src rand.Source) []bool {
	r := rand.New(src)
	mask := make([]bool, rows*cols)
	mask[r.IntN(len(mask))] = true
	for i := range mask {
		mask[i] = mask[i] || r.Float64() < share
	}
	return mask
}

var fourierShapes = [][2]int{{1, 1}, {1, 2}, {2, 1}, {1, 7}, {6, 1}, {2, 2}, {4, 6}, {5, 4}, {4, 5}, {7, 3}}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		var cases []operatorCase
		src := rng.New(3, 0)
		for _, shape := range fourierShapes {
			for _, share := range []float64{0, 0.3, 0.7, 1} {
				op, err := NewFourier(shape[0], shape[1], sampling(shape[0], shape[1], share, src))
				if err != nil {
					t.Fatal(err)
				}
				cases = append(cases, operatorCase{name: fmt.Sprintf("Fourier/%d×%d/%v", shape[0], shape[1], share), op: op})
			}
		}
		return cases
	})
}

func TestFourierIsTheDefinition(t *testing.T) {
	src := rng.New(4, 0)
	for _, shape := range fourierShapes {
		rows, cols := shape[0], shape[1]
		mask := sampling(rows, cols, 0.5, src)
		x := randomVector(rows*cols, 1)
		got := applyRow(must[inverse.Spectral](t)(NewFourier(rows, cols, mask)), x)
		at, half := 0, len(got)/2
		for k := range rows {
			for l := range cols {
				if !mask[k*cols+l] {
					continue
				}
				var want complex128
				for i := range rows {
					for j := range cols {
						phase := float64(k*i)/float64(rows) + float64(l*j)/float64(cols)
						want += complex(x[i*cols+j]/math.Sqrt(float64(rows*cols)), 0) * cmplx.Exp(complex(0, -2*math.Pi*phase))
					}
				}
				if c := complex(got[at], got[half+at]); cmplx.Abs(c-want) > 1e-13 {
					t.Errorf("%d×%d: X[%d,%d] is %v, want %v", rows, cols, k, l, c, want)
				}
				at++
			}
		}
	}
}

// With every frequency observed, the data have the norm of the image and all
// singular values are 1.
func TestFourierOfAll(t *testing.T) {
	mask := make([]bool, 6*7)
	for i := range mask {
		mask[i] = true
	}
	op := must[inverse.Spectral](t)(NewFourier(6, 7, mask))
	for i, s := range op.SingularValues() {
		if s != 1 {
			t.Errorf("singular value %d is %g", i, s)
		}
	}
}

func TestFourierBadInput(t *testing.T) {
	for _, tt := range []struct {
		rows, cols int
		sampled    []bool
		want       string
	}{
		{0, 2, nil, "image is 0×2"},
		{2, 2, []bool{true}, "sampled has length 1, want 4"},
		{1, 2, make([]bool, 2), "no true element of 2"},
	} {
		if _, err := NewFourier(tt.rows, tt.cols, tt.sampled); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
}
