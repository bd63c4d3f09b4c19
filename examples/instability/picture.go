package main

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
)

var colours = []color.Color{show.Orange, show.Pink, show.Green, show.Blue, show.Sky}

// draw writes the panel and returns its path.
func draw(f *show.Flags, t *trial, trials []*trial) (string, error) {
	errors, err := errorPlot(trials)
	if err != nil {
		return "", err
	}
	intervals, err := t.intervalPlot()
	if err != nil {
		return "", err
	}
	var worst []*plot.Plot
	for j := range t.maps {
		p, err := t.worstPlot(j)
		if err != nil {
			return "", err
		}
		worst = append(worst, p)
	}
	return f.Save("instability.png", 4.3*vg.Inch, 3.1*vg.Inch,
		[]*plot.Plot{errors, worst[0], worst[1]},
		[]*plot.Plot{intervals, worst[2], worst[3]})
}

// errorPlot has the errors as noise grows, with bars over the seeds.
func errorPlot(trials []*trial) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Error as noise grows"
	p.X.Label.Text = "noise, relative to the data"
	p.Y.Label.Text = "relative error"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Left = true
	for j, name := range methods {
		var xy plotter.XYs
		var bars plotter.YErrors
		for i, l := range levels {
			m, s := over(trials, func(t *trial) float64 { return t.errors[i][j] })
			xy = append(xy, plotter.XY{X: l, Y: m})
			bars = append(bars, struct{ Low, High float64 }{math.Min(s, m/2), s})
		}
		if err := show.Line(p, name, xy, colours[j]); err != nil {
			return nil, err
		}
		e, err := plotter.NewYErrorBars(struct {
			plotter.XYs
			plotter.YErrors
		}{xy, bars})
		if err != nil {
			return nil, err
		}
		e.Color = colours[j]
		p.Add(e)
	}
	return p, nil
}

// intervalPlot shows the posterior's intervals with the truth, and the network.
func (t *trial) intervalPlot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Noise of 0.1: the truth is in the interval"
	mean := t.posterior.Mean(nil)
	variance, err := t.posterior.Variance(nil)
	if err != nil {
		return nil, err
	}
	var band plotter.XYs
	for i, m := range mean {
		band = append(band, plotter.XY{X: float64(i), Y: m + 1.645*math.Sqrt(variance[i])})
	}
	for i := size - 1; i >= 0; i-- {
		band = append(band, plotter.XY{X: float64(i), Y: mean[i] - 1.645*math.Sqrt(variance[i])})
	}
	poly, err := plotter.NewPolygon(band)
	if err != nil {
		return nil, err
	}
	poly.Color, poly.LineStyle.Width = color.RGBA{150, 190, 220, 255}, 0
	p.Add(poly)
	p.Legend.Add("90 % of the posterior", poly)
	p.X.Min, p.X.Max = 0, size-1
	p.Y.Min, p.Y.Max = floats.Min(t.truth)-0.7, floats.Max(t.truth)+1.6
	if err := show.Line(p, "network, noisy data", clip(reconstruct(t.maps[robust].Map, t.noisy), p), show.Pink); err != nil {
		return nil, err
	}
	if err := show.Line(p, "Tikhonov", clip(t.tikhonov, p), show.Green); err != nil {
		return nil, err
	}
	return p, show.Line(p, "truth", curve(t.truth), color.Black)
}

// worstPlot shows a reconstruction before and after its worst perturbation, and
// the data, which hardly change.
func (t *trial) worstPlot(j int) (*plot.Plot, error) {
	p := plot.New()
	m := t.maps[j]
	worst := t.report.Worst[j]
	clean := append([]float64(nil), t.data...)
	perturbed := make([]float64, size)
	floats.AddTo(perturbed, clean, worst.Delta)
	p.Title.Text = fmt.Sprintf("%s: worst case × %.3g", m.Name, worst.Gain)
	limits(p, t.truth)
	for _, c := range []struct {
		name   string
		v      []float64
		colour color.Color
		move   float64
	}{
		{"truth", t.truth, color.Black, 0},
		{"from the data", reconstruct(m.Map, clean), show.Blue, 0},
		{"from perturbed data", reconstruct(m.Map, perturbed), show.Orange, 0},
		{"", clean, show.Gray, -below},
		{"data, and perturbed data", perturbed, show.Gray, -below},
	} {
		v := append([]float64(nil), c.v...)
		floats.AddConst(c.move, v)
		if err := show.Line(p, c.name, clip(v, p), c.colour); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// below is how much lower than the signals the data are drawn.
const below = 4

// limits are those of the truth, with room for what goes beyond and for the
// data below.
func limits(p *plot.Plot, truth []float64) {
	p.X.Min, p.X.Max = 0, size-1
	p.Y.Min, p.Y.Max = floats.Min(truth)-below-1, floats.Max(truth)+5
}

func curve(v []float64) plotter.XYs {
	xy := make(plotter.XYs, len(v))
	for i, y := range v {
		xy[i] = plotter.XY{X: float64(i), Y: y}
	}
	return xy
}

// clip cuts a curve off at the limits of the plot.
func clip(v []float64, p *plot.Plot) plotter.XYs {
	xy := curve(v)
	for i := range xy {
		xy[i].Y = math.Max(p.Y.Min, math.Min(p.Y.Max, xy[i].Y))
	}
	return xy
}

func reconstruct(r inverse.Operator, y []float64) []float64 {
	return apply(r, mat.NewDense(1, size, append([]float64(nil), y...))).RawRowView(0)
}
