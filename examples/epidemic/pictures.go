package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the pictures and returns their paths.
func draw(f *show.Flags, r *result) ([]string, error) {
	counts, err := countsPlot(r)
	if err != nil {
		return nil, err
	}
	ranks, err := rankPlots(r)
	if err != nil {
		return nil, err
	}
	var samples []show.Sample
	for _, q := range r.posteriors {
		samples = append(samples, show.Sample{Name: q.name, Draws: q.draws, Colour: q.colour})
	}
	names := []string{"R₀", "infectious days", "dispersion φ"}
	lo, hi := make([]float64, 3), make([]float64, 3)
	for j := range names {
		lo[j], hi[j] = show.Range(j, 0.01, 0, 150, samples...)
	}
	var files []string
	for _, p := range []struct {
		name          string
		width, height vg.Length
		plots         [][]*plot.Plot
	}{
		{"epidemic.png", 7 * vg.Inch, 3.6 * vg.Inch, [][]*plot.Plot{{counts}}},
		{"posterior.png", 2.5 * vg.Inch, 2.2 * vg.Inch, show.Corner(names, lo, hi, nil, samples...)},
		{"sbc.png", 2.8 * vg.Inch, 2.3 * vg.Inch, [][]*plot.Plot{ranks}},
	} {
		path, err := f.Save(p.name, p.width, p.height, p.plots...)
		if err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

// mix is a colour mixed with white.
func mix(c color.RGBA, share float64) color.RGBA {
	m := func(v uint8) uint8 { return uint8(math.Round(255 - share*(255-float64(v)))) }
	return color.RGBA{m(c.R), m(c.G), m(c.B), 255}
}

// countsPlot shows the counts and where new ones would lie.
func countsPlot(r *result) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Influenza in a boarding school, 1978"
	p.X.Label.Text = "day"
	p.Y.Label.Text = "boys confined to bed"
	p.X.Tick.Marker = days{}
	days := make([]float64, len(inBed))
	band := make([][]float64, 5)
	for k := range inBed {
		days[k] = float64(k)
		x := mat.Col(nil, k, r.predictive.Draws)
		for i, v := range x {
			x[i] = v * v
		}
		slices.Sort(x)
		for b, q := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
			band[b] = append(band[b], stat.Quantile(q, stat.Empirical, x, nil))
		}
	}
	for _, b := range []struct {
		lo, hi int
		share  float64
		label  string
	}{{0, 4, 0.2, "90 % of new counts"}, {1, 3, 0.45, "50 %"}} {
		var outline plotter.XYs
		for k := range days {
			outline = append(outline, plotter.XY{X: days[k], Y: band[b.lo][k]})
		}
		for k := len(days) - 1; k >= 0; k-- {
			outline = append(outline, plotter.XY{X: days[k], Y: band[b.hi][k]})
		}
		area, err := plotter.NewPolygon(outline)
		if err != nil {
			return nil, err
		}
		area.Color, area.LineStyle.Width = mix(show.Blue, b.share), 0
		p.Add(area)
		p.Legend.Add(b.label, area)
	}
	median := make(plotter.XYs, len(days))
	seen := make(plotter.XYs, len(days))
	for k := range days {
		median[k] = plotter.XY{X: days[k], Y: band[2][k]}
		seen[k] = plotter.XY{X: days[k], Y: inBed[k]}
	}
	if err := show.Line(p, "median", median, show.Blue); err != nil {
		return nil, err
	}
	if err := show.Points(p, "counts", seen, color.Black); err != nil {
		return nil, err
	}
	p.Legend.Top = true
	p.Y.Min = 0
	return p, nil
}

// days labels 22 January and every third day after it.
type days struct{}

func (days) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	for k := range inBed {
		t := plot.Tick{Value: float64(k)}
		if k%3 == 0 {
			if date := 22 + k; date <= 31 {
				t.Label = fmt.Sprintf("%d Jan", date)
			} else {
				t.Label = fmt.Sprintf("%d Feb", date-31)
			}
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// rankPlots show for each parameter the distribution function of its ranks
// less that of uniform ones, in the band that uniform ones stay in.
func rankPlots(r *result) ([]*plot.Plot, error) {
	var row []*plot.Plot
	for k, t := range r.sbc.Tests {
		p := plot.New()
		p.Title.Text = t.Name
		p.X.Label.Text = "rank among posterior draws"
		if k == 0 {
			p.Y.Label.Text = "ECDF - uniform"
		}
		n := len(t.Lower)
		count := make([]float64, n)
		for _, rank := range r.sbc.Ranks[k] {
			count[rank]++
		}
		var outline, line plotter.XYs
		var sum float64
		for i := range n {
			x := float64(i+1) / float64(n)
			sum += count[i] / float64(len(r.sbc.Ranks[k]))
			line = append(line, plotter.XY{X: x, Y: sum - x})
			outline = append(outline, plotter.XY{X: x, Y: t.Lower[i] - x})
		}
		for i := n - 1; i >= 0; i-- {
			x := float64(i+1) / float64(n)
			outline = append(outline, plotter.XY{X: x, Y: t.Upper[i] - x})
		}
		area, err := plotter.NewPolygon(outline)
		if err != nil {
			return nil, err
		}
		area.Color, area.LineStyle = mix(show.Gray, 0.25), vgdraw.LineStyle{}
		p.Add(area)
		if err := show.Line(p, "", line, show.Blue); err != nil {
			return nil, err
		}
		row = append(row, p)
	}
	return row, nil
}
