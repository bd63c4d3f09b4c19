package prior

import (
	"math"
	"strings"
	"testing"
)

func TestBox(t *testing.T) {
	b, err := NewBox([]float64{-1, 2}, []float64{1, 5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	testPrior(t, b, []float64{0.3, 4})
	if got, want := b.LogProb([]float64{0, 3}), -math.Log(6); math.Abs(got-want) > 1e-15 {
		t.Errorf("LogProb inside is %v, want %v", got, want)
	}
	for _, x := range [][]float64{{-1.01, 3}, {0, 5.01}, {math.NaN(), 3}} {
		if got := b.LogProb(x); !math.IsInf(got, -1) {
			t.Errorf("LogProb(%v) = %v outside the box", x, got)
		}
	}
	testMoments(t, b, []float64{0, 3.5}, []float64{4. / 12, 9. / 12})
	if err := CheckTransform(TransformOf(b), []float64{0.2, -1}); err != nil {
		t.Error(err)
	}
}

// A density without bounds gets the identity.
func TestTransformOf(t *testing.T) {
	x := []float64{0, 0}
	if logDet := TransformOf(plane{}).Constrain(x, []float64{3, -4}); logDet != 0 || x[0] != 3 || x[1] != -4 {
		t.Errorf("x = %v, log determinant %v, want [3 -4], 0", x, logDet)
	}
}

type plane struct{}

func (plane) Dim() int { return 2 }

func TestBoxErrors(t *testing.T) {
	for _, c := range []struct {
		lower, upper []float64
		want         string
	}{
		{nil, nil, "empty"},
		{[]float64{0}, []float64{0}, "lower[0] = 0 is not below upper[0] = 0"},
		{[]float64{0}, []float64{math.Inf(1)}, "side 0"},
	} {
		if _, err := NewBox(c.lower, c.upper, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewBox(%v, %v): error %v, want %q", c.lower, c.upper, err, c.want)
		}
	}
}
