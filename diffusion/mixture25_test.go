package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

// mixture25 is the benchmark of Cardoso et al. (2024): a mixture of 25 unit
// Gaussians on a grid of spacing 8 that repeats over the coordinates, with
// random weights, seen through a random d_y×d matrix with random noise.
type mixture25 struct {
	score *Diffused
	lik   *likelihood.Gaussian
	post  *posterior.Mixture
}

func newMixture25(t testing.TB, d, dy int, seed uint64) *mixture25 {
	t.Helper()
	r := rand.New(src(1000*uint64(d) + 100*uint64(dy) + seed))
	means := mat.NewDense(25, d, nil)
	weights := make([]float64, 25)
	for k := range 25 {
		z := r.NormFloat64()
		weights[k] = z * z
		for j := range d {
			means.Set(k, j, 8*float64([2]int{k/5 - 2, k%5 - 2}[j%2]))
		}
	}
	pri, err := prior.NewIsotropicMixture(weights, means, []float64{1}, nil)
	check(t, err)
	var svd mat.SVD
	svd.Factorize(gaussianMatrix(r, dy, d), mat.SVDThin)
	var u, v, a mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	s := make([]float64, dy)
	for i := range s {
		s[i] = r.Float64()
	}
	sort.Sort(sort.Reverse(sort.Float64Slice(s)))
	a.Product(&u, mat.NewDiagDense(dy, s), v.T())
	sigma := r.Float64() * s[0]
	x := mat.NewDense(1, d, nil)
	pri.Draw(x, src(seed+77))
	var y mat.Dense
	y.Mul(x, a.T())
	for i := range dy {
		y.Set(0, i, y.At(0, i)+sigma*r.NormFloat64())
	}
	op, err := forward.NewDense(&a)
	check(t, err)
	p := &mixture25{}
	p.lik, err = likelihood.NewGaussian(op, y.RawRowView(0), sigma)
	check(t, err)
	p.post, err = posterior.NewMixture(pri, p.lik)
	check(t, err)
	schedule, err := NewDDPM(LinearBetas(999, .02, 1e-4))
	check(t, err)
	p.score, err = Diffuse(pri, schedule)
	check(t, err)
	return p
}

// evenAlpha is the benchmark's grid: equal decrements of α.
func evenAlpha(s Schedule, from, to float64, steps int) []float64 {
	return spaced(from, to, steps,
		func(t float64) float64 { alpha, _ := s.At(t); return alpha },
		func(alpha float64) float64 { return s.Time(2*math.Log(alpha) - math.Log1p(-alpha*alpha)) })
}

// methods returns the samplers of the benchmark by name.
func (p *mixture25) methods(t testing.TB) map[string]inverse.Sampler {
	t.Helper()
	const steps, eta = 100, .85
	reverse := func(score inverse.ScoreFunc, solver Solver) *Reverse {
		return &Reverse{Score: score, Schedule: p.score.Schedule(), Solver: solver, Steps: steps, Grid: evenAlpha, Src: src(1)}
	}
	filter := func(particles int) Filter {
		return Filter{Particles: particles, Draws: 1000, Steps: steps, Eta: eta, Grid: evenAlpha, Src: src(2)}
	}
	exact, err := NewExact(p.score, p.lik)
	check(t, err)
	mmps, err := NewMMPS(p.score, p.lik)
	check(t, err)
	pigdm, err := NewPiGDM(p.score, p.lik)
	check(t, err)
	dps, err := NewDPS(p.score, p.lik)
	check(t, err)
	tds, err := NewTDS(pigdm, p.lik)
	check(t, err)
	tds.Filter = filter(1000)
	twisted, err := NewTDS(mmps, p.lik)
	check(t, err)
	twisted.Filter = filter(1000)
	// As many forward and backward passes as ten times those of MCGDiff.
	ten, err := NewTDS(mmps, p.lik)
	check(t, err)
	ten.Filter = filter(10_000 / (1 + len(p.lik.Data())))
	mcg, err := NewMCGDiff(p.score, p.lik)
	check(t, err)
	mcg.Filter = filter(1000)
	many, err := NewMCGDiff(p.score, p.lik)
	check(t, err)
	many.Filter = filter(10_000)
	return map[string]inverse.Sampler{
		"draws":       p.post,
		"exact score": reverse(sumOf(t, p.score, exact), DDIM{Eta: eta}),
		"MMPS":        reverse(sumOf(t, p.score, mmps), DDIM{Eta: eta}),
		"PiGDM":       reverse(sumOf(t, p.score, pigdm), DDIM{Eta: eta}),
		"DPS 1/σ²":    reverse(sumOf(t, p.score, dps), DDIM{Eta: eta}),
		// As long as ζ = 0.1 along the gradient of the squared norm over the norm.
		"DPSStep ζ=0.2": reverse(p.score, DPSStep{Lik: p.lik, Zeta: .2, Eta: eta}),
		"DDRM":          reverse(p.score, DDRM{Lik: p.lik, Eta: .85}),
		"TDS PiGDM":     tds,
		"TDS MMPS":      twisted,
		"TDS MMPS 10x":  ten,
		"MCGDiff":       mcg,
		"MCGDiff 10x":   many,
	}
}

// slicedWasserstein returns the mean W1 distance over random directions.
func slicedWasserstein(x, y *mat.Dense, directions int, r *rand.Rand) float64 {
	rows, d := x.Dims()
	sum := 0.0
	u := make([]float64, d)
	a, b := make([]float64, rows), make([]float64, rows)
	for range directions {
		for j := range u {
			u[j] = r.NormFloat64()
		}
		floats.Scale(1/floats.Norm(u, 2), u)
		for i := range rows {
			a[i], b[i] = floats.Dot(u, x.RawRowView(i)), floats.Dot(u, y.RawRowView(i))
		}
		sort.Float64s(a)
		sort.Float64s(b)
		sum += floats.Distance(a, b, 1) / float64(rows)
	}
	return sum / float64(directions)
}

// The table of the package documentation. All of it takes an hour or so:
//
//	INVERSE_SLOW=1 go test ./diffusion -run TestMixture25 -v -timeout 4h
//
// INVERSE_DIMS ("8,80"), INVERSE_DATA ("1,2,4"), INVERSE_SEEDS ("20") and
// INVERSE_METHODS ("MCGDiff,MMPS") choose parts of it.
func TestMixture25(t *testing.T) {
	if testing.Short() {
		t.Skip("statistics of many draws")
	}
	dims, data, seeds := []int{8}, []int{2}, 2
	wanted := []string{"draws", "exact score", "MCGDiff"}
	slow := os.Getenv("INVERSE_SLOW") != ""
	if slow {
		dims, data, seeds, wanted = numbers(t, "INVERSE_DIMS", "8,80,800"), numbers(t, "INVERSE_DATA", "1,2,4"), numbers(t, "INVERSE_SEEDS", "20")[0], nil
		if m := os.Getenv("INVERSE_METHODS"); m != "" {
			wanted = strings.Split(m, ",")
		}
	}
	for _, d := range dims {
		for _, dy := range data {
			results := map[string][]float64{}
			diverged := map[string]int{}
			for seed := range seeds {
				p := newMixture25(t, d, dy, uint64(seed))
				truth := mat.NewDense(2000, d, nil)
				p.post.Draw(truth, src(99))
				x := mat.NewDense(2000, d, nil)
				for name, s := range p.methods(t) {
					if wanted != nil && !slices.Contains(wanted, name) {
						continue
					}
					err := s.Sample(context.Background(), x)
					var div *DivergedError
					if errors.As(err, &div) {
						diverged[name]++
						results[name] = append(results[name], math.Inf(1))
						continue
					}
					check(t, err)
					results[name] = append(results[name], slicedWasserstein(x, truth, 200, rand.New(src(5))))
				}
			}
			var names []string
			for name := range results {
				names = append(names, name)
			}
			sort.Strings(names)
			for _, name := range names {
				v := results[name]
				sort.Float64s(v)
				mean, sd := stat.MeanStdDev(v, nil)
				line := fmt.Sprintf("d %3d, dy %d, %-15s mean %.2f ± %.2f, median %.2f", d, dy, name, mean, 1.96*sd/math.Sqrt(float64(len(v))), stat.Quantile(.5, stat.LinInterp, v, nil))
				if n := diverged[name]; n > 0 {
					line += fmt.Sprintf(", %d diverged", n)
				}
				t.Log(line)
			}
			if !slow {
				// Limits from the 20 seeds of the table, with room for two.
				for name, limit := range map[string]float64{"draws": .3, "exact score": .4, "MCGDiff": 1.5} {
					if m := stat.Mean(results[name], nil); !(m < limit) {
						t.Errorf("%s: sliced Wasserstein distance %.2f, want below %.2f", name, m, limit)
					}
				}
			}
		}
	}
}

func numbers(t *testing.T, key, def string) (out []int) {
	v := os.Getenv(key)
	if v == "" {
		v = def
	}
	for _, s := range strings.Split(v, ",") {
		n, err := strconv.Atoi(s)
		check(t, err)
		out = append(out, n)
	}
	return out
}
