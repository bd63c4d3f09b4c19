package main

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the picture and returns its path.
func draw(f *show.Flags, j *judge, floor quality, results []*result) (string, error) {
	distance, err := curves("Sliced Wasserstein distance", "sliced W", floor.SlicedW, results, func(q quality) float64 { return q.SlicedW })
	if err != nil {
		return "", err
	}
	accuracy, err := curves("Accuracy of a classifier", "C2ST", floor.C2ST, results, func(q quality) float64 { return q.C2ST })
	if err != nil {
		return "", err
	}
	panels := []*plot.Plot{distance, accuracy, montage("Held-out digits", j.digits)}
	for _, want := range []struct {
		method      string
		evaluations int
	}{
		{"DPM-Solver++", 5}, {"DPM-Solver++", 10}, {"DPM-Solver++", 50},
		{"DDIM", 5}, {"DDIM", 10}, {"ancestral", 10},
		{"consistency model", 1}, {"consistency model", 2}, {"consistency model", 4},
	} {
		for _, r := range results {
			if r.Method == want.method && r.Evaluations == want.evaluations {
				panels = append(panels, montage(fmt.Sprintf("%s: %d", r.Method, r.Evaluations), r.draws))
			}
		}
	}
	var rows [][]*plot.Plot
	for len(panels) > 0 {
		row := make([]*plot.Plot, 3)
		panels = panels[copy(row, panels):]
		rows = append(rows, row)
	}
	return f.Save("fewstep.png", 3.6*vg.Inch, 3.1*vg.Inch, rows...)
}

// curves plots a figure against the number of evaluations.
func curves(title, label string, floor float64, results []*result, value func(quality) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = "network evaluations", label
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.ConstantTicks(ticks)
	p.X.Min, p.X.Max = .9, 55
	colours := []color.Color{show.Blue, show.Sky, show.Orange, show.Green, show.Gray, show.Pink}
	last := -1
	var xy plotter.XYs
	flush := func() error {
		if last < 0 {
			return nil
		}
		name := results[last].Method
		k := 0
		for i := range last + 1 {
			if i > 0 && results[i].Method != results[i-1].Method {
				k++
			}
		}
		if err := show.Line(p, name, xy, colours[k%len(colours)]); err != nil {
			return err
		}
		return show.Points(p, "", xy, colours[k%len(colours)])
	}
	for i, r := range results {
		if i > 0 && r.Method != results[i-1].Method {
			if err := flush(); err != nil {
				return nil, err
			}
			xy = nil
		}
		xy = append(xy, plotter.XY{X: float64(r.Evaluations), Y: value(r.quality)})
		last = i
	}
	if err := flush(); err != nil {
		return nil, err
	}
	top := floor
	for _, r := range results {
		top = max(top, value(r.quality))
	}
	p.Y.Max = top + .6*(top-floor) // room for the legend
	return p, show.Line(p, "real digits", plotter.XYs{{X: .9, Y: floor}, {X: 55, Y: floor}}, color.Black)
}

var ticks = []plot.Tick{{Value: 1, Label: "1"}, {Value: 2, Label: "2"}, {Value: 5, Label: "5"}, {Value: 10, Label: "10"}, {Value: 20, Label: "20"}, {Value: 50, Label: "50"}}

// montage shows the first rows of x as images.
func montage(title string, x *mat.Dense) *plot.Plot {
	const down, across, gap = 5, 7, 2
	rows, n := x.Dims()
	side := int(math.Sqrt(float64(n)))
	h, w := down*(side+gap)-gap, across*(side+gap)-gap
	all := make([]float64, h*w)
	for k := range min(rows, down*across) {
		top, left := k/across*(side+gap), k%across*(side+gap)
		for i, v := range x.RawRowView(k) {
			all[(top+i/side)*w+left+i%side] = (v + 1) / 2
		}
	}
	for y := range h { // gaps
		for z := range w {
			if y%(side+gap) >= side || z%(side+gap) >= side {
				all[y*w+z] = .35
			}
		}
	}
	return show.Image(title, enlarge(all, h, w), zoom*h, zoom*w, 0, 1)
}

// zoom is the factor by which images are enlarged: so pixels stay squares.
const zoom = 3

func enlarge(x []float64, rows, cols int) []float64 {
	y := make([]float64, 0, zoom*zoom*len(x))
	for i := range zoom * rows {
		for j := range zoom * cols {
			y = append(y, x[i/zoom*cols+j/zoom])
		}
	}
	return y
}
