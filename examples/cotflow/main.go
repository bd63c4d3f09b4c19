// Command cotflow estimates densities of two variables by optimal transport
// flows and draws the paths along which they move noise to draws.
//
//	go run ./examples/cotflow
//
// OT-Flow learns three densities that are hard for most flows, two moons, a
// checkerboard and two spirals, from draws alone. COT-Flow learns two moons
// that are turned by an angle y, for all angles at once. The penalties of the
// transport make the paths straight, so that a few steps of integration are
// enough; without the Hamilton-Jacobi-Bellman penalty they bend.
//
// It writes densities.png and conditional.png to the folder -out, and prints
// for each flow how far it is from the true density (a Kullback-Leibler
// divergence), how much its paths bend, and by how much a point changes on its
// way to noise and back.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/flow"
)

func main() { show.Main(run) }

// transport is a density and its flow.
type transport struct {
	density
	beta float64 // of flow.COT, 0 for its default
	flow *flow.Flow
	figures
}

// figures are what a flow is judged by.
type figures struct {
	KL      float64 // divergence of the flow from the density, in nats
	Bend    float64 // 0 for straight paths at constant speed
	Inverse float64 // largest change of a draw that is inverted and generated again
	Seconds float64
}

func run(ctx context.Context, f *show.Flags) error {
	all := []*transport{
		{density: moons{}, beta: 0.15},
		{density: checkerboard{}, beta: 0.15},
		{density: spirals{}, beta: 0.15},
		{density: turned{}, beta: 0.15},
		{density: turned{}, beta: -1},
	}
	for i, t := range all {
		if err := t.train(ctx, f, uint64(i)); err != nil {
			return fmt.Errorf("%s: %w", t.name(), err)
		}
	}
	var files []string
	for _, picture := range []func(*show.Flags, []*transport) (string, error){densities, conditionals} {
		path, err := picture(f, all)
		if err != nil {
			return err
		}
		files = append(files, path)
	}
	f.Done()
	results := make(map[string]figures)
	f.Print("%-28s %8s %8s %12s %8s\n", "", "KL", "bend", "inverse err.", "seconds")
	for _, t := range all {
		f.Print("%-28s %8.3f %8.4f %12.1e %8.1f\n", t.title(), t.KL, t.Bend, t.Inverse, t.Seconds)
		results[t.title()] = t.figures
	}
	f.Print("The pictures are %s.\n", strings.Join(files, " and "))
	return f.Figures(results)
}

func (t *transport) title() string {
	if t.beta < 0 {
		return t.name() + ", no penalty"
	}
	return t.name()
}

// train fits and judges the flow.
func (t *transport) train(ctx context.Context, f *show.Flags, stream uint64) error {
	rows, epochs, width := 20_000, 45, 64
	if f.Quick {
		rows, epochs, width = 1000, 10, 32
	}
	r := rand.New(rand.NewPCG(f.Seed, stream))
	x, y := sample(t.density, rows, r)
	fit, err := flow.Fit(ctx, flow.COT{Width: width, Beta: t.beta, Alpha: 0.01, Steps: 6}, x, y, &flow.FitOptions{
		Batch: 64, Epochs: epochs, Rate: 0.01, Patience: 3, Drops: 6, Src: rand.NewPCG(f.Seed, 100+stream),
		Progress: func(p flow.Progress) {
			f.Progress("%s: epoch %d of %d, validation %.3f", t.title(), p.Epoch, epochs, p.Valid)
		},
	})
	if err != nil {
		return err
	}
	t.flow, t.Seconds = fit, fit.Report().Elapsed.Seconds()

	x, y = sample(t.density, min(rows, 4000), r)
	n, _ := x.Dims()
	l := make([]float64, n)
	fit.LogProb(l, x, y)
	for i, q := range l {
		t.KL += (t.logProb(x.RawRowView(i), given(y, i)) - q) / float64(n)
	}
	t.Inverse, _ = flow.InverseError(fit, x, y)
	z := normals(500, r)
	if y != nil {
		y = mat.DenseCopyOf(y.Slice(0, 500, 0, 1))
	}
	t.Bend, err = bend(fit, z, y)
	return err
}

// bend returns the mean of ∫|dx/dt - (x - z)|²dt over that of |x - z|².
func bend(f *flow.Flow, z, y *mat.Dense) (float64, error) {
	const steps = 32
	at, err := flow.Paths(f, z, y, steps)
	if err != nil {
		return 0, err
	}
	var off, all float64
	rows, _ := z.Dims()
	for i := range rows {
		for j := range 2 {
			chord := at[steps].At(i, j) - at[0].At(i, j)
			all += chord * chord
			for k := range steps {
				v := steps * (at[k+1].At(i, j) - at[k].At(i, j))
				off += (v - chord) * (v - chord) / steps
			}
		}
	}
	return off / all, nil
}

// sample returns draws, and the y that they are given, nil for none.
func sample(d density, n int, r *rand.Rand) (x, y *mat.Dense) {
	x = mat.NewDense(n, 2, nil)
	if d.conditional() {
		y = mat.NewDense(n, 1, nil)
	}
	for i := range n {
		if y != nil {
			y.Set(i, 0, math.Pi*(r.Float64()-0.5))
		}
		p := d.draw(given(y, i), r)
		x.SetRow(i, p[:])
	}
	return x, y
}

// given returns the element of row i of y, 0 if y is nil.
func given(y *mat.Dense, i int) float64 {
	if y == nil {
		return 0
	}
	return y.At(i, 0)
}

func normals(n int, r *rand.Rand) *mat.Dense {
	z := mat.NewDense(n, 2, nil)
	for i := range n {
		z.SetRow(i, []float64{r.NormFloat64(), r.NormFloat64()})
	}
	return z
}
