package show

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sample is draws, one a row, and how they are shown.
type Sample struct {
	Name   string
	Draws  *mat.Dense
	Colour color.RGBA
}

// Corner compares samples of the same parameters: the density of each on the
// diagonal, and below it the regions of highest density of each pair, with
// probabilities of 0.5 and 0.9. All panels of a parameter have the same range.
// A truth that is not nil is marked.
func Corner(names []string, lo, hi, truth []float64, samples ...Sample) [][]*plot.Plot {
	d := len(names)
	rows := make([][]*plot.Plot, d)
	for i := range d {
		rows[i] = make([]*plot.Plot, d)
		for j := range i + 1 {
			p := plot.New()
			p.X.Tick.Marker, p.Y.Tick.Marker = Few(5), Few(5)
			p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = vg.Points(8), vg.Points(8)
			p.X.Min, p.X.Max = lo[j], hi[j]
			for _, s := range samples {
				a := mat.Col(nil, j, s.Draws)
				if i == j {
					p.Add(curve(density(a, lo[j], hi[j]), s.Colour))
				} else {
					p.Add(regions(a, mat.Col(nil, i, s.Draws), lo[j], hi[j], lo[i], hi[i], s.Colour)...)
				}
			}
			if i == j {
				p.HideY()
				p.Y.Min = 0
				p.Title.Text = names[i]
				p.Title.TextStyle.Font.Size = vg.Points(10)
			} else {
				p.Y.Min, p.Y.Max = lo[i], hi[i]
			}
			if truth != nil {
				top, bottom := p.Y.Max, p.Y.Min
				p.Add(dashed(truth[j], bottom, truth[j], top))
				if i != j {
					p.Add(dashed(lo[j], truth[i], hi[j], truth[i]))
				}
			}
			if i < d-1 {
				p.X.Tick.Marker = unlabelled{p.X.Tick.Marker}
			} else {
				p.X.Label.Text = names[j]
				p.X.Label.TextStyle.Font.Size = vg.Points(9)
			}
			if j > 0 {
				p.Y.Tick.Marker = unlabelled{p.Y.Tick.Marker}
			} else if i > 0 {
				p.Y.Label.Text = names[i]
				p.Y.Label.TextStyle.Font.Size = vg.Points(9)
			}
			rows[i][j] = p
		}
	}
	if d > 1 && len(samples) > 1 {
		rows[0][d-1] = Legend(samples...)
	}
	return rows
}

// Legend is a plot of nothing but names.
func Legend(samples ...Sample) *plot.Plot {
	p := plot.New()
	p.HideAxes()
	p.Legend.Top = true
	for _, s := range samples {
		l := curve(plotter.XYs{{}, {X: 1}}, s.Colour)
		l.Width = vg.Points(2.5)
		p.Legend.Add(s.Name, l)
	}
	return p
}

// Range returns an interval that holds all but the given share of the draws of
// every sample at either side, and a tenth more, within [lo, hi].
func Range(j int, share, lo, hi float64, samples ...Sample) (float64, float64) {
	a, b := math.Inf(1), math.Inf(-1)
	for _, s := range samples {
		x := slices.Sorted(slices.Values(mat.Col(nil, j, s.Draws)))
		a = min(a, stat.Quantile(share, stat.Empirical, x, nil))
		b = max(b, stat.Quantile(1-share, stat.Empirical, x, nil))
	}
	return max(lo, a-0.1*(b-a)), min(hi, b+0.1*(b-a))
}

func curve(xy plotter.XYs, c color.Color) *plotter.Line {
	l, err := plotter.NewLine(xy)
	if err != nil {
		panic("show: " + err.Error()) // not finite
	}
	l.Color, l.Width = c, vg.Points(1.3)
	return l
}

func dashed(x0, y0, x1, y1 float64) *plotter.Line {
	l := curve(plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y1}}, Gray)
	l.Width, l.Dashes = vg.Points(0.8), []vg.Length{vg.Points(2), vg.Points(2)}
	return l
}

// density is the kernel density estimate of x on [lo, hi], with Silverman's
// bandwidth, of counts in fine bins.
func density(x []float64, lo, hi float64) plotter.XYs {
	const bins = 200
	count := make([]float64, bins)
	width := (hi - lo) / bins
	for _, v := range x {
		if k := int(math.Floor((v - lo) / width)); k >= 0 && k < bins {
			count[k]++
		}
	}
	smooth(count, bandwidth(x, 5)/width)
	xy := make(plotter.XYs, bins)
	for k, c := range count {
		xy[k] = plotter.XY{X: lo + (float64(k)+0.5)*width, Y: c / (float64(len(x)) * width)}
	}
	return xy
}

// bandwidth is Silverman's rule, by the smaller of the standard deviation and
// that of a normal distribution with the same quartiles; power is 4 + d.
func bandwidth(x []float64, power float64) float64 {
	s := slices.Sorted(slices.Values(x))
	// Draws with replacement are as many as are different.
	distinct := float64(len(slices.Compact(slices.Clone(s))))
	quartiles := stat.Quantile(0.75, stat.Empirical, s, nil) - stat.Quantile(0.25, stat.Empirical, s, nil)
	sd := min(stat.StdDev(x, nil), quartiles/1.349)
	return 0.9 * sd * math.Pow(distinct, -1/power)
}

// smooth convolves x with a normal density of standard deviation h cells,
// reflected at the ends.
func smooth(x []float64, h float64) {
	reach := int(4*h) + 1
	w := make([]float64, 2*reach+1)
	for k := range w {
		if h > 0 {
			w[k] = math.Exp(-float64((k-reach)*(k-reach)) / (2 * h * h))
		} else if k == reach {
			w[k] = 1
		}
	}
	floats.Scale(1/floats.Sum(w), w)
	y := make([]float64, len(x))
	for i, v := range x {
		for k, wk := range w {
			j := i + k - reach
			if j < 0 {
				j = -1 - j
			}
			if j >= len(x) {
				j = 2*len(x) - 1 - j
			}
			if j >= 0 && j < len(x) {
				y[j] += wk * v
			}
		}
	}
	copy(x, y)
}

// regions are the outlines of the regions of highest density.
func regions(x, y []float64, xlo, xhi, ylo, yhi float64, c color.RGBA) []plot.Plotter {
	const bins = 60
	g := &grid{z: mat.NewDense(bins, bins, nil), x: xlo, y: ylo, dx: (xhi - xlo) / bins, dy: (yhi - ylo) / bins}
	for k := range x {
		i, j := int(math.Floor((y[k]-ylo)/g.dy)), int(math.Floor((x[k]-xlo)/g.dx))
		if i >= 0 && j >= 0 && i < bins && j < bins {
			g.z.Set(i, j, g.z.At(i, j)+1/float64(len(x)))
		}
	}
	hx, hy := bandwidth(x, 6)/g.dx, bandwidth(y, 6)/g.dy
	for i := range bins {
		smooth(g.z.RawRowView(i), max(hx, 0.7))
	}
	col := make([]float64, bins)
	for j := range bins {
		mat.Col(col, j, g.z)
		smooth(col, max(hy, 0.7))
		g.z.SetCol(j, col)
	}
	level := func(prob float64) (float64, bool) {
		cells := slices.Sorted(slices.Values(g.z.RawMatrix().Data))
		var sum float64
		for k := len(cells) - 1; k >= 0; k-- {
			if sum += cells[k]; sum >= prob {
				return cells[k], true
			}
		}
		return 0, false // the region is larger than the panel
	}
	var out []plot.Plotter
	for _, style := range []struct{ prob, width float64 }{{0.5, 1.5}, {0.9, 0.9}} {
		z, ok := level(style.prob)
		if !ok {
			continue
		}
		contour := plotter.NewContour(g, []float64{z}, nil)
		contour.LineStyles = []draw.LineStyle{{Color: c, Width: vg.Points(style.width)}}
		out = append(out, contour)
	}
	return out
}

// grid is a plotter.GridXYZ.
type grid struct {
	z            *mat.Dense
	x, y, dx, dy float64
}

func (g *grid) Dims() (c, r int)   { r, c = g.z.Dims(); return c, r }
func (g *grid) Z(c, r int) float64 { return g.z.At(r, c) }
func (g *grid) X(c int) float64    { return g.x + (float64(c)+0.5)*g.dx }
func (g *grid) Y(r int) float64    { return g.y + (float64(r)+0.5)*g.dy }

// Few wants at most so many labelled ticks, at round numbers.
type Few int

// Ticks implements plot.Ticker.
func (f Few) Ticks(lo, hi float64) []plot.Tick {
	unit := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(f))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(unit*m) <= float64(f) {
			unit *= m
			break
		}
	}
	var ticks []plot.Tick
	for v := math.Ceil(lo/unit) * unit; v <= hi; v += unit {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.4g", math.Round(v/unit)*unit+0)}) // + 0 for -0
	}
	return ticks
}

// unlabelled has the ticks of another without their labels.
type unlabelled struct{ plot.Ticker }

func (u unlabelled) Ticks(lo, hi float64) []plot.Tick {
	ticks := u.Ticker.Ticks(lo, hi)
	for i := range ticks {
		ticks[i].Label = ""
	}
	return ticks
}
