package main

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the picture of a task, a true image a row, and returns its path.
func draw(f *show.Flags, t task, all []*solved, side int) (string, error) {
	const draws = 4
	var rows [][]*plot.Plot
	for k, s := range all {
		title := func(text string) string {
			if k > 0 {
				return ""
			}
			return text
		}
		image := func(text string, x []float64) *plot.Plot { return gray(title(text), x, side, side) }
		y, h, w := t.picture(s.data)
		row := []*plot.Plot{
			image("Truth", s.truth),
			gray(title("Data"), y, h, w),
			image("Posterior mean", s.mean),
			show.Map(fmt.Sprintf("sd, 0 to %.2f", floats.Max(s.sd)), enlarge(s.sd, side, side), zoom*side, zoom*side, 0, floats.Max(s.sd)),
		}
		for i := range draws {
			row = append(row, image(fmt.Sprintf("Draw %d", i+1), s.draws.RawRowView(i)))
		}
		rows = append(rows, row)
	}
	return f.Save(t.file, 1.35*vg.Inch, 1.5*vg.Inch, rows...)
}

// zoom is the factor by which images are enlarged: so pixels stay squares.
const zoom = 12

func gray(title string, x []float64, rows, cols int) *plot.Plot {
	return show.Image(title, enlarge(x, rows, cols), zoom*rows, zoom*cols, -1, 1)
}

func enlarge(x []float64, rows, cols int) []float64 {
	y := make([]float64, 0, zoom*zoom*len(x))
	for i := range zoom * rows {
		for j := range zoom * cols {
			y = append(y, x[i/zoom*cols+j/zoom])
		}
	}
	return y
}
