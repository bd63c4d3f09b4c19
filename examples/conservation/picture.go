package main

import (
	"fmt"
	"image/color"
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the panel and returns its path.
func draw(f *show.Flags, p *problem, methods []*method, softer []soft) (string, error) {
	field := func(title string, x []float64) *plot.Plot {
		const high = 8 // cells are drawn as blocks
		big := make([]float64, size*high*high)
		for i := range times * high {
			for j := range cells * high {
				big[i*cells*high+j] = x[i/high*cells+j/high]
			}
		}
		return show.Map(title, big, times*high, cells*high, 0, 1.2)
	}
	by := make(map[string]*method)
	for _, m := range methods {
		by[m.Name] = m
	}
	masses, err := massPlot(p, by)
	if err != nil {
		return "", err
	}
	convergence, err := softPlot(softer)
	if err != nil {
		return "", err
	}
	title := func(m *method) string { return fmt.Sprintf("%s: error %.2f", m.Name, m.Error) }
	var fields []*plot.Plot
	for _, name := range []string{"no physics", "mass, exact, and positive", "diffusion and mass, exact"} {
		fields = append(fields, field(title(by[name]), by[name].mean()))
	}
	return f.Save("conservation.png", 3.9*vg.Inch, 3.1*vg.Inch,
		[]*plot.Plot{field("Truth: channel, and time downwards", p.truth), fields[0], masses},
		[]*plot.Plot{fields[1], fields[2], convergence})
}

// massPlot has 90 % of the draws' mass at each time.
func massPlot(p *problem, by map[string]*method) (*plot.Plot, error) {
	pl := plot.New()
	pl.Title.Text = "Mass in 90 % of the draws"
	pl.X.Label.Text = "time"
	for _, c := range []struct {
		name   string
		colour color.Color
	}{{"no physics", color.RGBA{205, 205, 205, 255}}, {"mass, soft (0.1)", show.Sky}, {"mass, exact", show.Orange}} {
		var mass mat.Dense
		mass.Mul(by[c.name].draws, p.mass.T())
		rows, _ := mass.Dims()
		var up, down plotter.XYs
		for t := range times {
			v := mat.Col(nil, t, &mass)
			sort.Float64s(v)
			up = append(up, plotter.XY{X: float64(t), Y: v[rows-1-rows/20]})
			down = append(down, plotter.XY{X: float64(t), Y: v[rows/20]})
		}
		for i := len(down) - 1; i >= 0; i-- {
			up = append(up, down[i])
		}
		band, err := plotter.NewPolygon(up)
		if err != nil {
			return nil, err
		}
		band.Color, band.LineStyle.Color = c.colour, c.colour
		pl.Add(band)
		pl.Legend.Add(c.name, band)
	}
	pl.Legend.Top = true
	pl.Y.Max *= 1.25
	return pl, nil
}

// softPlot has the distances to the exact answers.
func softPlot(s []soft) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Soft equations become exact, and stiff"
	p.X.Label.Text = "sigma of the soft equations"
	p.Y.Label.Text = "distance (lines), 1/condition (dots)"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: 2}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: 2}
	for _, c := range []struct {
		name   string
		colour color.Color
		get    func(soft) convergence
	}{{"mass", show.Blue, func(r soft) convergence { return r.Mass }}, {"diffusion", show.Orange, func(r soft) convergence { return r.Diffusion }}} {
		var line, dots plotter.XYs
		for _, r := range s {
			line = append(line, plotter.XY{X: r.Sigma, Y: math.Max(c.get(r).Distance, 1e-12)})
			dots = append(dots, plotter.XY{X: r.Sigma, Y: 1 / c.get(r).Condition})
		}
		if err := show.Line(p, c.name, line, c.colour); err != nil {
			return nil, err
		}
		if err := show.Points(p, "", dots, c.colour); err != nil {
			return nil, err
		}
	}
	p.Legend.Left = true
	return p, nil
}
