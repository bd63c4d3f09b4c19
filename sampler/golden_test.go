package sampler

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// splitMix is the generator of testdata/diagnostics.py: each value is made by
// correctly rounded operations, so that the bits are the same in both. The
// conversions keep the compiler from fusing multiplications and additions.
type splitMix uint64

func (s *splitMix) uniform() float64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return (float64(z>>11) + 0.5) / (1 << 53)
}

func (s *splitMix) bell() float64 {
	a, b, c, d := s.uniform(), s.uniform(), s.uniform(), s.uniform()
	return ((a + b) + (c + d)) - 2
}

type goldenChains struct {
	Seed               uint64
	Chains, Draws      int
	Rho, Shift, Spread float64
	Shape              string
	Head               []float64
	Last               float64
	ESS                float64
	ESSBulk            float64 `json:"ess_bulk"`
	ESSTail            float64 `json:"ess_tail"`
	ESSSD              float64 `json:"ess_sd"`
	MCSEMean           float64 `json:"mcse_mean"`
	MCSESD             float64 `json:"mcse_sd"`
	MCSEQ10            float64 `json:"mcse_q10"`
	MCSEQ50            float64 `json:"mcse_q50"`
	Quantiles          []float64
	BFMI               float64
	Autocorr           []float64
	RHat               *float64
}

type goldenWeights struct {
	Seed         uint64
	N            int
	Scale        float64
	REff         float64 `json:"r_eff"`
	Head         []float64
	KHat         float64
	SmoothedHead []float64 `json:"smoothed_head"`
	SmoothedTop  []float64 `json:"smoothed_top"`
}

func (g *goldenChains) make() [][]float64 {
	rng := splitMix(g.Seed)
	noise := math.Sqrt(1 - float64(g.Rho*g.Rho))
	out := make([][]float64, g.Chains)
	for i := range out {
		x := rng.bell()
		for range g.Draws {
			x = float64(g.Rho*x) + float64(noise*rng.bell())
			v := x
			if i == g.Chains-1 {
				v = g.Shift + float64(g.Spread*x)
			}
			u := rng.uniform()
			switch g.Shape {
			case "cube":
				v = float64(v*v) * v
			case "heavy":
				v /= u
			case "ties":
				v = math.Floor(4 * v)
			case "positive":
				v = 1 / (0.1 + float64(v*v))
			}
			out[i] = append(out[i], v)
		}
	}
	return out
}

func readGolden(t *testing.T) (chains []goldenChains, weights []goldenWeights) {
	t.Helper()
	b, err := os.ReadFile("testdata/diagnostics.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Chains  []goldenChains
		Weights []goldenWeights
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Chains, file.Weights
}

func near(got, want, tol float64) bool {
	return math.Abs(got-want) <= tol*max(1, math.Abs(want))
}

// ArviZ's values of 20 sets of chains; testdata/diagnostics.py says how they
// were made and with which versions. ArviZ's MCSE of the standard deviation
// has the effective sample size of x where ours has that of (x - mean)², so
// it is converted.
func TestDiagnosticsEqualArviZ(t *testing.T) {
	sets, _ := readGolden(t)
	if len(sets) != 20 {
		t.Fatalf("%d sets of chains", len(sets))
	}
	for _, g := range sets {
		x := g.make()
		if !slices.Equal(x[0][:4], g.Head) || x[g.Chains-1][g.Draws-1] != g.Last {
			t.Fatalf("set %d: the generator disagrees: %v, %v", g.Seed, x[0][:4], g.Head)
		}
		sorted := pooled(x)
		check := func(name string, got, want float64) {
			if !near(got, want, 1e-8) {
				t.Errorf("set %d (%s): %s = %.12g, ArviZ has %.12g", g.Seed, g.Shape, name, got, want)
			}
		}
		if g.RHat != nil {
			check("RHat", RHat(x), *g.RHat)
		}
		check("ESS", ESS(x), g.ESS)
		check("ESSBulk", ESSBulk(x), g.ESSBulk)
		check("ESSTail", ESSTail(x), g.ESSTail)
		check("MCSEMean", MCSEMean(x), g.MCSEMean)
		check("MCSESD", MCSESD(x), g.MCSESD*math.Sqrt(g.ESS/g.ESSSD))
		check("MCSEQuantile(0.1)", MCSEQuantile(x, 0.1), g.MCSEQ10)
		check("MCSEQuantile(0.5)", MCSEQuantile(x, 0.5), g.MCSEQ50)
		check("EBFMI", EBFMI(x[0]), g.BFMI)
		for i, p := range []float64{0.05, 0.5, 0.95} {
			check("quantile", quantile(sorted, p), g.Quantiles[i])
		}
		rho := Autocorrelation(x[0])
		for i, want := range g.Autocorr {
			check("Autocorrelation", rho[i], want)
		}
	}
}

func TestPSISEqualsArviZ(t *testing.T) {
	_, sets := readGolden(t)
	for _, g := range sets {
		rng := splitMix(g.Seed)
		lw := make([]float64, g.N)
		for i := range lw {
			lw[i] = g.Scale * rng.bell()
		}
		if !slices.Equal(lw[:4], g.Head) {
			t.Fatalf("set %d: the generator disagrees", g.Seed)
		}
		got, k, err := PSIS(nil, lw, g.REff)
		if err != nil {
			t.Fatal(err)
		}
		if !near(k, g.KHat, 1e-8) {
			t.Errorf("set %d: k-hat = %.12g, ArviZ has %.12g", g.Seed, k, g.KHat)
		}
		var top []float64
		order := make([]int, g.N)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			if lw[a] < lw[b] {
				return -1
			}
			return 1
		})
		for _, i := range order[g.N-3:] {
			top = append(top, got[i])
		}
		for i, want := range slices.Concat(g.SmoothedHead, g.SmoothedTop) {
			if v := slices.Concat(got[:4], top)[i]; !near(v, want, 1e-8) {
				t.Errorf("set %d: smoothed weight %d = %.12g, ArviZ has %.12g", g.Seed, i, v, want)
			}
		}
	}
}
