package main

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/posterior"
)

// draw writes a scatter of the draws of each route over the exact density.
func draw(f *show.Flags, p *problem, post *posterior.Mixture, results []*result) (string, error) {
	var plots []*plot.Plot
	prior, err := scatter("Prior, and where the datum says", nil, p.pri)
	if err != nil {
		return "", err
	}
	for _, c := range []float64{-1, 0, 1} {
		// x + y/2 = 1.2, and a standard deviation to both sides
		v := p.y[0] + 0.5*c
		line := plotter.XYs{{X: v - limit/2, Y: limit}, {X: v + limit/2, Y: -limit}}
		colour := color.Color(show.Gray)
		if c == 0 {
			colour = show.Orange
		}
		if err := show.Line(prior, "", line, colour); err != nil {
			return "", err
		}
	}
	plots = append(plots, prior)
	for _, r := range results {
		s, err := scatter(fmt.Sprintf("%s: C2ST %.3f", r.Name, r.C2ST), r.draws, post)
		if err != nil {
			return "", err
		}
		plots = append(plots, s)
	}
	rows := make([][]*plot.Plot, 2)
	for i := range rows {
		rows[i] = make([]*plot.Plot, 4)
		for j := range rows[i] {
			if k := 4*i + j; k < len(plots) {
				rows[i][j] = plots[k]
			}
		}
	}
	return f.Save("routes.png", 2.9*vg.Inch, 2.9*vg.Inch, rows...)
}

const limit = 3.2

// scatter shows draws over the contours of a density.
func scatter(title string, draws *mat.Dense, density interface{ LogProb(x []float64) float64 }) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	if draws != nil {
		rows, _ := draws.Dims()
		var xy plotter.XYs
		for i := range min(rows, 1500) {
			if x, y := draws.At(i, 0), draws.At(i, 1); math.Abs(x) < limit && math.Abs(y) < limit {
				xy = append(xy, plotter.XY{X: x, Y: y})
			}
		}
		s, err := plotter.NewScatter(xy)
		if err != nil {
			return nil, err
		}
		s.Color, s.Radius, s.Shape = color.NRGBA{0, 114, 178, 110}, vg.Points(1.1), vgdraw.CircleGlyph{}
		p.Add(s)
	}
	g := grid{density}
	top := math.Inf(-1)
	for i := range cells {
		for j := range cells {
			top = max(top, g.Z(i, j))
		}
	}
	p.Add(plotter.NewContour(g, []float64{top - 4.5, top - 3, top - 1.5, top - 0.4}, black{}))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -limit, limit, -limit, limit
	return p, nil
}

const cells = 80

// grid is a log density on a square.
type grid struct {
	density interface{ LogProb(x []float64) float64 }
}

func (g grid) Dims() (c, r int)   { return cells, cells }
func (g grid) X(c int) float64    { return -limit + 2*limit*float64(c)/(cells-1) }
func (g grid) Y(r int) float64    { return g.X(r) }
func (g grid) Z(c, r int) float64 { return g.density.LogProb([]float64{g.X(c), g.Y(r)}) }

// black is a palette of one colour.
type black struct{}

var _ palette.Palette = black{}

func (black) Colors() []color.Color { return []color.Color{color.Black} }
