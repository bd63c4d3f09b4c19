package show

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// A Recovery is an image recovered from data in several ways, and how well.
// Without a truth there are no errors and no coverage.
type Recovery struct {
	Truth    []float64 `json:"-"`
	Mean, SD []float64 `json:"-"` // of the posterior

	// Errors and Residuals are the relative ones of least squares, iterated
	// on and on, and Stopped the iteration at which the discrepancy principle
	// ends it.
	Errors, Residuals []float64 `json:"-"`
	Stopped           int

	Methods   []Method
	Precision float64 // of the prior, by the evidence
	Coverage  []Coverage
}

// A Method is a way to recover the image, with its relative error and its
// peak signal-to-noise ratio in decibel.
type Method struct {
	Name      string
	Error, DB float64
}

// Coverage is the share of true pixels inside credible intervals of a level.
type Coverage struct{ Level, Share float64 }

// Relative returns ‖x - truth‖ / ‖truth‖, or 0 without a truth.
func (r *Recovery) Relative(x []float64) float64 {
	if r.Truth == nil {
		return 0
	}
	return floats.Distance(x, r.Truth, 2) / floats.Norm(r.Truth, 2)
}

// Add measures a method.
func (r *Recovery) Add(name string, x []float64) {
	if r.Truth == nil {
		return
	}
	rms := floats.Distance(x, r.Truth, 2) / math.Sqrt(float64(len(x)))
	r.Methods = append(r.Methods, Method{name, r.Relative(x), -20 * math.Log10(rms)})
}

// Cover measures the coverage of credible intervals.
func (r *Recovery) Cover(levels ...float64) {
	for _, l := range levels {
		if r.Truth != nil {
			r.Coverage = append(r.Coverage, Coverage{l, r.coverage(l)})
		}
	}
}

// coverage returns the share of true pixels inside the central credible
// intervals of a level; the margins of a Gaussian posterior are Gaussian.
func (r *Recovery) coverage(level float64) float64 {
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	var inside int
	for i, x := range r.Truth {
		if math.Abs(x-r.Mean[i]) <= z*r.SD[i] {
			inside++
		}
	}
	return float64(inside) / float64(len(r.Truth))
}

// Deviation returns |mean - truth|.
func (r *Recovery) Deviation() []float64 {
	d := make([]float64, len(r.Mean))
	for i, m := range r.Mean {
		d[i] = math.Abs(m - r.Truth[i])
	}
	return d
}

// String returns the table.
func (r *Recovery) String() string {
	var b strings.Builder
	if r.Truth != nil {
		fmt.Fprintf(&b, "%-34s  %9s  %8s\n", "", "rel.error", "PSNR, dB")
		for _, m := range r.Methods {
			fmt.Fprintf(&b, "%-34s  %9.3g  %8.1f\n", m.Name, m.Error, m.DB)
		}
		fmt.Fprintf(&b, "\nLeast squares has its smallest error after %d of %d iterations.\n", floats.MinIdx(r.Errors)+1, len(r.Errors))
	}
	fmt.Fprintf(&b, "The evidence is largest for a prior of precision %.3g.\n", r.Precision)
	for _, c := range r.Coverage {
		fmt.Fprintf(&b, "%.0f %% credible intervals contain %.0f %% of the true pixels.\n", 100*c.Level, 100*c.Share)
	}
	return b.String()
}

// ErrorPlot shows semi-convergence: the residual of least squares keeps
// falling, its error turns.
func (r *Recovery) ErrorPlot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Least squares: the error turns"
	p.X.Label.Text = "CGLS iteration"
	p.Y.Label.Text = "relative to ‖truth‖, ‖data‖"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	curve := func(y []float64) plotter.XYs {
		xy := make(plotter.XYs, len(y))
		for i, v := range y {
			xy[i] = plotter.XY{X: float64(i + 1), Y: v}
		}
		return xy
	}
	if err := Line(p, "error", curve(r.Errors), Orange); err != nil {
		return nil, err
	}
	if err := Line(p, "residual", curve(r.Residuals), Blue); err != nil {
		return nil, err
	}
	p.Legend.Left = true
	stop := plotter.XYs{{X: float64(r.Stopped), Y: r.Errors[r.Stopped-1]}}
	return p, Points(p, "stopped by discrepancy", stop, Gray)
}

// CalibrationPlot shows the coverage of credible intervals of every level.
func (r *Recovery) CalibrationPlot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Credible intervals"
	p.X.Label.Text = "level"
	p.Y.Label.Text = "share of true pixels inside"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	var got plotter.XYs
	for level := .025; level < 1; level += .025 {
		got = append(got, plotter.XY{X: level, Y: r.coverage(level)})
	}
	if err := Line(p, "ideal", plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 1}}, Gray); err != nil {
		return nil, err
	}
	p.Legend.Left = true
	return p, Line(p, "posterior", got, Blue)
}
