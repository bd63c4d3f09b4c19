package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/examples/internal/show"
)

//go:embed raccoon.png
var raccoon []byte

// A scene is a photograph as the camera would have recorded it without blur
// and noise, if that is known, and as it did.
type scene struct {
	rows, cols int
	truth      []float64 // nil for a user's own image
	data       []float64
}

// simulate photographs the raccoon. The world is finer than the pixels, wider
// than the picture and blurred by plain sums, so that nothing of what made
// the data is used again to invert them: each pixel averages 2×2 points of
// the world, and a margin of the world around the picture blurs into it.
func simulate(side int, blur, noise float64, src rand.Source) (*scene, error) {
	img, err := png.Decode(bytes.NewReader(raccoon))
	if err != nil {
		return nil, err
	}
	world := show.GrayLevels(img)
	rows, cols := world.Dims()
	margin := (rows - 2*side) / 2
	if margin < 0 || cols != rows {
		return nil, fmt.Errorf("a world of %d×%d points is too small for %d×%d pixels", rows, cols, side, side)
	}
	seen := gaussianSums(world, 2*blur)
	s := &scene{rows: side, cols: side, truth: expose(world, side, margin), data: expose(seen, side, margin)}
	r := rand.New(src)
	for i := range s.data {
		s.data[i] += noise * r.NormFloat64()
	}
	return s, nil
}

// gaussianSums blurs the rows and then the columns of x with a Gaussian of
// standard deviation sd, as if x went on beyond its edges as it ends there.
func gaussianSums(x *mat.Dense, sd float64) *mat.Dense {
	radius := int(math.Ceil(4 * sd))
	w := make([]float64, 2*radius+1)
	var total float64
	for k := range w {
		w[k] = math.Exp(-0.5 * math.Pow(float64(k-radius)/sd, 2))
		total += w[k]
	}
	pass := func(x *mat.Dense) *mat.Dense { // blurs rows and transposes
		rows, cols := x.Dims()
		out := mat.NewDense(cols, rows, nil)
		for i := range rows {
			row := x.RawRowView(i)
			for j := range cols {
				var sum float64
				for k, wk := range w {
					sum += wk * row[max(0, min(cols-1, j+k-radius))]
				}
				out.Set(j, i, sum/total)
			}
		}
		return out
	}
	return pass(pass(x))
}

// expose averages 2×2 points of the world into each pixel.
func expose(world *mat.Dense, side, margin int) []float64 {
	x := make([]float64, side*side)
	for i := range side {
		for j := range side {
			a, b := margin+2*i, margin+2*j
			x[i*side+j] = (world.At(a, b) + world.At(a, b+1) + world.At(a+1, b) + world.At(a+1, b+1)) / 4
		}
	}
	return x
}

// load reads a user's blurred photograph.
func load(path string) (*scene, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (PNG and JPEG are understood)", path, err)
	}
	g := show.GrayLevels(img)
	rows, cols := g.Dims()
	if rows < 16 || cols < 16 {
		return nil, fmt.Errorf("%s: %d×%d pixels, want at least 16×16", path, rows, cols)
	}
	return &scene{rows: rows, cols: cols, data: g.RawMatrix().Data}, nil
}
