package tasks

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// TestGillespieMean has rates of births and deaths alone, for which the means
// and variances are known: a linear birth-death process from n with rates b
// and d has mean n e^{(b-d)t} and variance n (b+d)/(b-d) e^{(b-d)t} (e^{(b-d)t} - 1).
func TestGillespieMean(t *testing.T) {
	g := &Gillespie{Exact: true, MaxReactions: 1 << 30}
	theta := []float64{math.Inf(-1), math.Log(0.1), math.Log(0.05), math.Inf(-1)}
	const k = 100
	paths := 20000
	if testing.Short() {
		paths = 2000
	}
	at := gillespieStep * k
	x, y := make([]float64, paths), make([]float64, paths)
	var predators, prey [gillespieTimes]float64
	for i := range paths {
		if _, err := g.Path(predators[:], prey[:], theta, rng.New(1, uint64(i))); err != nil {
			t.Fatal(err)
		}
		x[i], y[i] = predators[k], prey[k]
	}
	check := func(name string, v []float64, n, b, d float64) {
		e := math.Exp((b - d) * at)
		mean, variance := n*e, n*(b+d)/(b-d)*e*(e-1)
		m, s2 := stat.MeanVariance(v, nil)
		if se := math.Sqrt(variance / float64(paths)); math.Abs(m-mean) > 4*se {
			t.Errorf("%s: mean %g, want %g ± %g", name, m, mean, se)
		}
		if math.Abs(s2/variance-1) > 8/math.Sqrt(float64(paths)) {
			t.Errorf("%s: variance %g, want %g", name, s2, variance)
		}
	}
	check("deaths", x, 50, 0, 0.1)
	check("births", y, 100, 0.05, 0)
}

// TestGillespieStatistics has the statistics of a path by gonum.
func TestGillespieStatistics(t *testing.T) {
	g := new(Gillespie)
	_, theta, err := g.Observation(1)
	if err != nil {
		t.Fatal(err)
	}
	predators, prey := make([]float64, gillespieTimes), make([]float64, gillespieTimes)
	if _, err := g.Path(predators, prey, theta, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	var s [9]float64
	g.Statistics(s[:], predators, prey)
	ac := func(v []float64, lag int) float64 {
		m, sd := stat.PopMeanStdDev(v, nil)
		var sum float64
		for i := lag; i < len(v); i++ {
			sum += (v[i] - m) * (v[i-lag] - m)
		}
		return sum / (sd * sd) / 149
	}
	m1, v1 := stat.PopMeanVariance(predators, nil)
	m2, v2 := stat.PopMeanVariance(prey, nil)
	want := []float64{m1, m2, math.Log(v1 + 1), math.Log(v2 + 1), ac(predators, 1), ac(predators, 2), ac(prey, 1), ac(prey, 2), stat.Correlation(predators, prey, nil)}
	for i, v := range want {
		if math.Abs(s[i]-v) > 1e-12*math.Max(1, math.Abs(v)) {
			t.Errorf("statistic %d is %g, want %g", i, s[i], v)
		}
	}
}

// TestGillespieLog has the same data on both scales.
func TestGillespieLog(t *testing.T) {
	var s, l [9]float64
	for number := 1; number <= 2; number++ {
		y, theta, err := new(Gillespie).Observation(number)
		if err != nil {
			t.Fatal(err)
		}
		z, _, err := (&Gillespie{Log: true}).Observation(number)
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Gillespie).Simulate(t.Context(), s[:], theta, rng.New(9, 0)); err != nil {
			t.Fatal(err)
		}
		if err := (&Gillespie{Log: true}).Simulate(t.Context(), l[:], theta, rng.New(9, 0)); err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2][]float64{{y, z}, {s[:], l[:]}} {
			for j, v := range pair[0] {
				back := pair[1][j]
				switch {
				case j < 2:
					back = math.Expm1(back)
				case j >= 4 && j < 8:
					back = 1.01 - math.Exp(-back)
				}
				if math.Abs(back-v) > 1e-12*math.Max(1, math.Abs(v)) {
					t.Errorf("observation %d, statistic %d: %g, want %g", number, j, back, v)
				}
			}
		}
	}
}

// TestGillespiePrior holds what is published of the reference code: 12.6 % of
// prior draws have too many reactions, those left have means of log θ of
// (-1.69, -1.60, -1.57, -1.18) and standard deviations (1.93, 1.99, 2.02,
// 1.92), and the mean number of reactions of a try is 2259.
func TestGillespiePrior(t *testing.T) {
	g := new(Gillespie)
	n := 20000
	if testing.Short() {
		n = 2000
	}
	theta := mat.NewDense(n, 4, nil)
	g.Prior().Draw(theta, rng.New(3, 0))
	var kept [4][]float64
	var total, rejected int
	var predators, prey [gillespieTimes]float64
	for i := range n {
		k, err := g.Path(predators[:], prey[:], theta.RawRowView(i), rng.New(4, uint64(i)))
		total += k
		if errors.Is(err, ErrReactions) {
			rejected++
			continue
		}
		for j := range kept {
			kept[j] = append(kept[j], theta.At(i, j))
		}
	}
	if f := float64(rejected) / float64(n); math.Abs(f-0.126) > 4*math.Sqrt(0.126*0.874*(1/float64(n)+1./57200)) {
		t.Errorf("%.4f of the draws rejected, want 0.126", f)
	}
	if r := float64(total) / float64(n); math.Abs(r-2259) > 4*3300/math.Sqrt(float64(n)) { // the standard deviation is 3300
		t.Errorf("%.0f reactions a try, want 2259", r)
	}
	sds := []float64{1.93, 1.99, 2.02, 1.92}
	for j, want := range []float64{-1.69, -1.60, -1.57, -1.18} {
		m, sd := stat.MeanStdDev(kept[j], nil)
		if math.Abs(m-want) > 4*sd/math.Sqrt(float64(n))*1.2+0.005 || math.Abs(sd-sds[j]) > 4*sd/math.Sqrt(2*float64(n)) {
			t.Errorf("log θ%d of paths that end: mean %.3f, sd %.3f, want %.2f, %.2f", j+1, m, sd, want, sds[j])
		}
	}
	for number := range 4 {
		y, truth, err := g.Observation(number)
		if (err == nil) != (number == 1 || number == 2) || len(y) != 9*min(len(truth), 1) {
			t.Errorf("observation %d: %v", number, err)
		}
	}
}

// TestAdvance has the same paths without advance, reaction by reaction.
func TestAdvance(t *testing.T) {
	g := new(Gillespie)
	const n = 300
	theta := mat.NewDense(n, 4, nil)
	g.Prior().Draw(theta, rng.New(7, 0))
	var x, y [gillespieTimes]float64
	for i := range n {
		row := theta.RawRowView(i)
		reactions, err := g.Path(x[:], y[:], row, rng.New(8, uint64(i)))
		s := &state{
			x: 50, y: 100, limit: 10_000, bits: rng.Bits(rng.New(8, uint64(i)).Uint64()),
			birth: math.Exp(row[0]), death: math.Exp(row[1]), born: math.Exp(row[2]), eaten: math.Exp(row[3]),
		}
		ok := true
		for k := 1; k < gillespieTimes && ok; k++ {
			for ok && s.time < gillespieStep*float64(k) {
				ok = s.react()
			}
			if ok && (s.x != x[k] || s.y != y[k]) {
				t.Fatalf("log rates %v: %g and %g at time %d, want %g and %g", row, x[k], y[k], k, s.x, s.y)
			}
		}
		if reactions != s.reactions || (err == nil) != ok {
			t.Fatalf("log rates %v: %d reactions, error %v, want %d", row, reactions, err, s.reactions)
		}
	}
}

// bareLoop is the path as one writes it by hand, with the generator of the
// standard library: what the distribution of Path is held to, and its speed.
func bareLoop(predators, prey *[gillespieTimes]float64, theta []float64, r *rand.Rand) (reactions int, ok bool) {
	c1, c2, c3, c4 := math.Exp(theta[0]), math.Exp(theta[1]), math.Exp(theta[2]), math.Exp(theta[3])
	x, y, t := 50.0, 100.0, 0.0
	predators[0], prey[0] = x, y
	for k := 1; k < gillespieTimes; k++ {
		for t < gillespieStep*float64(k) {
			h1, h2, h3, h4 := c1*(x*y), c2*x, c3*y, c4*(x*y)
			h := h1 + h2 + h3 + h4
			if h == 0 {
				t = math.Inf(1)
				break
			}
			t += r.ExpFloat64() / h
			reactions++
			if reactions > 10_000 {
				return reactions, false
			}
			switch u := h * r.Float64(); {
			case u < h1:
				x++
			case u < h1+h2:
				x--
			case u < h1+h2+h3:
				y++
			default:
				y--
			}
		}
		predators[k], prey[k] = x, y
	}
	return reactions, true
}

// TestGillespiePath compares the means and variances of both populations at
// some times with those of bareLoop, at the rates of the observations, where
// all four reactions matter.
func TestGillespiePath(t *testing.T) {
	g := new(Gillespie)
	n := 4000
	if testing.Short() {
		n = 1000
	}
	times := []int{1, 5, 20, 60, 149}
	for number := 1; number <= 2; number++ {
		_, theta, err := g.Observation(number)
		if err != nil {
			t.Fatal(err)
		}
		var x, y [gillespieTimes]float64
		seen := make([][]float64, 4*len(times)) // predators and prey, of both
		r := rand.New(rand.NewPCG(3, uint64(number)))
		for i := range n {
			_, err := g.Path(x[:], y[:], theta, rng.New(8, uint64(i)))
			for k, at := range times {
				if err == nil {
					seen[4*k], seen[4*k+1] = append(seen[4*k], x[at]), append(seen[4*k+1], y[at])
				}
			}
			_, ok := bareLoop(&x, &y, theta, r)
			for k, at := range times {
				if ok {
					seen[4*k+2], seen[4*k+3] = append(seen[4*k+2], x[at]), append(seen[4*k+3], y[at])
				}
			}
		}
		for k, at := range times {
			for species, name := range []string{"predators", "prey"} {
				a, b := seen[4*k+species], seen[4*k+2+species]
				for power := 1; power <= 2; power++ { // first and second moments
					for _, v := range [][]float64{a, b} {
						for i := range v {
							v[i] = math.Pow(v[i], float64(power))
						}
					}
					ma, va := stat.MeanVariance(a, nil)
					mb, vb := stat.MeanVariance(b, nil)
					if z := (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b))); math.Abs(z) > 4 {
						t.Errorf("observation %d, %s at time %d, moment %d: %g, by the bare loop %g, off by %.1f standard errors", number, name, at, power, ma, mb, z)
					}
				}
			}
		}
	}
}

// BenchmarkGillespie reports the simulations and reactions of Path per second
// on one core, with parameters from the prior, and BenchmarkBareLoop those of
// bareLoop. testdata/gillespie.py has those of Python.
func BenchmarkGillespie(b *testing.B) {
	g := new(Gillespie)
	var predators, prey [gillespieTimes]float64
	src := rng.New(6, 0)
	benchmarkPaths(b, func(theta []float64) int {
		k, _ := g.Path(predators[:], prey[:], theta, src)
		return k
	})
}

func BenchmarkBareLoop(b *testing.B) {
	var predators, prey [gillespieTimes]float64
	r := rand.New(rand.NewPCG(1, 2))
	benchmarkPaths(b, func(theta []float64) int {
		k, _ := bareLoop(&predators, &prey, theta, r)
		return k
	})
}

func benchmarkPaths(b *testing.B, path func(theta []float64) int) {
	const n = 2000
	theta := mat.NewDense(n, 4, nil)
	new(Gillespie).Prior().Draw(theta, rng.New(5, 0))
	total := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		total += path(theta.RawRowView(i % n))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "simulations/s")
	b.ReportMetric(float64(total)/b.Elapsed().Seconds()/1e6, "Mreactions/s")
}
