package diffusion

import (
	"errors"
	"fmt"
	"math"
)

// Schedule is a forward process x_t = α_t x₀ + σ_t z with z ~ N(0, I): how
// signal is turned into noise as t grows from 0, where α = 1 and σ = 0.
//
// It is the solution of dx = f x dt + g dw with f = α'/α and
// g² = 2σσ' - 2fσ² (Kingma et al. 2021), so α and σ are all that there is to
// say. The signal-to-noise ratio α/σ falls strictly with t.
type Schedule interface {
	// At returns α_t and σ_t.
	At(t float64) (alpha, sigma float64)
	// Rates returns the derivatives of α_t and σ_t.
	Rates(t float64) (dalpha, dsigma float64)
	// Time returns the t at which log(α²/σ²), the log signal-to-noise ratio,
	// has a value.
	Time(logSNR float64) float64
	// Span returns the times between which sampling runs unless told
	// otherwise: σ is small at lo, and α/σ at hi.
	Span() (lo, hi float64)
}

// LogSNR returns log(α_t²/σ_t²), which is +Inf at t = 0.
func LogSNR(s Schedule, t float64) float64 {
	alpha, sigma := s.At(t)
	return 2 * (math.Log(alpha) - math.Log(sigma))
}

// drift returns f = α'/α and g² = 2σσ' - 2fσ² at t.
func drift(s Schedule, t float64) (f, g2 float64) {
	alpha, sigma := s.At(t)
	da, ds := s.Rates(t)
	f = da / alpha
	return f, math.Max(0, 2*sigma*(ds-f*sigma))
}

// checkSchedule returns an error if s cannot be a schedule, such as one with
// invalid parameters.
func checkSchedule(s Schedule) error {
	if s == nil {
		return errors.New("diffusion: the schedule is nil")
	}
	lo, hi := s.Span()
	if !(lo >= 0 && hi > lo) || math.IsInf(hi, 1) {
		return fmt.Errorf("diffusion: the schedule %T spans times from %g to %g", s, lo, hi)
	}
	const looks = 16
	last := math.Inf(1)
	for i := range looks + 1 {
		t := lo + (hi-lo)*float64(i)/looks
		alpha, sigma := s.At(t)
		da, ds := s.Rates(t)
		if !(alpha > 0 && sigma > 0) || math.IsInf(alpha, 1) || math.IsInf(sigma, 1) || math.IsNaN(da-ds) || math.IsInf(da-ds, 0) {
			return fmt.Errorf("diffusion: the schedule %T has α = %g, σ = %g, α' = %g, σ' = %g at t = %g", s, alpha, sigma, da, ds, t)
		}
		if l := LogSNR(s, t); l < last {
			last = l
		} else {
			return fmt.Errorf("diffusion: the signal-to-noise ratio of the schedule %T does not fall with t near %g", s, t)
		}
	}
	return nil
}

// Grid returns the steps+1 times, falling from the first to the last
// argument, between which a reverse-time solver steps. A user's own grid is a
// function of this type.
type Grid func(s Schedule, from, to float64, steps int) []float64

// UniformTime spaces times evenly in t.
func UniformTime(_ Schedule, from, to float64, steps int) []float64 {
	return spaced(from, to, steps, func(u float64) float64 { return u }, func(u float64) float64 { return u })
}

// UniformLogSNR spaces times evenly in the log signal-to-noise ratio, the
// grid of few-step solvers (Lu et al. 2022).
func UniformLogSNR(s Schedule, from, to float64, steps int) []float64 {
	return spaced(from, to, steps, func(t float64) float64 { return LogSNR(s, t) }, s.Time)
}

// Karras returns the grid of Karras et al. (2022, eq. 5): (σ/α)^(1/rho) is
// spaced evenly. They recommend rho = 7.
func Karras(rho float64) Grid {
	return func(s Schedule, from, to float64, steps int) []float64 {
		return spaced(from, to, steps,
			func(t float64) float64 { return math.Exp(-0.5 * LogSNR(s, t) / rho) },
			func(u float64) float64 { return s.Time(-2 * rho * math.Log(u)) })
	}
}

// spaced returns times whose images under f are spaced evenly.
func spaced(from, to float64, steps int, f, inverse func(float64) float64) []float64 {
	t := make([]float64, steps+1)
	a, b := f(from), f(to)
	for i := range t {
		u := float64(i) / float64(steps)
		t[i] = inverse(a + (b-a)*u)
	}
	t[0], t[steps] = from, to
	return t
}

// checkTimes returns an error unless t falls strictly.
func checkTimes(t []float64, want int) error {
	if len(t) != want {
		return fmt.Errorf("diffusion: the grid has %d times, want %d", len(t), want)
	}
	for i, v := range t {
		if math.IsNaN(v) || v < 0 || i > 0 && v >= t[i-1] {
			return fmt.Errorf("diffusion: the grid's times must fall and not be negative, but time %d is %g", i, v)
		}
	}
	return nil
}
