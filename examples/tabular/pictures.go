package main

import (
	"cmp"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// drawIntervals shows the test rows of each set in the order of their medians:
// thin bars of 90 %, thick ones of 50 %, and what was observed.
func drawIntervals(f *show.Flags, results map[string]*result) (string, error) {
	var plots [][]*plot.Plot
	for _, set := range sets {
		r := results[set.name]
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%s: %s (%s)", set.name, set.target, r.Chosen)
		p.X.Label.Text = "test rows, in the order of the predicted medians"
		p.Y.Label.Text = "standard deviations"
		p.X.Min, p.X.Max = -1, float64(len(r.intervals))
		rows := slices.Clone(r.intervals)
		slices.SortFunc(rows, func(a, b interval) int { return cmp.Compare(a.q[2], b.q[2]) })
		var inside, outside plotter.XYs
		for i, v := range rows {
			for _, bar := range []struct {
				lo, hi float64
				colour color.Color
				width  vg.Length
			}{
				{v.q[0], v.q[4], color.RGBA{175, 205, 228, 255}, vg.Points(2)},
				{v.q[1], v.q[3], show.Blue, vg.Points(2)},
			} {
				l, err := plotter.NewLine(plotter.XYs{{X: float64(i), Y: bar.lo}, {X: float64(i), Y: bar.hi}})
				if err != nil {
					return "", err
				}
				l.Color, l.Width = bar.colour, bar.width
				p.Add(l)
				if i == 0 {
					p.Legend.Add(map[bool]string{true: "90 %", false: "50 %"}[bar.hi == v.q[4]], l)
				}
			}
			xy := plotter.XY{X: float64(i), Y: v.observed}
			if v.observed >= v.q[0] && v.observed <= v.q[4] {
				inside = append(inside, xy)
			} else {
				outside = append(outside, xy)
			}
		}
		for _, dots := range []struct {
			name   string
			xy     plotter.XYs
			colour color.Color
		}{{"observed", inside, color.Black}, {"observed outside", outside, show.Orange}} {
			if len(dots.xy) == 0 {
				continue
			}
			s, err := plotter.NewScatter(dots.xy)
			if err != nil {
				return "", err
			}
			s.GlyphStyle = draw.GlyphStyle{Color: dots.colour, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{}}
			p.Add(s)
			p.Legend.Add(dots.name, s)
		}
		p.Legend.Top, p.Legend.Left = true, true
		plots = append(plots, []*plot.Plot{p})
	}
	return f.Save("intervals.png", 7.5*vg.Inch, 2.7*vg.Inch, plots...)
}

// drawCoverage shows the share of the test rows inside of central intervals of
// each probability.
func drawCoverage(f *show.Flags, results map[string]*result) (string, error) {
	p := plot.New()
	p.Title.Text = "test rows inside of central intervals"
	p.X.Label.Text, p.Y.Label.Text = "probability of the interval", "share inside"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	if err := show.Line(p, "as it should be", plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}}, show.Gray); err != nil {
		return "", err
	}
	for i, set := range sets {
		var xy plotter.XYs
		for k := range 101 {
			u := float64(k) / 100
			xy = append(xy, plotter.XY{X: u, Y: results[set.name].coverage(u)})
		}
		if err := show.Line(p, set.name, xy, []color.Color{show.Blue, show.Orange, show.Green}[i]); err != nil {
			return "", err
		}
	}
	p.Legend.Left = true
	return f.Save("coverage.png", 4*vg.Inch, 3.6*vg.Inch, []*plot.Plot{p})
}
