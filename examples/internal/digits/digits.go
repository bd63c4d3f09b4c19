// Package digits has the handwritten digits of the examples, and what was
// trained on them. README.md says where they come from.
package digits

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/diffusion"
)

//go:embed optical.idx.gz
var opticalFile []byte

//go:embed held.idx.gz
var heldFile []byte

// Schedule is that of all networks: variance preserving, and linear.
var Schedule = diffusion.NewVP(.1, 20)

// opticalHeld is the number of optical digits that no network is trained on.
const opticalHeld = 297

// Optical returns the 8×8 digits, black being -1 and white 1: 1500 to train
// on, and the 297 others.
func Optical() (train, held *mat.Dense) {
	m := mustRead(opticalFile)
	m.White = 16
	n := m.Len() - opticalHeld
	return m.Rows(0, n), m.Rows(n, m.Len())
}

// Held returns 2000 digits of MNIST, 28×28, that no network is trained on.
func Held() *mat.Dense {
	m := mustRead(heldFile)
	return m.Rows(0, m.Len())
}

func mustRead(file []byte) *Images {
	m, err := ReadGzip(bytes.NewReader(file))
	if err != nil {
		panic(err) // the file is part of the program
	}
	return m
}

// Loss returns the loss of [diffusion.Train] on held-out images, in which 1 is
// that of knowing nothing but mean and variance of the training images: the
// mean over noise levels log s ~ N(meanLog, stdLog²) of
//
//	(s² + 1)/s² E‖D - x₀‖²/(n sd²).
func Loss(score diffusion.Score, train, held *mat.Dense, meanLog, stdLog float64) (float64, error) {
	rows, n := held.Dims()
	if _, c := train.Dims(); c != n || n != score.Dim() {
		return 0, fmt.Errorf("digits: the images have %d and %d pixels, the score %d", c, n, score.Dim())
	}
	sd := spread(train)
	random := rand.New(rand.NewPCG(1, 1))
	const levels = 40
	level := distuv.Normal{Mu: meanLog, Sigma: stdLog}
	total := 0.0
	for k := range levels {
		s := math.Exp(level.Quantile((float64(k) + .5) / levels))
		t := score.Schedule().Time(-2 * math.Log(s*sd))
		alpha, sigma := score.Schedule().At(t)
		lo, hi := k*rows/levels, (k+1)*rows/levels
		clean := held.Slice(lo, hi, 0, n)
		x, d := mat.NewDense(hi-lo, n, nil), mat.NewDense(hi-lo, n, nil)
		x.Apply(func(i, j int, v float64) float64 { return alpha*v + sigma*random.NormFloat64() }, clean)
		score.Denoise(d, x, t)
		d.Sub(d, clean)
		e := mat.Norm(d, 2) / sd
		total += (s*s + 1) / (s * s) * e * e / float64((hi-lo)*n)
	}
	return total / levels, nil
}

// spread returns the standard deviation of all elements about the means of
// their columns.
func spread(x *mat.Dense) float64 {
	rows, n := x.Dims()
	ss := 0.0
	for j := range n {
		mean := 0.0
		for i := range rows {
			mean += x.At(i, j) / float64(rows)
		}
		for i := range rows {
			d := x.At(i, j) - mean
			ss += d * d
		}
	}
	return math.Sqrt(ss / float64(rows*n))
}
