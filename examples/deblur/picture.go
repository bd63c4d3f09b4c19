package main

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the panel and returns its path.
func draw(f *show.Flags, r *result) (string, error) {
	photo := func(title string, x []float64) *plot.Plot {
		return show.Image(title, x, r.rows, r.cols, 0, 1)
	}
	first := photo("Blurred, noisy data", r.data)
	lo, hi := floats.Min(r.SD), floats.Max(r.SD)
	sd := show.Map(fmt.Sprintf("Posterior sd, %.3f to %.3f", lo, hi), r.SD, r.rows, r.cols, 0, hi)
	naive := photo("Naive inverse", r.naive)
	cgls := photo(fmt.Sprintf("CGLS, stopped at %d", r.Stopped), r.cgls)
	tikhonov := photo("Tikhonov, GCV", r.tikhonov)
	mean := photo("Posterior mean", r.Mean)
	draws := []*plot.Plot{photo("Posterior draw", r.draws.RawRowView(0)), photo("Another draw", r.draws.RawRowView(1))}
	top := floats.Max(r.dust.sd)
	dust := []*plot.Plot{
		photo("The same, dust on the sensor", r.dust.data),
		photo("Posterior mean behind the dust", r.dust.mean),
		show.Map(fmt.Sprintf("Posterior sd, %.3f to %.3f", floats.Min(r.dust.sd), top), r.dust.sd, r.rows, r.cols, 0, top),
		nil,
	}
	side := 3 * vg.Inch
	if r.truth == nil {
		return f.Save("deblur.png", side, side,
			[]*plot.Plot{first, naive, cgls, tikhonov},
			[]*plot.Plot{mean, sd, draws[0], draws[1]}, dust)
	}
	miss := make([]float64, len(r.truth))
	for i, m := range r.dust.mean {
		miss[i] = math.Abs(m - r.truth[i])
	}
	dust[3] = show.Map(fmt.Sprintf("|mean - truth|, 0 to %.2f", 2*top), miss, r.rows, r.cols, 0, 2*top)
	errors, err := r.ErrorPlot()
	if err != nil {
		return "", err
	}
	calibration, err := r.CalibrationPlot()
	if err != nil {
		return "", err
	}
	return f.Save("deblur.png", side, side,
		[]*plot.Plot{photo("Truth", r.truth), first, naive, errors},
		[]*plot.Plot{cgls, tikhonov, mean, calibration},
		[]*plot.Plot{draws[0], draws[1], sd, show.Map(fmt.Sprintf("|mean - truth|, 0 to %.2f", 3*hi), r.Deviation(), r.rows, r.cols, 0, 3*hi)}, dust)
}
