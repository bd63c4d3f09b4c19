package main

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the pictures and returns their paths.
func draw(f *show.Flags, p *problem, results []*result) ([]string, error) {
	byName := make(map[string]*result)
	for _, r := range results {
		byName[r.Name] = r
	}
	shown := []*result{byName["exact"], byName["DPS"], byName[delayed], byName["MMPS"], byName[twisted]}
	var files []string
	for _, picture := range []struct {
		name          string
		width, height vg.Length
		plots         func() ([][]*plot.Plot, error)
	}{
		{"posterior.png", 4.6 * vg.Inch, 2.9 * vg.Inch, func() ([][]*plot.Plot, error) { return histograms(p, shown) }},
		{"evolution.png", 4.6 * vg.Inch, 2.9 * vg.Inch, func() ([][]*plot.Plot, error) { return evolutions(p, shown[:3]) }},
		{"guidance.png", 4.6 * vg.Inch, 2.9 * vg.Inch, func() ([][]*plot.Plot, error) { return guidances(p, results) }},
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

// curve evaluates f on an interval.
func curve(lo, hi float64, f func(x float64) float64) plotter.XYs {
	const n = 400
	xy := make(plotter.XYs, n+1)
	for i := range xy {
		x := lo + (hi-lo)*float64(i)/n
		xy[i] = plotter.XY{X: x, Y: f(x)}
	}
	return xy
}

// spaceTicks labels the integers.
func spaceTicks() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for x := lowest; x <= highest; x++ {
		ticks = append(ticks, plot.Tick{Value: x, Label: fmt.Sprint(x)})
	}
	return ticks
}

// densityOf returns x ↦ exp(logProb(x)).
func densityOf(logProb func(x []float64) float64) func(x float64) float64 {
	return func(x float64) float64 { return math.Exp(logProb([]float64{x})) }
}

// histograms shows the problem, and the draws of some methods with the
// posterior.
func histograms(p *problem, shown []*result) ([][]*plot.Plot, error) {
	posterior := curve(lowest, highest, densityOf(p.post.LogProb))
	first := plot.New()
	first.Title.Text = "Bayes' rule"
	for _, c := range []struct {
		name   string
		xy     plotter.XYs
		colour color.RGBA
	}{
		{"prior", curve(lowest, highest, densityOf(p.pri.LogProb)), show.Gray},
		{"likelihood of y = 0.5", curve(lowest, highest, densityOf(p.lik.LogProb)), show.Green},
		{"posterior", posterior, show.Orange},
	} {
		if err := show.Line(first, c.name, c.xy, c.colour); err != nil {
			return nil, err
		}
	}
	panels := []*plot.Plot{first}
	for _, r := range shown {
		q := plot.New()
		q.Title.Text = fmt.Sprintf("%s: std %.2f, mass of (-3, -1.5) %.2g %%", r.Name, r.Std, 100*r.Left)
		bars, err := histogram(r.draws)
		if err != nil {
			return nil, err
		}
		q.Add(bars)
		q.Legend.Add("draws", bars)
		if err := show.Line(q, "posterior", posterior, show.Orange); err != nil {
			return nil, err
		}
		panels = append(panels, q)
	}
	for _, q := range panels {
		q.X.Min, q.X.Max, q.Y.Min, q.Y.Max = lowest, highest, 0, 1.05
		q.X.Tick.Marker = spaceTicks()
		q.Legend.Left = true
	}
	return [][]*plot.Plot{panels[:2], panels[2:4], panels[4:]}, nil
}

// histogram returns bars of the density of draws.
func histogram(draws []float64) (*plotter.Histogram, error) {
	bins := 160
	if len(draws) < 10_000 {
		bins = 64
	}
	counts := make([]float64, bins)
	for _, x := range draws {
		if u := (x - lowest) / (highest - lowest); u >= 0 && u < 1 {
			counts[int(u*float64(bins))]++
		}
	}
	width := (highest - lowest) / float64(bins)
	h := &plotter.Histogram{Width: width, FillColor: show.Sky}
	for i, c := range counts {
		lo := lowest + width*float64(i)
		h.Bins = append(h.Bins, plotter.HistogramBin{Min: lo, Max: lo + width, Weight: c / (width * float64(len(draws)))})
	}
	return h, nil
}

// evolutions shows the density of x_t as it changes from noise to the
// posterior: by formula, and of the draws of some methods.
func evolutions(p *problem, shown []*result) ([][]*plot.Plot, error) {
	var exact [timeCells][spaceCells]float64
	x := mat.NewDense(spaceCells, 1, nil)
	for j := range spaceCells {
		x.Set(j, 0, lowest+(highest-lowest)*(float64(j)+.5)/spaceCells)
	}
	logp := make([]float64, spaceCells)
	for i := range timeCells {
		p.target.LogProb(logp, x, (float64(i)+.5)/timeCells)
		for j, v := range logp {
			exact[i][j] = math.Exp(v)
		}
	}
	panels := []*plot.Plot{spaceTime("posterior, closed form", func(i, j int) float64 { return exact[i][j] })}
	for _, r := range shown {
		q := spaceTime(r.Name+", draws", r.evolution.density)
		if r.Name == delayed {
			if err := show.Line(q, "", plotter.XYs{{X: -until, Y: lowest}, {X: -until, Y: highest}}, color.White); err != nil {
				return nil, err
			}
		}
		panels = append(panels, q)
	}
	return [][]*plot.Plot{panels[:2], panels[2:]}, nil
}

// spaceTime is a picture of a density of x for each t. Sampling goes from
// left to right: t falls.
func spaceTime(title string, density func(i, j int) float64) *plot.Plot {
	img := image.NewRGBA(image.Rect(0, 0, timeCells, spaceCells))
	for i := range timeCells {
		for j := range spaceCells {
			// The square root makes modes of a percent visible.
			v := math.Sqrt(math.Min(1, density(i, j)/1.05))
			img.Set(timeCells-1-i, spaceCells-1-j, show.Heat(v))
		}
	}
	q := plot.New()
	q.Title.Text = title
	q.X.Label.Text, q.Y.Label.Text = "t", "x"
	q.Add(plotter.NewImage(img, -1, lowest, 0, highest))
	q.X.Min, q.X.Max, q.Y.Min, q.Y.Max = -1, 0, lowest, highest
	q.X.Padding, q.Y.Padding = 0, 0
	var ticks plot.ConstantTicks
	for k := range 6 {
		t := float64(k) / 5
		ticks = append(ticks, plot.Tick{Value: -t, Label: fmt.Sprintf("%.1f", t)})
	}
	q.X.Tick.Marker, q.Y.Tick.Marker = ticks, spaceTicks()
	return q
}

// guidances shows the likelihood scores of x_t at some times, where x_t lies.
func guidances(p *problem, results []*result) ([][]*plot.Plot, error) {
	colours := map[string]color.RGBA{
		"exact": show.Orange, "DPS": show.Blue, "DPS, 1/α": show.Sky, "flat prior": show.Gray, "PiGDM": show.Pink, "MMPS": show.Green,
	}
	var panels []*plot.Plot
	for _, t := range []float64{.1, .21, .35, .6} {
		alpha, sigma := p.score.Schedule().At(t)
		q := plot.New()
		q.Title.Text = fmt.Sprintf("likelihood score at t = %.2g (α = %.2f, σ = %.2f)", t, alpha, sigma)
		q.X.Label.Text = "x_t"
		if t < .3 {
			q.X.Label.Text = ""
		}
		bound := 0.0
		for _, r := range results {
			colour, ok := colours[r.Name]
			if !ok {
				continue
			}
			xy := scoreCurve(r.guidance, t)
			name := r.Name
			if t != .1 {
				name = ""
			}
			if err := show.Line(q, name, xy, colour); err != nil {
				return nil, err
			}
			if r.Name == "exact" || r.Name == "DPS" {
				for _, v := range xy {
					bound = max(bound, 1.15*math.Abs(v.Y))
				}
			}
		}
		q.X.Min, q.X.Max, q.Y.Min, q.Y.Max = lowest, highest, -bound/2, bound
		q.X.Tick.Marker = spaceTicks()
		panels = append(panels, q)
	}
	return [][]*plot.Plot{panels[:2], panels[2:]}, nil
}

func scoreCurve(g diffusion.Guidance, t float64) plotter.XYs {
	xy := curve(lowest, highest, func(float64) float64 { return 0 })
	x, s := mat.NewDense(len(xy), 1, nil), mat.NewDense(len(xy), 1, nil)
	for i, v := range xy {
		x.Set(i, 0, v.X)
	}
	g.Score(s, x, t)
	for i := range xy {
		xy[i].Y = s.At(i, 0)
	}
	return xy
}
