package main

import (
	"fmt"
	"image/color"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the panel and returns its path.
func draw(f *show.Flags, y []float64, routes []*route) (string, error) {
	truth := onGrid(side)
	lo, hi := floats.Min(truth), floats.Max(truth)
	first := []*plot.Plot{
		show.Map("Truth: log conductivity", flip(truth, side), side, side, lo, hi),
		show.Map(fmt.Sprintf("Pressure in the wells, 0 to %.2f", floats.Max(y)), flip(wells(y), 7), 7, 7, 0, floats.Max(y)),
	}
	var means, sds, traces []*plot.Plot
	top := 0.
	for _, r := range routes {
		top = max(top, floats.Max(r.sd))
	}
	colours := []color.Color{show.Orange, show.Green, show.Blue}
	for i, r := range routes {
		means = append(means, show.Map(r.Name+": mean", flip(r.mean, side), side, side, lo, hi))
		sds = append(sds, show.Map(fmt.Sprintf("%s: sd, 0 to %.2f", r.Name, top), flip(r.sd, side), side, side, 0, top))
		p := plot.New()
		p.Title.Text = r.Name + ": one square, one chain"
		p.X.Label.Text, p.Y.Label.Text = "draw", "log conductivity"
		xy := make(plotter.XYs, len(r.trace))
		for k, v := range r.trace {
			xy[k] = plotter.XY{X: float64(k), Y: v}
		}
		if err := show.Line(p, "", xy, colours[i]); err != nil {
			return "", err
		}
		traces = append(traces, p)
	}
	errors, err := interval(routes[len(routes)-1], truth)
	if err != nil {
		return "", err
	}
	return f.Save("darcy.png", 3.1*vg.Inch, 2.6*vg.Inch, append(first, errors), means, sds, traces)
}

// interval compares the truth along the diagonal with the posterior there.
func interval(r *route, truth []float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Along the falling diagonal, 90 %"
	p.X.Label.Text, p.Y.Label.Text = "x", "log conductivity"
	var line, low, high, want plotter.XYs
	for i := range side {
		k := (side-1-i)*side + i
		x := (float64(i) + .5) / side
		line = append(line, plotter.XY{X: x, Y: r.mean[k]})
		low = append(low, plotter.XY{X: x, Y: r.mean[k] - 1.645*r.sd[k]})
		high = append(high, plotter.XY{X: x, Y: r.mean[k] + 1.645*r.sd[k]})
		want = append(want, plotter.XY{X: x, Y: truth[k]})
	}
	for _, l := range []struct {
		name string
		xy   plotter.XYs
		c    color.Color
	}{{r.Name, line, show.Blue}, {"", low, show.Sky}, {"", high, show.Sky}, {"truth", want, show.Gray}} {
		if err := show.Line(p, l.name, l.xy, l.c); err != nil {
			return nil, err
		}
	}
	p.Legend.Left = true
	return p, nil
}

// flip turns a grid whose rows go up into a picture, whose rows go down.
func flip(x []float64, n int) []float64 {
	out := make([]float64, 0, len(x))
	for i := n - 1; i >= 0; i-- {
		out = append(out, x[i*n:(i+1)*n]...)
	}
	return out
}

// wells orders the data, which go along x first, as a grid.
func wells(y []float64) []float64 {
	out := make([]float64, 49)
	for i := range 7 {
		for j := range 7 {
			out[j*7+i] = y[i*7+j]
		}
	}
	return out
}
