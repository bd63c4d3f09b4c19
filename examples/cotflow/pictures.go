package main

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/flow"
)

const (
	extent = 2.6 // of all pictures, in both directions from the middle
	side   = 2.5 * vg.Inch
)

// densities draws the flows without conditions: data, density, and paths.
func densities(f *show.Flags, all []*transport) (string, error) {
	var rows [][]*plot.Plot
	for _, t := range all {
		if t.conditional() {
			continue
		}
		data, err := scatter(t.name()+": data", t.density, f.Seed)
		if err != nil {
			return "", err
		}
		paths, err := lines(fmt.Sprintf("paths (bend %.3f)", t.Bend), t.flow, nil, f)
		if err != nil {
			return "", err
		}
		density := heat(f, fmt.Sprintf("density (KL %.3f)", t.KL), func(l []float64, x *mat.Dense) { t.flow.LogProb(l, x, nil) })
		rows = append(rows, []*plot.Plot{data, density, paths})
	}
	return f.Save("densities.png", side, side, rows...)
}

// conditionals draws the flows of turned moons, for a few angles.
func conditionals(f *show.Flags, all []*transport) (string, error) {
	angles := []float64{-60, 0, 60} // degrees
	rows := make([][]*plot.Plot, 4)
	for _, angle := range angles {
		y := mat.NewDense(1, 1, []float64{angle * math.Pi / 180})
		row := 0
		for _, t := range all {
			if !t.conditional() {
				continue
			}
			if row == 0 {
				rows[0] = append(rows[0], heat(f, fmt.Sprintf("truth, y = %g°", angle), func(l []float64, x *mat.Dense) {
					for i := range l {
						l[i] = t.logProb(x.RawRowView(i), y.At(0, 0))
					}
				}))
				rows[1] = append(rows[1], heat(f, "COT-Flow", func(l []float64, x *mat.Dense) { t.flow.LogProb(l, x, y) }))
				row = 2
			}
			title := fmt.Sprintf("its paths (bend %.3f)", t.Bend)
			if t.beta < 0 {
				title = fmt.Sprintf("without the penalty (bend %.3f)", t.Bend)
			}
			p, err := lines(title, t.flow, y, f)
			if err != nil {
				return "", err
			}
			rows[row] = append(rows[row], p)
			row++
		}
	}
	return f.Save("conditional.png", side, side, rows...)
}

// panel is an empty picture.
func panel(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.HideAxes()
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -extent, extent, -extent, extent
	return p
}

// scatter shows draws of the density itself.
func scatter(title string, d density, seed uint64) (*plot.Plot, error) {
	p := panel(title)
	x, _ := sample(d, 4000, rand.New(rand.NewPCG(seed, 1000)))
	s, err := plotter.NewScatter(points(x))
	if err != nil {
		return nil, err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: show.Blue, Radius: vg.Points(0.6), Shape: draw.CircleGlyph{}}
	p.Add(s)
	return p, nil
}

// heat shows a density, bright where it is high.
func heat(f *show.Flags, title string, logProb func(l []float64, x *mat.Dense)) *plot.Plot {
	pixels := 160
	if f.Quick {
		pixels = 60
	}
	x := mat.NewDense(pixels*pixels, 2, nil)
	for i := range pixels {
		for j := range pixels {
			x.SetRow(i*pixels+j, []float64{
				extent * ((2*float64(j)+1)/float64(pixels) - 1),
				extent * (1 - (2*float64(i)+1)/float64(pixels)),
			})
		}
	}
	l := make([]float64, pixels*pixels)
	logProb(l, x)
	top := 0.0
	for i, v := range l {
		l[i] = math.Exp(v)
		top = max(top, l[i])
	}
	img := image.NewRGBA(image.Rect(0, 0, pixels, pixels))
	for i, v := range l {
		img.Set(i%pixels, i/pixels, show.Heat(v/top))
	}
	p := panel(title)
	p.Add(plotter.NewImage(img, -extent, -extent, extent, extent))
	return p
}

// lines shows paths from noise, gray, to draws.
func lines(title string, f *flow.Flow, y *mat.Dense, flags *show.Flags) (*plot.Plot, error) {
	const steps = 32
	z := normals(240, rand.New(rand.NewPCG(flags.Seed, 2000)))
	at, err := flow.Paths(f, z, y, steps)
	if err != nil {
		return nil, err
	}
	p := panel(title)
	for i := range 240 {
		xy := make(plotter.XYs, steps+1)
		for k := range xy {
			xy[k] = plotter.XY{X: at[k].At(i, 0), Y: at[k].At(i, 1)}
		}
		l, err := plotter.NewLine(xy)
		if err != nil {
			return nil, err
		}
		l.Color, l.Width = color.NRGBA{0, 114, 178, 110}, vg.Points(0.6)
		p.Add(l)
	}
	for _, end := range []struct {
		x      *mat.Dense
		colour color.Color
	}{{at[0], show.Gray}, {at[steps], show.Orange}} {
		s, err := plotter.NewScatter(points(end.x))
		if err != nil {
			return nil, err
		}
		s.GlyphStyle = draw.GlyphStyle{Color: end.colour, Radius: vg.Points(1.3), Shape: draw.CircleGlyph{}}
		p.Add(s)
	}
	return p, nil
}

func points(x *mat.Dense) plotter.XYs {
	rows, _ := x.Dims()
	xy := make(plotter.XYs, rows)
	for i := range xy {
		xy[i] = plotter.XY{X: x.At(i, 0), Y: x.At(i, 1)}
	}
	return xy
}
