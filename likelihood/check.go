package likelihood

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

const (
	scoreTol       = 1e-6 // relative, of differences
	identityDraws  = 4000
	identityMaxDev = 5 // standard errors
)

// CheckNoise reports the first way in which a law fails to be one at f, or
// nil. It is for tests of one's own laws.
//
// It checks that draws are data that the law accepts, fill their destination
// and depend on nothing but f and the source; that the score agrees with
// differences of the log density to 1e-6; that a NaN in f is not lost; and
// that the mean of the score over draws is zero, to five standard errors, as
// it is for every normalised density that the draws follow. Inputs must be
// left alone. A panic of the law comes back as an error.
//
// A nil src is freshly seeded.
func CheckNoise(noise Noise, f []float64, src rand.Source) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("likelihood: the law panicked: %w", &par.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	if noise == nil {
		return errors.New("likelihood: noise is nil")
	}
	if len(f) == 0 || slices.ContainsFunc(f, math.IsNaN) {
		return fmt.Errorf("likelihood: f is %g, want numbers", f)
	}
	c := &noiseCheck{noise: noise, f: f, at: slices.Clone(f), y: make([]float64, len(f)), score: make([]float64, len(f)), seed: rng.Seed(src)}
	if err := c.draws(); err != nil {
		return err
	}
	if err := c.differences(); err != nil {
		return err
	}
	if err := c.identity(); err != nil {
		return err
	}
	c.at[0] = math.NaN()
	if p := noise.LogProbScore(c.score, c.y, c.at); !math.IsNaN(p) && !math.IsInf(p, -1) {
		return fmt.Errorf("likelihood: LogProbScore is %g where f is NaN, want NaN or -Inf", p)
	}
	return nil
}

type noiseCheck struct {
	noise    Noise
	f        []float64
	at       []float64 // a copy of f for the law to see
	y, score []float64
	seed     uint64
}

// draw stores draw i in y.
func (c *noiseCheck) draw(i int) error {
	for j := range c.y {
		c.y[j] = math.NaN()
	}
	c.noise.Rand(c.y, c.at, rng.New(c.seed, uint64(i)))
	if j := slices.IndexFunc(c.y, math.IsNaN); j >= 0 {
		return fmt.Errorf("likelihood: Rand at f = %g gives NaN at [%d] of a destination that held NaN", c.f, j)
	}
	if err := c.noise.Check(c.y); err != nil {
		return fmt.Errorf("likelihood: Check refuses what Rand drew: %w", err)
	}
	return nil
}

func (c *noiseCheck) draws() error {
	if err := c.draw(0); err != nil {
		return err
	}
	first := slices.Clone(c.y)
	if err := c.draw(0); err != nil {
		return err
	}
	if !slices.Equal(first, c.y) {
		return fmt.Errorf("likelihood: Rand gives %g and then %g for the same source", first, c.y)
	}
	c.noise.LogProbScore(c.score, c.y, c.at)
	if !slices.Equal(c.at, c.f) {
		return errors.New("likelihood: the law changes f")
	}
	if !slices.Equal(first, c.y) {
		return errors.New("likelihood: LogProbScore changes y")
	}
	return nil
}

// direction returns a random direction, scaled to the coordinates of f.
func (c *noiseCheck) direction(i int) []float64 {
	u := make([]float64, len(c.f))
	rng.FillNormal(u, rng.New(c.seed+1, uint64(i)))
	for j, v := range c.f {
		if v != 0 {
			u[j] *= math.Abs(v)
		}
	}
	return u
}

func (c *noiseCheck) differences() error {
	tmp := make([]float64, len(c.f))
	at := func(u []float64, h float64) float64 {
		floats.AddScaledTo(c.at, c.f, h, u)
		return c.noise.LogProbScore(tmp, c.y, c.at)
	}
	defer copy(c.at, c.f)
	for i := range 5 {
		if err := c.draw(i); err != nil {
			return err
		}
		p := c.noise.LogProbScore(c.score, c.y, c.f)
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return fmt.Errorf("likelihood: LogProbScore of a draw is %g", p)
		}
		u := c.direction(i)
		got := floats.Dot(c.score, u)
		var want float64
		good := false
		for h := 1e-2; h > 1e-6 && !good; h /= 10 {
			want = 4*(at(u, h/2)-at(u, -h/2))/(3*h) - (at(u, h)-at(u, -h))/(6*h)
			good = math.Abs(got-want) <= scoreTol*math.Max(1, math.Abs(got))
		}
		if !good {
			return fmt.Errorf("likelihood: the score in a direction is %.10g, by differences of the log density %.10g", got, want)
		}
		copy(c.at, c.f)
	}
	return nil
}

// identity checks that E ∇_f log p(y|f) = ∇_f ∫ p(y|f) dy = 0.
func (c *noiseCheck) identity() error {
	for k := range 3 {
		u := c.direction(k)
		var sum, squares float64
		for i := range identityDraws {
			if err := c.draw(i); err != nil {
				return err
			}
			c.noise.LogProbScore(c.score, c.y, c.at)
			v := floats.Dot(c.score, u)
			sum += v
			squares += v * v
		}
		mean := sum / identityDraws
		se := math.Sqrt(math.Max(0, squares/identityDraws-mean*mean) / identityDraws)
		// The last term is rounding, where data are all but certain.
		if !(math.Abs(mean) <= identityMaxDev*se+1e-12) {
			return fmt.Errorf("likelihood: the mean of the score over %d draws is %.3g with a standard error of %.3g, want 0: draws do not follow the density, or it is not normalised", identityDraws, mean, se)
		}
	}
	return nil
}
