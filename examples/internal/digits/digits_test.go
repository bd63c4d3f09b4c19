package digits

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/prior"
)

func TestShippedData(t *testing.T) {
	train, held := Optical()
	if r, c := train.Dims(); r != 1500 || c != 64 {
		t.Errorf("%d×%d to train on", r, c)
	}
	if r, c := held.Dims(); r != 297 || c != 64 {
		t.Errorf("%d×%d held out", r, c)
	}
	big := Held()
	if r, c := big.Dims(); r != 2000 || c != 784 {
		t.Errorf("%d×%d digits of MNIST", r, c)
	}
	for _, x := range []*mat.Dense{train, held, big} {
		if lo, hi := mat.Min(x), mat.Max(x); lo != -1 || hi != 1 {
			t.Errorf("pixels from %g to %g", lo, hi)
		}
	}
	// The first optical digit begins 0 0 5 13 9 1.
	if got := train.At(0, 3); got != 2*13./16-1 {
		t.Errorf("pixel %g", got)
	}
}

func TestFile(t *testing.T) {
	m := &Images{Side: 2, White: 255, Pixels: []uint8{0, 1, 2, 3, 4, 5, 6, 255}}
	var b bytes.Buffer
	if err := m.WriteGzip(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadGzip(&b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Side != 2 || got.Len() != 2 || !bytes.Equal(got.Pixels, m.Pixels) || !bytes.Equal(got.At(1), m.Pixels[4:]) {
		t.Errorf("%+v, want %+v", got, m)
	}
	if x := got.Rows(1, 2); x.At(0, 3) != 1 || x.At(0, 0) != 2*4./255-1 {
		t.Errorf("rows %v", mat.Formatted(x))
	}
	for _, bad := range []struct{ file, want string }{
		{"", "header"},
		{"\x00\x00\x08\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01", "0x801"},
		{"\x00\x00\x08\x03\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02", "1×2"},
		{"\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "pixels"},
		{"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01x", "ends before"},
	} {
		if _, err := Read(strings.NewReader(bad.file)); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: error %v, want one with %q", bad.file, err, bad.want)
		}
	}
}

// The loss of the score of N(0, I) is known.
func TestLoss(t *testing.T) {
	// x₀ ~ N(0, I): F is zero, D = x/(1 + s²), and the loss is 1 at all levels.
	g, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, 16, nil), []float64{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	score, err := diffusion.Diffuse(g, Schedule)
	if err != nil {
		t.Fatal(err)
	}
	x := mat.NewDense(4000, 16, nil)
	g.Draw(x, rand.NewPCG(1, 0))
	got, err := Loss(score, x, x, -.3, 1.4)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got-1) > 4*math.Sqrt(2./4000/16)+.01 {
		t.Errorf("loss %g, want 1", got)
	}
}

// The networks denoise digits that they have not seen, better than knowing
// the variance alone would.
func TestNetworks(t *testing.T) {
	train, held := Optical()
	w, err := OpticalScore()
	if err != nil {
		t.Fatal(err)
	}
	loss, err := Loss(w, train, held, -.3, 1.4)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("8×8 digits: loss %.3f", loss)
	if loss > .6 {
		t.Errorf("8×8 digits: loss %.3f", loss)
	}
	big := Held().Slice(0, 80, 0, 784).(*mat.Dense)
	if w, err = Score(); err != nil {
		t.Fatal(err)
	}
	if loss, err = Loss(w, Held(), big, -.3, 1.4); err != nil {
		t.Fatal(err)
	}
	t.Logf("28×28 digits: loss %.3f", loss)
	if loss > .35 {
		t.Errorf("28×28 digits: loss %.3f", loss)
	}
}
