package forward

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// The benchmark of Aristoff and Bangerth (arXiv:2102.07263): 64 coefficients
// on 8×8 squares, f = 10, observed at the 13×13 points (i/14, j/14), on a mesh
// of 32×32 cells.
func aristoffBangerth(t testing.TB, mesh int) *Darcy {
	t.Helper()
	var points [][2]float64
	for i := 1; i <= 13; i++ {
		for j := 1; j <= 13; j++ {
			points = append(points, [2]float64{float64(j) / 14, float64(i) / 14})
		}
	}
	o, err := NewDarcy(mesh, points, &DarcyOptions{Blocks: 8, Source: func(x, y float64) float64 { return 10 }})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// aristoffBangerthData are the data of the benchmark. They have no noise: the
// equation was solved with cubic elements on 256×256 cells for coefficients
// that are 1 but for 0.1 and 10 on two squares of 2×2 blocks. These digits
// come from such a solution of ours, with 590 000 unknowns, static
// condensation of the blocks and SciPy's splu; they agree with the published
// ones to 2e-11.
var aristoffBangerthData = []float64{
	0.060765117623, 0.096019101209, 0.123885251785, 0.149518411739, 0.184159612757, 0.217452502829, 0.225099616093, 0.219795476904, 0.207469569840, 0.188999647769, 0.163272253218, 0.127678248005, 0.077118459159,
	0.096019101209, 0.200058953338, 0.338559259197, 0.393430002468, 0.404022389251, 0.412232953791, 0.410048009162, 0.394915163726, 0.369787326486, 0.334018262365, 0.285039780671, 0.218426003251, 0.127112115637,
	0.123885251785, 0.338559259197, 0.711928516282, 0.817571286183, 0.683625411667, 0.577945241993, 0.555561595624, 0.528518156184, 0.491439702858, 0.440936749493, 0.373006008213, 0.282169498344, 0.161017673388,
	0.149518411739, 0.393430002468, 0.817571286183, 0.943915462563, 0.801590411522, 0.685968374939, 0.656123536709, 0.621319720199, 0.575361131512, 0.514009175463, 0.432532550644, 0.324831514897, 0.183460041276,
	0.184159612757, 0.404022389251, 0.683625411667, 0.801590411522, 0.787011956129, 0.737310833155, 0.711655887822, 0.674517904924, 0.623530057429, 0.555933270416, 0.467030499457, 0.349980914388, 0.196882637467,
	0.217452502829, 0.412232953791, 0.577945241993, 0.685968374939, 0.737310833155, 0.745881198334, 0.727896802257, 0.690479353552, 0.636917645286, 0.567744369388, 0.478473876498, 0.360219063290, 0.203179205478,
	0.225099616093, 0.410048009162, 0.555561595624, 0.656123536709, 0.711655887822, 0.727896802257, 0.712192867884, 0.671218739159, 0.613915777575, 0.547825166544, 0.467712268772, 0.358765491109, 0.205073429173,
	0.219795476904, 0.394915163726, 0.528518156184, 0.621319720199, 0.674517904924, 0.690479353552, 0.671218739159, 0.617840828953, 0.545360502740, 0.489575966506, 0.434171688120, 0.353438997489, 0.208322749702,
	0.207469569840, 0.369787326486, 0.491439702858, 0.575361131512, 0.623530057429, 0.636917645286, 0.613915777575, 0.545360502740, 0.433660492978, 0.410964174318, 0.388186479026, 0.364264009033, 0.217959990936,
	0.188999647769, 0.334018262365, 0.440936749493, 0.514009175463, 0.555933270416, 0.567744369388, 0.547825166544, 0.489575966506, 0.410964174318, 0.395727260300, 0.377894932216, 0.359626827200, 0.219125026903,
	0.163272253218, 0.285039780671, 0.373006008213, 0.432532550644, 0.467030499457, 0.478473876498, 0.467712268772, 0.434171688120, 0.388186479026, 0.377894932216, 0.363336256733, 0.346445726205, 0.209636232144,
	0.127678248005, 0.218426003251, 0.282169498344, 0.324831514897, 0.349980914388, 0.360219063290, 0.358765491109, 0.353438997489, 0.364264009032, 0.359626827200, 0.346445726205, 0.326072895356, 0.180670595362,
	0.077118459159, 0.127112115637, 0.161017673388, 0.183460041276, 0.196882637467, 0.203179205478, 0.205073429173, 0.208322749702, 0.217959990936, 0.219125026903, 0.209636232144, 0.180670595362, 0.106796555004,
}

// The log likelihoods and log priors of the benchmark's ten test inputs, by
// its authors' code (deal.II code gallery, MCMC-Laplace).
var aristoffBangerthLogLik = []float64{
	-228.510844004, -5708.64422369, -6412.82113914, -852.897808712, -1264.0034757,
	-1127.22545783, -1160.47333521, -1015.26993993, -559.110935921, -972.509198444,
}

var aristoffBangerthLogPrior = []float64{
	0, -42.4151848838, -88.6599171951, -14.9011148893, -14.0808435934,
	-15.4532915373, -12.8643856831, -14.4601006909, -14.8154088876, -14.7373344959,
}

// aristoffBangerthInput returns test input k of the benchmark. The first three
// are ones, tens and 1 to 64; the others are random numbers, in the files of
// the benchmark beside the repository if somebody put them there.
func aristoffBangerthInput(t *testing.T, k int) []float64 {
	t.Helper()
	x := make([]float64, 64)
	for i := range x {
		switch k {
		case 0:
			x[i] = 1
		case 1:
			x[i] = 10
		case 2:
			x[i] = float64(i + 1)
		}
	}
	if k <= 2 {
		return x
	}
	name := filepath.Join("..", "..", "shared", "data", "aristoff-bangerth", fmt.Sprintf("input.%d.txt", k))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Skipf("no %s: the file MCMC-Laplace/testing/input.%d.txt of the deal.II code gallery", name, k)
	}
	fields := strings.Fields(string(text))
	if len(fields) != len(x) {
		t.Fatalf("%s has %d numbers, want %d", name, len(fields), len(x))
	}
	for i, s := range fields {
		if x[i], err = strconv.ParseFloat(s, 64); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func TestAristoffBangerth(t *testing.T) {
	o := aristoffBangerth(t, 32)
	for k := range 10 {
		t.Run(fmt.Sprintf("input %d", k), func(t *testing.T) {
			x := aristoffBangerthInput(t, k)
			z := mat.NewDense(1, 169, nil)
			o.Apply(z, mat.NewDense(1, 64, x))
			var logLik, logPrior float64
			for i, v := range aristoffBangerthData {
				r := (z.At(0, i) - v) / 0.05
				logLik -= r * r / 2
			}
			for _, v := range x {
				r := math.Log(v) / 2
				logPrior -= r * r / 2
			}
			if want := aristoffBangerthLogLik[k]; !scalar.EqualWithinRel(logLik, want, 5e-10) {
				t.Errorf("log likelihood %.12g, want %.12g", logLik, want)
			}
			if want := aristoffBangerthLogPrior[k]; !scalar.EqualWithinAbsOrRel(logPrior, want, 1e-12, 5e-10) {
				t.Errorf("log prior %.12g, want %.12g", logPrior, want)
			}
		})
	}
}

// The data are the limit of mesh refinement.
func TestDarcyConvergesToTheData(t *testing.T) {
	x := mat.NewDense(1, 64, nil)
	for i := range 8 {
		for j := range 8 {
			x.Set(0, 8*i+j, 1)
			if (i == 1 || i == 2) && (j == 1 || j == 2) {
				x.Set(0, 8*i+j, 0.1)
			}
			if (i == 5 || i == 6) && (j == 5 || j == 6) {
				x.Set(0, 8*i+j, 10)
			}
		}
	}
	z := mat.NewDense(1, 169, nil)
	for _, tc := range []struct {
		mesh int
		most float64
	}{{32, 0.012}, {64, 0.002}, {128, 0.0008}} {
		aristoffBangerth(t, tc.mesh).Apply(z, x)
		var worst float64
		for i, v := range aristoffBangerthData {
			worst = math.Max(worst, math.Abs(z.At(0, i)-v))
		}
		if worst > tc.most {
			t.Errorf("mesh %d: error %g, want at most %g", tc.mesh, worst, tc.most)
		}
	}
}

// For f = 2π² sin πx sin πy and θ = 1 the solution is sin πx sin πy, with an
// error of order 2. The points are not symmetric and no nodes, so that the
// interpolation and the orientation are tested too.
func TestDarcyClosedForm(t *testing.T) {
	f := func(x, y float64) float64 {
		return 2 * math.Pi * math.Pi * math.Sin(math.Pi*x) * math.Sin(math.Pi*y)
	}
	points := [][2]float64{{0.3, 0.45}, {0.71, 0.13}, {0.05, 0.9}, {0, 0.4}, {1, 1}}
	var errs []float64
	for _, n := range []int{2, 3, 20, 40, 80} {
		o, err := NewDarcy(n, points, &DarcyOptions{Blocks: 1, Source: f})
		if err != nil {
			t.Fatal(err)
		}
		u := mat.NewDense(1, len(points), nil)
		o.Apply(u, mat.NewDense(1, 1, []float64{0.25}))
		var worst float64
		for i, p := range points {
			want := 4 * math.Sin(math.Pi*p[0]) * math.Sin(math.Pi*p[1])
			worst = math.Max(worst, math.Abs(u.At(0, i)-want))
		}
		errs = append(errs, worst)
	}
	for i := 3; i < len(errs); i++ {
		if order := math.Log2(errs[i-1] / errs[i]); math.Abs(order-2) > 0.2 {
			t.Errorf("errors %g: order %.3f, want 2", errs, order)
		}
	}
	if errs[0] > 2 || errs[1] > 1.5 {
		t.Errorf("errors of meshes 2 and 3: %g", errs[:2])
	}
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		build := func(n, k int, log bool) *Darcy {
			o, err := NewDarcy(n, [][2]float64{{0.31, 0.52}, {0.5, 0.5}, {0.13, 0.87}, {0.9, 0.2}, {0, 0.3}},
				&DarcyOptions{Blocks: k, Log: log, Source: func(x, y float64) float64 { return 1 + x - y*y }})
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		coefficients := func(k int, log bool) *mat.Dense {
			x := normalRows(3, k*k, rng.New(4, 0))
			if !log {
				x.Apply(func(_, _ int, v float64) float64 { return math.Exp(v) }, x)
			}
			return x
		}
		return []operatorCase{
			{"Darcy 2 cells", build(2, 0, false), coefficients(2, false)},
			{"Darcy 3 cells", build(3, 0, false), coefficients(3, false)},
			{"Darcy 8 cells", build(8, 0, true), coefficients(8, true)},
			{"Darcy 3 blocks of 12 cells", build(12, 3, false), coefficients(3, false)},
			{"Darcy 3 blocks of 12 cells, log", build(12, 3, true), coefficients(3, true)},
		}
	})
}

func TestDarcyFailure(t *testing.T) {
	for _, log := range []bool{false, true} {
		o, err := NewDarcy(4, [][2]float64{{0.5, 0.5}, {0.2, 0.2}}, &DarcyOptions{Blocks: 2, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		bad := []float64{-1, 0, math.NaN(), math.Inf(1)}
		if log {
			bad = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e4}
		}
		x := mat.NewDense(len(bad)+1, 4, nil)
		for i := range len(bad) + 1 {
			for j := range 4 {
				x.Set(i, j, 1)
			}
			if i < len(bad) {
				x.Set(i, 2, bad[i])
			}
		}
		u, g := mat.NewDense(len(bad)+1, 2, nil), mat.NewDense(len(bad)+1, 4, nil)
		o.Apply(u, x)
		o.VJP(g, x, mat.NewDense(len(bad)+1, 2, nil))
		for i := range len(bad) + 1 {
			for _, row := range [][]float64{u.RawRowView(i), g.RawRowView(i)} {
				for _, v := range row {
					if math.IsNaN(v) != (i < len(bad)) {
						t.Errorf("log %t, coefficients %g: results %g and %g", log, x.RawRowView(i), u.RawRowView(i), g.RawRowView(i))
					}
				}
			}
		}
	}
}

func TestNewDarcyErrors(t *testing.T) {
	p := [][2]float64{{0.5, 0.5}}
	for want, f := range map[string]func() (*Darcy, error){
		"mesh has 1 cells":              func() (*Darcy, error) { return NewDarcy(1, p, nil) },
		"mesh has -4 cells":             func() (*Darcy, error) { return NewDarcy(-4, p, nil) },
		"Blocks is 3, want a divisor":   func() (*Darcy, error) { return NewDarcy(8, p, &DarcyOptions{Blocks: 3}) },
		"Blocks is -2, want a divisor":  func() (*Darcy, error) { return NewDarcy(8, p, &DarcyOptions{Blocks: -2}) },
		"points is empty":               func() (*Darcy, error) { return NewDarcy(8, nil, nil) },
		"points[1] is (1.5, 0), want a": func() (*Darcy, error) { return NewDarcy(8, [][2]float64{{1, 1}, {1.5, 0}}, nil) },
		"points[0] is (NaN, 0), want a": func() (*Darcy, error) { return NewDarcy(8, [][2]float64{{math.NaN(), 0}}, nil) },
		"is NaN": func() (*Darcy, error) {
			return NewDarcy(8, p, &DarcyOptions{Source: func(x, y float64) float64 { return math.NaN() }})
		},
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func BenchmarkDarcy(b *testing.B) {
	for _, mesh := range []int{32, 64} {
		o := aristoffBangerth(b, mesh)
		x := mat.NewDense(1, 64, nil)
		x.Apply(func(_, j int, _ float64) float64 { return float64(j + 1) }, x)
		f, g := mat.NewDense(1, 169, nil), mat.NewDense(1, 64, nil)
		b.Run(fmt.Sprintf("Apply/%d", mesh), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.Apply(f, x)
			}
		})
		b.Run(fmt.Sprintf("Linearize/%d", mesh), func(b *testing.B) {
			b.ReportAllocs()
			l := o.Linearize()
			for b.Loop() {
				l.Apply(f, x)
				l.VJP(g, f)
			}
		})
	}
}

// The second block of a row lies at larger x, the second row at larger y: the
// membrane bends more where it is softer.
func TestDarcyOrientation(t *testing.T) {
	o, err := NewDarcy(8, [][2]float64{{0.25, 0.5}, {0.75, 0.5}, {0.5, 0.25}, {0.5, 0.75}}, &DarcyOptions{Blocks: 2})
	if err != nil {
		t.Fatal(err)
	}
	u := mat.NewDense(2, 4, nil)
	o.Apply(u, mat.NewDense(2, 4, []float64{
		1, 0.1, 1, 0.1, // soft at large x
		1, 1, 0.1, 0.1, // soft at large y
	}))
	same := func(a, b float64) bool { return scalar.EqualWithinRel(a, b, 1e-12) }
	if !(u.At(0, 1) > 2*u.At(0, 0)) || !same(u.At(0, 2), u.At(0, 3)) {
		t.Errorf("soft at large x: u = %g", u.RawRowView(0))
	}
	if !(u.At(1, 3) > 2*u.At(1, 2)) || !same(u.At(1, 0), u.At(1, 1)) {
		t.Errorf("soft at large y: u = %g", u.RawRowView(1))
	}
}
