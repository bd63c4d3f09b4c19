package sampler

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// shared returns the path of a file of the reference data, and skips the test
// if it is not there.
func shared(tb testing.TB, elem ...string) string {
	tb.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared", "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("reference data are not here: %v", err)
	}
	return path
}

// The four chains that cmdstan 2.35 keeps as a fixture of its own diagnostics,
// to the digits that Stan prints.
func TestDiagnosticsEqualStan(t *testing.T) {
	column := make(map[string][][]float64)
	for i := 1; i <= 4; i++ {
		f, err := os.Open(shared(t, "stan", fmt.Sprintf("bern%d.csv", i)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		names, draws, err := ReadCSV(f)
		if err != nil {
			t.Fatal(err)
		}
		for j, name := range names {
			column[name] = append(column[name], mat.Col(nil, j, draws))
		}
	}
	for _, test := range []struct {
		name, column string
		f            func([][]float64) float64
		want         string
	}{
		{"ESSBulk", "lp__", ESSBulk, "1512.7684"},
		{"ESSBulk", "theta", ESSBulk, "1407.5124"},
		{"ESSTail", "lp__", ESSTail, "1591.9707"},
		{"ESSTail", "theta", ESSTail, "1291.7131"},
		{"RHat", "lp__", RHat, "1.00073"},
		{"RHat", "theta", RHat, "1.0067897"},
		{"MCSEMean", "lp__", MCSEMean, "0.02016"},
		{"MCSEMean", "theta", MCSEMean, "0.00323"},
		{"MCSESD", "lp__", MCSESD, "0.03089"},
		{"MCSESD", "theta", MCSESD, "0.00216"},
		{"ess of whole chains", "lp__", ess, "1335.41366787"},
		{"ess of whole chains", "theta", ess, "1377.5030282"},
	} {
		decimals := len(test.want) - 1
		for test.want[len(test.want)-1-decimals] != '.' {
			decimals--
		}
		got := strconv.FormatFloat(test.f(column[test.column]), 'f', decimals, 64)
		if got != test.want {
			t.Errorf("%s of %s = %s, Stan has %s", test.name, test.column, got, test.want)
		}
	}
	if v := RHat(column["divergent__"]); !math.IsNaN(v) {
		t.Errorf("RHat of a constant = %g, want NaN", v)
	}
	if v := RHat(column["stepsize__"]); !math.IsInf(v, 1) {
		t.Errorf("RHat of chains each constant = %g, want +Inf", v)
	}
}

// autoregression returns m stationary chains of n draws with lag-one
// autocorrelation rho and the standard normal distribution.
func autoregression(seed uint64, m, n int, rho float64) [][]float64 {
	x := make([][]float64, m)
	for i := range x {
		x[i] = make([]float64, n)
		rng.FillNormal(x[i], rng.New(seed, uint64(i)))
		for t := 1; t < n; t++ {
			x[i][t] = rho*x[i][t-1] + math.Sqrt(1-rho*rho)*x[i][t]
		}
	}
	return x
}

// The effective sample size of an autoregression is S (1-ρ)/(1+ρ).
func TestESSOfAutoregression(t *testing.T) {
	for _, rho := range []float64{-0.5, 0, 0.5, 0.9} {
		const m, n = 4, 10000
		x := autoregression(1, m, n, rho)
		want := m * n * (1 - rho) / (1 + rho)
		for name, got := range map[string]float64{"ESS": ESS(x), "ESSBulk": ESSBulk(x)} {
			if math.Abs(got/want-1) > 0.1 {
				t.Errorf("ρ = %g: %s = %.0f, want about %.0f", rho, name, got, want)
			}
		}
		acf := Autocorrelation(x[0])
		for lag := range 5 {
			// Bartlett's standard error is below 1/sqrt(n (1-ρ²)) here.
			if want := math.Pow(rho, float64(lag)); math.Abs(acf[lag]-want) > 4/math.Sqrt(n*(1-rho*rho)) {
				t.Errorf("ρ = %g: autocorrelation at lag %d = %g, want %g", rho, lag, acf[lag], want)
			}
		}
		if v := RHat(x); math.Abs(v-1) > 0.005 {
			t.Errorf("ρ = %g: RHat = %g", rho, v)
		}
	}
}

// Errors divided by their MCSE have variance one.
func TestMCSEIsTheStandardError(t *testing.T) {
	const m, n, rho = 4, 500, 0.6
	reps := 400
	if testing.Short() {
		reps = 60
	}
	var z [3]float64
	for rep := range reps {
		x := autoregression(uint64(100+rep), m, n, rho)
		sorted := pooled(x)
		var mean, square float64
		for _, v := range sorted {
			mean += v / (m * n)
		}
		for _, v := range sorted {
			square += (v - mean) * (v - mean) / (m*n - 1)
		}
		for i, e := range []float64{
			mean / MCSEMean(x),
			(math.Sqrt(square) - 1) / MCSESD(x),
			(quantile(sorted, 0.9) - 1.2815515655446004) / MCSEQuantile(x, 0.9),
		} {
			z[i] += e * e / float64(reps)
		}
	}
	for i, name := range []string{"MCSEMean", "MCSESD", "MCSEQuantile"} {
		// The ratio has the noise of its own denominator too, of which the
		// added 5 % take account.
		if se := math.Sqrt(2 / float64(reps)); math.Abs(z[i]-1) > 3*se+0.05 {
			t.Errorf("%s: mean squared standardised error %g, want 1", name, z[i])
		}
	}
}

func TestRHatSeesLocationAndSpread(t *testing.T) {
	x := autoregression(2, 4, 500, 0)
	if v := RHat(x); v > maxRHat {
		t.Fatalf("RHat of independent draws = %g", v)
	}
	for i := range x[3] {
		x[3][i] += 1
	}
	if v := RHat(x); v < 1.05 {
		t.Errorf("RHat with a shifted chain = %g", v)
	}
	for i := range x[3] {
		x[3][i] = 4 * (x[3][i] - 1)
	}
	if v := RHat(x); v < 1.05 {
		t.Errorf("RHat with a wide chain = %g", v)
	}
	trend := [][]float64{make([]float64, 100)}
	for i := range trend[0] {
		trend[0][i] = float64(i)
	}
	if v := RHat(trend); v < 1.5 {
		t.Errorf("RHat of one chain with a trend = %g", v)
	}
}

func TestUndefinedDiagnosticsAreNaN(t *testing.T) {
	all := map[string]func([][]float64) float64{
		"RHat": RHat, "ESS": ESS, "ESSBulk": ESSBulk, "ESSTail": ESSTail,
		"MCSEMean": MCSEMean, "MCSESD": MCSESD,
		"MCSEQuantile": func(x [][]float64) float64 { return MCSEQuantile(x, 0.3) },
		"EBFMI": func(x [][]float64) float64 {
			if len(x) == 0 {
				return EBFMI(nil)
			}
			return EBFMI(x[0][:min(1, len(x[0]))])
		},
	}
	for what, chains := range map[string][][]float64{
		"no chains":  nil,
		"no draws":   {{}, {}},
		"few draws":  {{1, 2, 3}, {3, 2, 1}},
		"constant":   {{5, 5, 5, 5, 5}, {5, 5, 5, 5, 5}},
		"NaN":        {{math.NaN(), 2, 3, 4, 5}, {1, 2, 3, 4, 5}},
		"infinite":   {{math.Inf(1), 2, 3, 4, 5}, {1, 2, 3, 4, 5}},
		"minus inf.": {{1, 2, 3, 4, 5}, {1, 2, 3, math.Inf(-1), 5}},
	} {
		for name, f := range all {
			if v := f(chains); !math.IsNaN(v) {
				t.Errorf("%s of %s = %g, want NaN", name, what, v)
			}
		}
	}
	for _, p := range []float64{0, 1, -1, math.NaN()} {
		if v := MCSEQuantile([][]float64{{1, 2, 3, 4}}, p); !math.IsNaN(v) {
			t.Errorf("MCSEQuantile at p = %g is %g", p, v)
		}
	}
	if rho := Autocorrelation([]float64{2, 2, 2}); !math.IsNaN(rho[1]) {
		t.Errorf("Autocorrelation of a constant = %v", rho)
	}
	if Autocorrelation(nil) != nil {
		t.Error("Autocorrelation(nil) is not nil")
	}
	// The median of two-valued draws leaves all at the same distance.
	if v := RHat([][]float64{{-1, 1, -1, 1, 1, -1, 1, -1}}); math.IsNaN(v) {
		t.Error("RHat of ±1 is NaN")
	}
	defer func() {
		if recover() == nil {
			t.Error("chains of different lengths: no panic")
		}
	}()
	RHat([][]float64{{1, 2, 3, 4}, {1, 2, 3}})
}
