package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/sampler"
)

// draw writes the pictures and returns their paths.
func draw(f *show.Flags, r *sampler.Result, future *forecast) ([]string, error) {
	var files []string
	for _, picture := range []struct {
		name          string
		width, height vg.Length
		plots         func() ([][]*plot.Plot, error)
	}{
		{"populations.png", 8.5 * vg.Inch, 2.9 * vg.Inch, func() ([][]*plot.Plot, error) { return populations(future) }},
		{"cycle.png", 5.6 * vg.Inch, 4.6 * vg.Inch, func() ([][]*plot.Plot, error) { return cycle(future) }},
		{"trace.png", 4.6 * vg.Inch, 1.6 * vg.Inch, func() ([][]*plot.Plot, error) { return traces(r) }},
		{"corner.png", 1.55 * vg.Inch, 1.45 * vg.Inch, func() ([][]*plot.Plot, error) { return corner(r) }},
	} {
		plots, err := picture.plots()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", picture.name, err)
		}
		path, err := f.Save(picture.name, picture.width, picture.height, plots...)
		if err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

// light returns a colour mixed with white.
func light(c color.RGBA, share float64) color.RGBA {
	mix := func(v uint8) uint8 { return uint8(math.Round(255 - share*(255-float64(v)))) }
	return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

var animals = []struct {
	name   string
	colour color.RGBA
}{{"hares", show.Blue}, {"lynx", show.Orange}}

func populations(future *forecast) ([][]*plot.Plot, error) {
	var rows [][]*plot.Plot
	for k, a := range animals {
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%s: pelts, and where new counts would lie", a.name)
		p.Y.Label.Text = "thousands"
		p.X.Min, p.X.Max = firstYear-0.5, lastYear+0.5
		p.Y.Min = 0
		p.X.Tick.Marker = plot.ConstantTicks(yearTicks())
		p.Y.Tick.Marker = show.Few(5)
		for _, b := range []struct {
			lo, hi int
			share  float64
			label  string
		}{{0, 3, 0.2, "90 %"}, {1, 2, 0.45, "50 %"}} {
			area, err := plotter.NewPolygon(outline(future.years, future.band[k][b.lo], future.band[k][b.hi]))
			if err != nil {
				return nil, err
			}
			area.Color, area.LineStyle.Width = light(a.colour, b.share), 0
			p.Add(area)
			p.Legend.Add(b.label, area)
		}
		line, err := plotter.NewLine(points(future.years, future.median[k]))
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = a.colour, vg.Points(1.5)
		var seen plotter.XYs
		for i, row := range pelts {
			seen = append(seen, plotter.XY{X: float64(firstYear + i), Y: row[k]})
		}
		dots, err := plotter.NewScatter(seen)
		if err != nil {
			return nil, err
		}
		dots.GlyphStyle = vgdraw.GlyphStyle{Color: color.Black, Radius: vg.Points(2.5), Shape: vgdraw.CircleGlyph{}}
		p.Add(line, dots)
		p.Legend.Add("population", line)
		p.Legend.Add("pelts", dots)
		p.Legend.Top = true
		rows = append(rows, []*plot.Plot{p})
	}
	return rows, nil
}

func yearTicks() []plot.Tick {
	var ticks []plot.Tick
	for y := firstYear; y <= lastYear; y++ {
		t := plot.Tick{Value: float64(y)}
		if y%5 == 0 {
			t.Label = fmt.Sprint(y)
		}
		ticks = append(ticks, t)
	}
	return ticks
}

func points(x, y []float64) plotter.XYs {
	xy := make(plotter.XYs, len(x))
	for i := range xy {
		xy[i] = plotter.XY{X: x[i], Y: y[i]}
	}
	return xy
}

// outline goes along lo and back along hi.
func outline(x, lo, hi []float64) plotter.XYs {
	xy := points(x, lo)
	for i := len(x) - 1; i >= 0; i-- {
		xy = append(xy, plotter.XY{X: x[i], Y: hi[i]})
	}
	return xy
}

// cycle shows the two populations against each other, for some draws of the
// posterior, with the pelts of each year.
func cycle(future *forecast) ([][]*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "The cycle: draws of the posterior, and the pelts"
	p.X.Label.Text, p.Y.Label.Text = "hares, thousands", "lynx, thousands"
	p.X.Min, p.Y.Min = 0, 0
	p.X.Tick.Marker, p.Y.Tick.Marker = show.Few(5), show.Few(5)
	for _, orbit := range future.orbits {
		line, err := plotter.NewLine(points(mat.Col(nil, 0, orbit), mat.Col(nil, 1, orbit)))
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = light(show.Green, 0.3), vg.Points(0.5)
		p.Add(line)
	}
	var seen plotter.XYs
	var labels []string
	for i, row := range pelts {
		seen = append(seen, plotter.XY{X: row[0], Y: row[1]})
		label := ""
		if row[0]+row[1] > 45 { // they crowd near the origin
			label = fmt.Sprintf(" %d", firstYear+i)
		}
		labels = append(labels, label)
	}
	path, dots, err := plotter.NewLinePoints(seen)
	if err != nil {
		return nil, err
	}
	path.Color, path.Width = show.Gray, vg.Points(0.7)
	path.Dashes = []vg.Length{vg.Points(2), vg.Points(2)}
	dots.GlyphStyle = vgdraw.GlyphStyle{Color: color.Black, Radius: vg.Points(2.5), Shape: vgdraw.CircleGlyph{}}
	years, err := plotter.NewLabels(plotter.XYLabels{XYs: seen, Labels: labels})
	if err != nil {
		return nil, err
	}
	years.Offset = vg.Point{X: vg.Points(2), Y: vg.Points(2)}
	p.Add(path, dots, years)
	p.X.Max, p.Y.Max = 92, 66
	return [][]*plot.Plot{{p}}, nil
}

func traces(r *sampler.Result) ([][]*plot.Plot, error) {
	colours := []color.RGBA{show.Blue, show.Orange, show.Green, show.Pink}
	rows := make([][]*plot.Plot, len(names)/2)
	for j, name := range names {
		p := plot.New()
		p.Title.Text = name
		p.X.Tick.Marker = show.Few(5)
		p.Y.Tick.Marker = show.Few(5)
		if j >= len(names)-2 {
			p.X.Label.Text = "draw"
		}
		for i, chain := range r.Chains {
			n, _ := chain.Dims()
			step := make([]float64, n)
			for k := range step {
				step[k] = float64(k + 1)
			}
			line, err := plotter.NewLine(points(step, mat.Col(nil, j, chain)))
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = colours[i%len(colours)], vg.Points(0.35)
			p.Add(line)
		}
		rows[j/2] = append(rows[j/2], p)
	}
	return rows, nil
}

// corner shows each parameter by itself on the diagonal, and each pair below,
// in ranges that leave out a few draws in a thousand.
func corner(r *sampler.Result) ([][]*plot.Plot, error) {
	x := r.Draws()
	_, d := x.Dims()
	lo, hi := make([]float64, d), make([]float64, d)
	for j := range d {
		sorted := slices.Sorted(slices.Values(mat.Col(nil, j, x)))
		lo[j], hi[j] = at(sorted, 0.002), at(sorted, 0.998)
	}
	return show.Corner(names, lo, hi, nil, show.Sample{Draws: x, Colour: show.Blue}), nil
}
