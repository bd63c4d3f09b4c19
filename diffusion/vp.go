package diffusion

import (
	"fmt"
	"math"
	"sort"
)

// VP is the variance preserving schedule α = exp(-B/2), σ² = 1 - exp(-B) with
// B(t) = ∫β and β rising linearly from t = 0 to t = 1 (Song et
// al. 2021, eq. 32). It spans [10⁻³, 1].
type VP struct{ min, max float64 }

// NewVP returns the schedule with β from min to max, usually 0.1 and 20.
func NewVP(min, max float64) VP { return VP{min, max} }

// beta returns β and its integral B.
func (s VP) beta(t float64) (beta, integral float64) {
	return s.min + (s.max-s.min)*t, t * (s.min + (s.max-s.min)*t/2)
}

// time returns the t at which the integral of β is b.
func (s VP) time(b float64) float64 {
	return 2 * b / (s.min + math.Sqrt(s.min*s.min+2*(s.max-s.min)*b))
}

// At returns α_t and σ_t.
func (s VP) At(t float64) (alpha, sigma float64) {
	_, b := s.beta(t)
	return preserving(b)
}

// Rates returns α' = -βα/2 and σ' = βα²/(2σ).
func (s VP) Rates(t float64) (dalpha, dsigma float64) { return preservingRates(s.beta(t)) }

// Time inverts the log signal-to-noise ratio.
func (s VP) Time(logSNR float64) float64 { return s.time(softplus(-logSNR)) }

// Span returns 10⁻³ and 1.
func (s VP) Span() (lo, hi float64) { return 1e-3, 1 }

// preserving returns α and σ of a variance preserving process.
func preserving(b float64) (alpha, sigma float64) {
	return math.Exp(-b / 2), math.Sqrt(-math.Expm1(-b))
}

func preservingRates(beta, b float64) (dalpha, dsigma float64) {
	alpha, sigma := preserving(b)
	return -beta * alpha / 2, beta * alpha * alpha / (2 * sigma)
}

// softplus returns log(1 + eˣ), which is B where the log signal-to-noise
// ratio is -x.
func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// SubVP is the schedule α = exp(-B/2), σ = 1 - exp(-B) with the B of VP (Song
// et al. 2021, eq. 29), whose variance is at most that of VP. It spans
// [10⁻³, 1].
type SubVP struct{ min, max float64 }

// NewSubVP returns the schedule with β from min to max, usually 0.1 and 20.
func NewSubVP(min, max float64) SubVP { return SubVP{min, max} }

// At returns α_t and σ_t.
func (s SubVP) At(t float64) (alpha, sigma float64) {
	_, b := VP(s).beta(t)
	return math.Exp(-b / 2), -math.Expm1(-b)
}

// Rates returns α' = -βα/2 and σ' = β exp(-B).
func (s SubVP) Rates(t float64) (dalpha, dsigma float64) {
	beta, b := VP(s).beta(t)
	return -beta * math.Exp(-b/2) / 2, beta * math.Exp(-b)
}

// Time inverts the log signal-to-noise ratio: with r = α/σ, α solves
// rα² + α - r = 0.
func (s SubVP) Time(logSNR float64) float64 {
	r := math.Exp(logSNR / 2)
	q := math.Sqrt(1 + 4*r*r)
	// 1 - α, which does not cancel where α is near 1.
	rest := (q + 2*r + 1) / ((q + 2*r) * (q + 1))
	return VP(s).time(-2 * math.Log1p(-rest))
}

// Span returns 10⁻³ and 1.
func (s SubVP) Span() (lo, hi float64) { return 1e-3, 1 }

// DDPM is a table of noise levels 1 to T at the times i/T (Ho, Jain and
// Abbeel 2020): level i has α² = Π_{j≤i} (1 - β_j) and σ² = 1 - α². Between
// levels log α is interpolated linearly, so that a DDPM is the variance
// preserving process whose β(t) is constant between levels, and may be
// sampled on any grid. It spans [1/T, 1].
type DDPM struct {
	b []float64 // b[i] = -log α² at level i
}

var _ Schedule = (*DDPM)(nil)

// NewDDPM returns the schedule with the given β, each in (0, 1).
func NewDDPM(betas []float64) (*DDPM, error) {
	if len(betas) < 2 {
		return nil, fmt.Errorf("diffusion: betas has length %d, want at least 2", len(betas))
	}
	s := &DDPM{b: make([]float64, len(betas)+1)}
	for i, v := range betas {
		if !(v > 0 && v < 1) {
			return nil, fmt.Errorf("diffusion: betas[%d] is %g, want a number between 0 and 1", i, v)
		}
		s.b[i+1] = s.b[i] - math.Log1p(-v)
	}
	return s, nil
}

// LinearBetas returns n values of β spaced evenly from first to last; Ho et
// al. (2020) take 1000 from 10⁻⁴ to 0.02.
func LinearBetas(n int, first, last float64) []float64 {
	betas := make([]float64, n)
	for i := range betas {
		betas[i] = first + (last-first)*float64(i)/math.Max(1, float64(n-1))
	}
	return betas
}

// levels returns the number T of levels.
func (s *DDPM) levels() int { return len(s.b) - 1 }

// beta returns β, from below, and its integral. Beyond the table the last β
// goes on.
func (s *DDPM) beta(t float64) (beta, integral float64) {
	steps := float64(s.levels())
	i := min(max(int(math.Ceil(t*steps)), 1), s.levels())
	slope := s.b[i] - s.b[i-1]
	return slope * steps, s.b[i] + slope*(t*steps-float64(i))
}

// At returns α_t and σ_t.
func (s *DDPM) At(t float64) (alpha, sigma float64) {
	_, b := s.beta(t)
	return preserving(b)
}

// Rates returns the derivatives of α_t and σ_t, from below at a level.
func (s *DDPM) Rates(t float64) (dalpha, dsigma float64) { return preservingRates(s.beta(t)) }

// Time inverts the log signal-to-noise ratio.
func (s *DDPM) Time(logSNR float64) float64 {
	b := softplus(-logSNR)
	i := min(max(sort.SearchFloat64s(s.b, b), 1), s.levels())
	return (float64(i) + (b-s.b[i])/(s.b[i]-s.b[i-1])) / float64(s.levels())
}

// Span returns 1/T and 1.
func (s *DDPM) Span() (lo, hi float64) { return 1 / float64(s.levels()), 1 }

// Cosine is the variance preserving schedule with
// α = cos((t + s)/(1 + s) π/2)/cos(s/(1 + s) π/2) and s = 0.008 (Nichol and
// Dhariwal 2021, eq. 17). As α is 0 at t = 1, it spans [10⁻³, 0.9946] (Lu et
// al. 2022).
type Cosine struct{}

const (
	cosineRate = math.Pi / 2 / 1.008
	cosineZero = 0.008 * cosineRate // the angle at t = 0
)

// At returns α_t and σ_t.
func (Cosine) At(t float64) (alpha, sigma float64) {
	c := math.Cos(cosineZero)
	angle := cosineZero + cosineRate*t
	// σ² = (cos² c - cos² angle)/cos² c, as a product that does not cancel.
	return math.Cos(angle) / c, math.Sqrt(math.Sin(cosineRate*t)*math.Sin(angle+cosineZero)) / c
}

// Rates returns the derivatives of α_t and σ_t.
func (s Cosine) Rates(t float64) (dalpha, dsigma float64) {
	alpha, sigma := s.At(t)
	dalpha = -cosineRate * math.Sin(cosineZero+cosineRate*t) / math.Cos(cosineZero)
	return dalpha, -alpha * dalpha / sigma
}

// Time inverts the log signal-to-noise ratio.
func (Cosine) Time(logSNR float64) float64 {
	alpha, sigma := preserving(softplus(-logSNR))
	sin, cos := math.Sincos(cosineZero)
	return (math.Atan2(math.Hypot(sin, sigma*cos), alpha*cos) - cosineZero) / cosineRate
}

// Span returns 10⁻³ and 0.9946.
func (Cosine) Span() (lo, hi float64) { return 1e-3, 0.9946 }

var (
	_ Schedule = VP{}
	_ Schedule = SubVP{}
	_ Schedule = Cosine{}
)
