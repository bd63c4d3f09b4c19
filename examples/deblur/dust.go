package main

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
)

// dusty is the same photograph with specks of dust on the sensor: pixels that
// are not seen at all.
type dusty struct {
	data     []float64 // 0 under the dust
	mean, sd []float64
}

// throughDust samples the posterior given the pixels between the specks. A
// mask after the blur leaves no fast transform that diagonalises everything;
// the same call to NewGaussian now solves by conjugate gradients.
func throughDust(ctx context.Context, f *show.Flags, s *scene, blur inverse.Linear, precision float64, src rand.Source) (*dusty, error) {
	seen := sensor(s, rand.New(src))
	mask, err := forward.NewMaskOf(seen)
	if err != nil {
		return nil, err
	}
	op, err := forward.Compose(mask, blur)
	if err != nil {
		return nil, err
	}
	d := &dusty{data: slices.Clone(s.data), sd: make([]float64, len(s.data))}
	var data []float64
	for i, ok := range seen {
		if ok {
			data = append(data, s.data[i])
		} else {
			d.data[i] = 0
		}
	}
	lik, err := likelihood.NewGaussian(op, data, *noise)
	if err != nil {
		return nil, err
	}
	field, err := smooth(s, precision)
	if err != nil {
		return nil, err
	}
	f.Progress("posterior mean behind the dust")
	post, err := posterior.NewGaussian(field, lik)
	if err != nil {
		return nil, err
	}
	d.mean = post.Mean(nil)
	post.Src = src
	post.Progress = func(done, total int) { f.Progress("draw %d of %d behind the dust", done, total) }
	draws := mat.NewDense(64, len(d.mean), nil)
	if err := post.Sample(ctx, draws); err != nil {
		return nil, err
	}
	for j, m := range d.mean {
		var sum float64
		for i := range 64 {
			e := draws.At(i, j) - m
			sum += e * e
		}
		d.sd[j] = math.Sqrt(sum / 64)
	}
	return d, nil
}

// sensor puts a dozen round specks of dust on the sensor.
func sensor(s *scene, r *rand.Rand) (seen []bool) {
	seen = make([]bool, len(s.data))
	for i := range seen {
		seen[i] = true
	}
	size := float64(min(s.rows, s.cols))
	for range 12 {
		y, x := r.Float64()*float64(s.rows), r.Float64()*float64(s.cols)
		radius := size * (.01 + .03*r.Float64())
		for i := range s.rows {
			for j := range s.cols {
				if math.Hypot(float64(i)-y, float64(j)-x) < radius {
					seen[i*s.cols+j] = false
				}
			}
		}
	}
	return seen
}
