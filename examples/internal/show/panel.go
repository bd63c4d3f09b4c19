package show

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colours that stay apart in print and for colour-blind readers (Okabe and
// Ito, 2008).
var (
	Blue   = color.RGBA{0, 114, 178, 255}
	Orange = color.RGBA{213, 94, 0, 255}
	Green  = color.RGBA{0, 158, 115, 255}
	Pink   = color.RGBA{204, 121, 167, 255}
	Sky    = color.RGBA{86, 180, 233, 255}
	Gray   = color.RGBA{110, 110, 110, 255}
)

// Save draws the plots as a grid, row by row, into a PNG in the output
// folder and returns its path. The file is written whole or not at all. Nil
// plots leave their place empty; width and height are those of one plot.
func (f *Flags) Save(name string, width, height vg.Length, plots ...[]*plot.Plot) (string, error) {
	rows, cols := len(plots), len(plots[0])
	w, h := width*vg.Length(cols), height*vg.Length(rows)
	canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(110))
	tiles := draw.Tiles{
		Rows: rows, Cols: cols,
		PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 10, PadX: 14, PadY: 12,
	}
	places := plot.Align(plots, tiles, draw.New(canvas))
	for i, row := range plots {
		for j, p := range row {
			if p != nil {
				p.Draw(places[i][j])
			}
		}
	}
	path := filepath.Join(f.Out, name)
	tmp, err := os.CreateTemp(f.Out, name+".*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(tmp); err != nil {
		tmp.Close()
		return "", err
	}
	if err := tmp.Close(); err != nil {
		return "", err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}

// Image is a plot of a picture, in its own proportions: x is rows*cols gray values, row by row from
// the top, with lo shown black and hi white; lo = hi takes them from x.
func Image(title string, x []float64, rows, cols int, lo, hi float64) *plot.Plot {
	return picture(title, x, rows, cols, lo, hi, func(v float64) color.Color {
		return color.Gray16{uint16(math.Round(65535 * v))}
	})
}

// Map is a plot of a non-negative quantity on the pixels of a picture, dark
// where it is lo and bright where it is hi.
func Map(title string, x []float64, rows, cols int, lo, hi float64) *plot.Plot {
	return picture(title, x, rows, cols, lo, hi, Heat)
}

func picture(title string, x []float64, rows, cols int, lo, hi float64, colour func(v float64) color.Color) *plot.Plot {
	if len(x) != rows*cols {
		panic(fmt.Sprintf("show: %d values for a %d×%d picture", len(x), rows, cols))
	}
	if lo == hi {
		lo, hi = x[0], x[0]
		for _, v := range x {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, cols, rows))
	for i := range rows {
		for j := range cols {
			v := (x[i*cols+j] - lo) / (hi - lo)
			img.Set(j, i, colour(max(0, min(1, v))))
		}
	}
	p := plot.New()
	p.Title.Text = title
	p.HideAxes()
	p.Add(picturePlotter{img})
	return p
}

// picturePlotter draws a picture as large as fits without stretching it.
type picturePlotter struct{ img image.Image }

func (q picturePlotter) Plot(c draw.Canvas, _ *plot.Plot) {
	size, b := c.Size(), q.img.Bounds()
	w, h := vg.Length(b.Dx()), vg.Length(b.Dy())
	scale := min(size.X/w, size.Y/h)
	half := vg.Point{X: scale * w / 2, Y: scale * h / 2}
	center := c.Center()
	c.DrawImage(vg.Rectangle{Min: center.Sub(half), Max: center.Add(half)}, q.img)
}

// Heat is the colour of a number from 0 to 1. It runs from black through purple and orange to pale yellow, with
// luminance increasing throughout.
func Heat(v float64) color.Color {
	stops := [...][3]float64{{0, 0, 4}, {81, 18, 124}, {183, 55, 121}, {252, 137, 97}, {252, 253, 191}}
	t := v * float64(len(stops)-1)
	k := min(int(t), len(stops)-2)
	t -= float64(k)
	var c [3]uint8
	for i := range c {
		c[i] = uint8(math.Round((1-t)*stops[k][i] + t*stops[k+1][i]))
	}
	return color.RGBA{c[0], c[1], c[2], 255}
}

// GrayLevels returns the luminances of an image in [0, 1], one row of the
// matrix a row of pixels.
func GrayLevels(img image.Image) *mat.Dense {
	b := img.Bounds()
	g := mat.NewDense(b.Dy(), b.Dx(), nil)
	for i := range b.Dy() {
		for j := range b.Dx() {
			y := color.Gray16Model.Convert(img.At(b.Min.X+j, b.Min.Y+i)).(color.Gray16).Y
			g.Set(i, j, float64(y)/65535)
		}
	}
	return g
}

// Line adds a line with a legend, unless the name is empty.
func Line(p *plot.Plot, name string, xy plotter.XYs, c color.Color) error {
	l, err := plotter.NewLine(xy)
	if err != nil {
		return err
	}
	l.Color, l.Width = c, vg.Points(1.5)
	p.Add(l)
	if name != "" {
		p.Legend.Add(name, l)
	}
	p.Legend.Top = true
	return nil
}

// Points adds filled circles with a legend, unless the name is empty.
func Points(p *plot.Plot, name string, xy plotter.XYs, c color.Color) error {
	s, err := plotter.NewScatter(xy)
	if err != nil {
		return err
	}
	s.Color, s.Radius, s.Shape = c, vg.Points(3), draw.CircleGlyph{}
	p.Add(s)
	if name != "" {
		p.Legend.Add(name, s)
	}
	return nil
}
