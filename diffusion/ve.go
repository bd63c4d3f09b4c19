package diffusion

import "math"

// VE is the variance exploding schedule α = 1, σ² = min² ((max/min)^(2t) - 1)
// (Song et al. 2021, eq. 30 without the noise at t = 0). It spans the times at
// which σ is min and 1, where it is nearly max.
type VE struct{ min, max float64 }

// NewVE returns the schedule with σ from min to max, which should be larger
// than the distances between data.
func NewVE(min, max float64) VE { return VE{min, max} }

// At returns 1 and σ_t.
func (s VE) At(t float64) (alpha, sigma float64) {
	return 1, s.min * math.Sqrt(math.Expm1(2*t*math.Log(s.max/s.min)))
}

// Rates returns 0 and the derivative of σ_t.
func (s VE) Rates(t float64) (dalpha, dsigma float64) {
	_, sigma := s.At(t)
	rate := math.Log(s.max / s.min)
	return 0, s.min * s.min * rate * math.Exp(2*t*rate) / sigma
}

// Time inverts the log signal-to-noise ratio.
func (s VE) Time(logSNR float64) float64 {
	return math.Log1p(math.Exp(-logSNR)/(s.min*s.min)) / (2 * math.Log(s.max/s.min))
}

// Span returns the time at which σ is min, and 1.
func (s VE) Span() (lo, hi float64) { return math.Ln2 / (2 * math.Log(s.max/s.min)), 1 }

// EDM is the schedule α = 1, σ = t of Karras et al. (2022): the time is the
// noise level. It spans [min, max].
type EDM struct{ min, max float64 }

// NewEDM returns the schedule with noise levels from min to max; for data of
// standard deviation 0.5, Karras et al. take 0.002 and 80.
func NewEDM(min, max float64) EDM { return EDM{min, max} }

// At returns 1 and t.
func (EDM) At(t float64) (alpha, sigma float64) { return 1, t }

// Rates returns 0 and 1.
func (EDM) Rates(float64) (dalpha, dsigma float64) { return 0, 1 }

// Time inverts the log signal-to-noise ratio.
func (EDM) Time(logSNR float64) float64 { return math.Exp(-logSNR / 2) }

// Span returns min and max.
func (s EDM) Span() (lo, hi float64) { return s.min, s.max }

// RectifiedFlow is the schedule α = 1 - t, σ = t of rectified flow and flow
// matching (Liu et al. 2023; Lipman et al. 2023). As α is 0 at t = 1, it spans
// [10⁻³, 0.999].
type RectifiedFlow struct{}

// At returns 1 - t and t.
func (RectifiedFlow) At(t float64) (alpha, sigma float64) { return 1 - t, t }

// Rates returns -1 and 1.
func (RectifiedFlow) Rates(float64) (dalpha, dsigma float64) { return -1, 1 }

// Time inverts the log signal-to-noise ratio.
func (RectifiedFlow) Time(logSNR float64) float64 { return 1 / (1 + math.Exp(logSNR/2)) }

// Span returns 10⁻³ and 0.999.
func (RectifiedFlow) Span() (lo, hi float64) { return 1e-3, 0.999 }

var (
	_ Schedule = VE{}
	_ Schedule = EDM{}
	_ Schedule = RectifiedFlow{}
)
