package main

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// figures say how good a reconstruction is.
type figures struct {
	MeanDB   float64 // peak signal-to-noise ratio of the posterior mean, in decibel
	DrawDB   float64 // and of a draw
	Chi2     float64 // ‖(y - A(x))/σ‖² per datum, the mean over draws
	Coverage float64 // share of the true pixels inside 90 % intervals
	Open     float64 // share of the pixels that it is about
	Turned   float64 // share of the draws that are nearer to the truth turned by half a circle
}

// open is the standard deviation above which a pixel counts as open: most
// others are black in all draws and in the truth.
const open = .05

// measure sets mean, standard deviation and figures from the draws.
func (s *solved) measure(t task) {
	n, d := s.draws.Dims()
	s.mean, s.sd = make([]float64, d), make([]float64, d)
	var inside, counted int
	column := make([]float64, n)
	for j := range d {
		mat.Col(column, j, s.draws)
		s.mean[j], s.sd[j] = stat.MeanStdDev(column, nil)
		if s.sd[j] < open {
			continue
		}
		counted++
		slices.Sort(column)
		if lo, hi := interval(column, .9); lo <= s.truth[j] && s.truth[j] <= hi {
			inside++
		}
	}
	s.Open = float64(counted) / float64(d)
	s.Coverage = float64(inside) / float64(max(1, counted))
	s.MeanDB = psnr(s.mean, s.truth)
	s.Chi2 = stat.Mean(s.residuals(t), nil)
	turned := turn(s.truth)
	for i := range n {
		db := psnr(s.draws.RawRowView(i), s.truth)
		s.DrawDB += db / float64(n)
		if psnr(s.draws.RawRowView(i), turned) > db {
			s.Turned += 1 / float64(n)
		}
	}
}

// interval returns the ends of the interval between sorted draws that one more
// draw, or the truth, is in with a probability p: it has the same chance to fall
// into each of the n + 1 gaps. Quantiles of so few draws would be too narrow. Of
// the fewest draws, 19 for 90 %, it is all of their range.
func interval(sorted []float64, p float64) (lo, hi float64) {
	n := len(sorted)
	at := max((1-p)/2*float64(n+1), 1) - 1
	i := min(int(at), n-2)
	share := at - float64(i)
	return sorted[i] + share*(sorted[i+1]-sorted[i]), sorted[n-1-i] - share*(sorted[n-1-i]-sorted[n-2-i])
}

// psnr returns the peak signal-to-noise ratio, white being 1 and black -1.
func psnr(x, truth []float64) float64 {
	rms := floats.Distance(x, truth, 2) / math.Sqrt(float64(len(x)))
	return 20 * math.Log10(2/rms)
}

// average returns the means of the figures.
func average(all []*solved) figures {
	var f figures
	n := float64(len(all))
	for _, s := range all {
		f.MeanDB += s.MeanDB / n
		f.DrawDB += s.DrawDB / n
		f.Chi2 += s.Chi2 / n
		f.Coverage += s.Coverage / n
		f.Open += s.Open / n
		f.Turned += s.Turned / n
	}
	return f
}
