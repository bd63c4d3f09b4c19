package main

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/go-inverse/inverse/examples/internal/show"
)

// draw writes the panel and returns its path.
func draw(f *show.Flags, r *result) (string, error) {
	slice := func(title string, x []float64) *plot.Plot {
		return show.Image(title, x, r.side, r.side, 0, 1)
	}
	errors, err := r.ErrorPlot()
	if err != nil {
		return "", err
	}
	calibration, err := r.CalibrationPlot()
	if err != nil {
		return "", err
	}
	// Each angle is drawn several rows high.
	detectors := len(r.data) / *angles
	high := max(1, detectors / *angles)
	var rows []float64
	for i := range *angles * high {
		rows = append(rows, r.data[i/high*detectors:][:detectors]...)
	}
	scan := show.Image(fmt.Sprintf("Scan: %d angles, %d detectors", *angles, detectors), rows, *angles*high, detectors, 0, 0)
	lo, hi := floats.Min(r.SD), floats.Max(r.SD)
	side := 3.1 * vg.Inch
	return f.Save("tomography.png", side, side,
		[]*plot.Plot{
			slice("Truth", r.truth),
			scan,
			slice(fmt.Sprintf("CGLS, %d iterations", len(r.Errors)), r.last),
			errors,
		},
		[]*plot.Plot{
			slice(fmt.Sprintf("CGLS, stopped at %d", r.Stopped), r.cgls),
			slice("Tikhonov, discrepancy", r.tikhonov),
			slice("Posterior mean", r.Mean),
			calibration,
		},
		[]*plot.Plot{
			slice("Posterior draw", r.draws.RawRowView(0)),
			slice("Another draw", r.draws.RawRowView(1)),
			show.Map(fmt.Sprintf("Posterior sd, %.3f to %.3f", lo, hi), r.SD, r.side, r.side, 0, hi),
			show.Map("|mean - truth|, 0 to 3 sd", r.Deviation(), r.side, r.side, 0, 3*hi),
		})
}
