package main

import (
	"fmt"
	"image/color"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/internal/rng"
)

// draw writes the pictures and returns their paths.
func draw(f *show.Flags, p *problem, posteriors []*posterior, src rand.Source) ([]string, error) {
	var samples []show.Sample
	for _, q := range posteriors {
		samples = append(samples, show.Sample{Name: fmt.Sprintf("%s, %s simulations", q.name, thousands(q.simulations)), Draws: q.draws, Colour: q.colour})
	}
	lo, hi := make([]float64, len(names)), make([]float64, len(names))
	for j := range names {
		lo[j], hi[j] = show.Range(j, 0.005, -5, 2, samples...)
	}
	corner, err := f.Save("corner.png", 2.1*vg.Inch, 1.9*vg.Inch, show.Corner(names, lo, hi, p.truth, samples...)...)
	if err != nil {
		return nil, err
	}
	predictive, err := f.Save("predictive.png", 2.6*vg.Inch, 1.5*vg.Inch, predictivePlots(p, posteriors, samples)...)
	if err != nil {
		return nil, err
	}
	paths, err := f.Save("paths.png", 6*vg.Inch, 2.2*vg.Inch, pathPlots(p, posteriors[len(posteriors)-1], src)...)
	return []string{corner, predictive, paths}, err
}

// thousands writes 50000 as 50,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

var statistics = []string{
	"log(1 + mean), predators", "log(1 + mean), prey", "log(1 + variance), predators", "log(1 + variance), prey",
	"-log(1.01 - ac₁), predators", "-log(1.01 - ac₂), predators", "-log(1.01 - ac₁), prey", "-log(1.01 - ac₂), prey", "correlation",
}

// predictivePlots show for each statistic where new data would lie, by each
// posterior, and the observed one.
func predictivePlots(p *problem, posteriors []*posterior, samples []show.Sample) [][]*plot.Plot {
	var rows [][]*plot.Plot
	for j, name := range statistics {
		q := plot.New()
		q.Title.Text = name
		q.Title.TextStyle.Font.Size = vg.Points(9)
		q.X.Tick.Marker = show.Few(4)
		q.X.Tick.Label.Font.Size = vg.Points(8)
		q.HideY()
		q.Y.Min, q.Y.Max = 0, float64(len(posteriors))
		for k, post := range posteriors {
			x := slices.Sorted(slices.Values(mat.Col(nil, j, post.predictive.Draws)))
			at := float64(len(posteriors)-k) - 0.5
			for _, band := range []struct {
				tail  float64
				width vg.Length
			}{{0.05, 2}, {0.25, 6}} {
				l, err := plotter.NewLine(plotter.XYs{
					{X: stat.Quantile(band.tail, stat.Empirical, x, nil), Y: at},
					{X: stat.Quantile(1-band.tail, stat.Empirical, x, nil), Y: at},
				})
				if err != nil {
					panic(err) // the data are finite
				}
				l.Color, l.Width = post.colour, band.width
				q.Add(l)
			}
		}
		seen, err := plotter.NewLine(plotter.XYs{{X: p.y[j], Y: 0}, {X: p.y[j], Y: q.Y.Max}})
		if err != nil {
			panic(err)
		}
		seen.Color, seen.Width = color.Black, vg.Points(1)
		q.Add(seen)
		if j%3 == 0 {
			rows = append(rows, nil)
		}
		rows[j/3] = append(rows[j/3], q)
	}
	legend := show.Legend(samples...)
	legend.Title.Text = "New data: 50 % and 90 % of them; the line is the observed"
	legend.Title.TextStyle.Font.Size = vg.Points(9)
	return append(rows, []*plot.Plot{nil, legend, nil})
}

// pathPlots show populations that the posterior expects.
func pathPlots(p *problem, q *posterior, src rand.Source) [][]*plot.Plot {
	const paths, times, step = 40, 150, 0.2
	predators, prey := plot.New(), plot.New()
	predators.Title.Text = fmt.Sprintf("Predators and prey, of %d draws of %s", paths, q.name)
	prey.X.Label.Text = "time"
	predators.Y.Label.Text, prey.Y.Label.Text = "predators", "prey"
	x, y := make([]float64, times), make([]float64, times)
	rows, _ := q.draws.Dims()
	for k := range paths {
		if _, err := p.raw.Path(x, y, q.draws.RawRowView(k*rows/paths), rng.New(src.Uint64(), 0)); err != nil {
			continue // too many reactions
		}
		for _, panel := range []struct {
			to     *plot.Plot
			values []float64
			colour color.RGBA
		}{{predators, x, show.Orange}, {prey, y, show.Blue}} {
			xy := make(plotter.XYs, times)
			for i, v := range panel.values {
				xy[i] = plotter.XY{X: step * float64(i), Y: v}
			}
			l, err := plotter.NewLine(xy)
			if err != nil {
				panic(err)
			}
			c := panel.colour
			l.LineStyle = vgdraw.LineStyle{Color: color.NRGBA{c.R, c.G, c.B, 90}, Width: vg.Points(0.7)}
			panel.to.Add(l)
		}
	}
	return [][]*plot.Plot{{predators}, {prey}}
}
