package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// The samplers of the benchmark as its authors' program runs them, for the
// rows of the table that are to be reproduced. They differ from the library's
// where that says so below, and all take the program's grid.
func (p *mixture25) published() map[string]inverse.Sampler {
	return map[string]inverse.Sampler{
		"DPS, published":     seeded{p, p.publishedDPS},
		"DDRM, published":    seeded{p, p.publishedDDRM},
		"MCGDiff, published": seeded{p, p.publishedMCGDiff},
	}
}

// seeded is a function that draws, with a seed.
type seeded struct {
	p   *mixture25
	run func(x *mat.Dense, src *rng.Source)
}

func (s seeded) Dim() int { return s.p.score.Dim() }

func (s seeded) Sample(_ context.Context, dst *mat.Dense) error {
	s.run(dst, rng.New(3, 0))
	return nil
}

// publishedLevels returns the rising levels of the grid: level 0, then one
// whenever α has fallen by 0.99/(steps - 1 - d_y) or a datum has the noise of
// the level, while α is above 0.01, and the rest spread evenly up to 999. As
// levels are whole, it has about half as many steps as asked for where α is
// near 1, and the rest where all is noise.
func (p *mixture25) publishedLevels() []int {
	const steps = 100
	alpha := func(level int) float64 { a, _ := p.score.Schedule().At(float64(level) / 999); return a }
	release := map[int]bool{}
	for _, s := range p.singular {
		best, at := math.Inf(1), 0
		for i := range 1000 {
			a2 := alpha(i) * alpha(i)
			if d := math.Abs(p.sigma*p.sigma*a2 - (1-a2)*s*s); d < best {
				best, at = d, i
			}
		}
		if at > 0 {
			release[at] = true
		}
	}
	end := 0
	for alpha(end) >= 1e-2 {
		end++
	}
	decrement := (1 - alpha(end)) / float64(steps-1-len(release))
	levels := []int{0}
	last := 1.0
	for i := 1; i < end; i++ {
		if a := alpha(i); last-a >= decrement || release[i] {
			levels = append(levels, i)
			last = a
		}
	}
	from, rest := levels[len(levels)-1], steps-len(levels)
	for k := 1; k <= rest; k++ {
		levels = append(levels, int(math.Ceil(float64(from)+float64(999-from)*float64(k)/float64(rest))))
	}
	return slices.Compact(levels)
}

// descend calls step for each step down the published grid, with α, σ and t
// from and α', σ' to.
func (p *mixture25) descend(step func(t, a, s, a2, s2 float64)) {
	levels := p.publishedLevels()
	for k := len(levels) - 1; k > 0; k-- {
		t := float64(levels[k]) / 999
		a, s := p.score.Schedule().At(t)
		a2, s2 := p.score.Schedule().At(float64(levels[k-1]) / 999)
		if levels[k-1] == 0 {
			a2, s2 = 1, 0
		}
		step(t, a, s, a2, s2)
	}
}

const publishedEta = .85

// ddpm returns the coefficients of the published ancestral step: the mean of
// η = 1, whatever η is, and η times the noise of η = 1.
func ddpm(a, s, a2, s2 float64) (x, d, v float64) {
	b := 1 - a*a/(a2*a2)
	return a / a2 * s2 * s2 / (s * s), a2 * b / (s * s), publishedEta * s2 / s * math.Sqrt(b)
}

// DPS takes the gradient of the squared norm times ζ = 0.1 over the norm.
func (p *mixture25) publishedDPS(x *mat.Dense, src *rng.Source) {
	normals(x, src)
	at := newPoint(p.score)
	r, n := x.Dims()
	var res, back mat.Dense
	z, g := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	p.descend(func(t, a, s, a2, s2 float64) {
		at.at(p.score, x, t)
		res.Mul(&at.mean, p.a.T())
		for i := range r {
			row := res.RawRowView(i)
			floats.Sub(row, p.lik.Data())
			floats.Scale(2*.1/floats.Norm(row, 2), row)
		}
		back.Mul(&res, p.a)
		at.pull(g, &back)
		cx, cd, v := ddpm(a, s, a2, s2)
		combine(x, cx, x, cd, &at.mean)
		normals(z, src)
		addScaled(x, v, z)
		addScaled(x, -1, g)
	})
}

// DDRM has η = 0.85 where there is a datum, and 1 elsewhere.
func (p *mixture25) publishedDDRM(x *mat.Dense, src *rng.Source) {
	normals(x, src)
	r, n := x.Dims()
	c, dc := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	z, d := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	first := true
	p.descend(func(t, a, s, a2, s2 float64) {
		if first {
			first = false
			c.Mul(x, p.v)
			for j := range r {
				for i, sv := range p.singular {
					if noise := p.sigma / sv; noise < s/a {
						c.Set(j, i, a*(p.modes[i]+math.Sqrt(s*s/(a*a)-noise*noise)*c.At(j, i)))
					}
				}
			}
			x.Mul(c, p.v.T())
		}
		p.score.Denoise(d, x, t)
		dc.Mul(d, p.v)
		normals(z, src)
		level := s2 / a2
		for j := range r {
			for i := range n {
				mean, sd := dc.At(j, i), level
				if i < len(p.singular) {
					switch noise := p.sigma / p.singular[i]; {
					case level < noise:
						mean += math.Sqrt(1-publishedEta*publishedEta) * level * (p.modes[i] - mean) / noise
						sd *= publishedEta
					default:
						mean, sd = p.modes[i], math.Sqrt(level*level-noise*noise)
					}
				}
				c.Set(j, i, a2*(mean+sd*z.At(j, i)))
			}
		}
		x.Mul(c, p.v.T())
	})
}

// MCGDiff has κ = 0.01, resamples at each step with the weights of the step
// before, and so its particles are moved before they are chosen.
func (p *mixture25) publishedMCGDiff(dst *mat.Dense, src *rng.Source) {
	const particles, kappa = 1000, 1e-2
	rows, n := dst.Dims()
	random := rand.New(src)
	levels := p.publishedLevels()
	release := make([]float64, len(p.singular)) // α where datum i is released
	for i, s := range p.singular {
		best := math.Inf(1)
		for _, l := range levels {
			a, _ := p.score.Schedule().At(float64(l) / 999)
			if d := math.Abs(p.sigma*p.sigma*a*a - (1-a*a)*s*s); d < best {
				best, release[i] = d, a
			}
		}
	}
	for from := 0; from < rows; from += particles {
		x, d, c := mat.NewDense(particles, n, nil), mat.NewDense(particles, n, nil), mat.NewDense(particles, n, nil)
		normals(x, src)
		c.Mul(x, p.v) // the particles, in the coordinates Vᵀx
		before, m := mat.NewDense(particles, n, nil), mat.NewDense(particles, n, nil)
		logw, total := make([]float64, particles), make([]float64, particles)
		p.descend(func(t, a, s, a2, s2 float64) {
			x.Mul(c, p.v.T())
			p.score.Denoise(d, x, t)
			m.Mul(d, p.v)
			keepNoise, v := ddimNoise(a, s, a2, s2, publishedEta)
			combine(m, keepNoise/s, c, a2-keepNoise*a/s, m)
			top, sum := floats.Max(logw), 0.0
			for i, l := range logw {
				sum += math.Exp(l - top)
				total[i] = sum
			}
			before.Copy(c)
			next := make([]float64, particles)
			for j := range particles {
				ancestor, _ := slices.BinarySearch(total, random.Float64()*sum)
				old, mean := before.RawRowView(ancestor), m.RawRowView(ancestor)
				for i := range n {
					c.Set(j, i, mean[i]+v*random.NormFloat64())
				}
				for i, ar := range release {
					if a2 > ar || v == 0 {
						continue
					}
					k2, k := 1-(1-kappa)*a2*a2/(ar*ar), 1-(1-kappa)*a*a/(ar*ar)
					y2, y := a2*p.modes[i], a*p.modes[i]
					post := 1 / (1/(v*v) + 1/k2)
					c.Set(j, i, post*(y2/k2+mean[i]/(v*v))+math.Sqrt(post)*random.NormFloat64())
					next[j] += -.5*(mean[i]-y2)*(mean[i]-y2)/(v*v+k2) + .5*(old[i]-y)*(old[i]-y)/k
				}
			}
			copy(logw, next)
		})
		x.Mul(c, p.v.T())
		for j := from; j < min(rows, from+particles); j++ {
			dst.SetRow(j, x.RawRowView(j-from))
		}
	}
}

func normals(x *mat.Dense, src *rng.Source) {
	for i := range x.RawMatrix().Rows {
		rng.FillNormal(x.RawRowView(i), src)
	}
}
