package forward

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
)

// turn returns count angles spread evenly over [0, end).
func turn(count int, end float64) []float64 {
	angles := make([]float64, count)
	for i := range angles {
		angles[i] = end * float64(i) / float64(count)
	}
	return angles
}

func radon(t testing.TB, rows, cols int, angles []float64, o *RadonOptions) *Radon {
	t.Helper()
	r, err := NewRadon(rows, cols, angles, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		var cases []operatorCase
		for _, shape := range [][2]int{{16, 16}, {9, 20}, {21, 8}, {1, 1}, {1, 7}, {7, 1}} {
			for name, o := range map[string]*RadonOptions{
				"parallel":        nil,
				"parallel coarse": {Detectors: 7, Spacing: 2.3},
				"parallel fine":   {Detectors: 100, Spacing: 0.4},
				"fan":             {SourceDistance: 40},
				"wide fan":        {SourceDistance: 13, DetectorDistance: 5, Detectors: 60, Spacing: 1.7},
			} {
				cases = append(cases, operatorCase{
					name: fmt.Sprintf("Radon/%s/%d×%d", name, shape[0], shape[1]),
					op:   radon(t, shape[0], shape[1], append(turn(11, 2*math.Pi), math.Pi/4, -math.Pi/2, 100), o),
				})
			}
		}
		return cases
	})
}

// A pixel at (x, y) is seen where the convention says, and rays along the
// axes add up rows and columns.
func TestRadonGeometry(t *testing.T) {
	const rows, cols = 9, 12
	r := radon(t, rows, cols, []float64{0, math.Pi / 2, math.Pi}, &RadonOptions{Detectors: 12})
	x := randomVector(rows*cols, 1)
	data := applyRow(r, x)
	for j := range cols {
		sum := 0.
		for i := range rows {
			sum += x[i*cols+j]
		}
		if math.Abs(data[j]-sum) > 1e-12 || math.Abs(data[2*12+11-j]-sum) > 1e-12 {
			t.Errorf("column %d: %g and %g, want %g", j, data[j], data[2*12+11-j], sum)
		}
	}
	// At π/2 the detectors point up: half of a row lies between two.
	r = radon(t, rows, cols, []float64{math.Pi / 2}, &RadonOptions{Detectors: 9})
	data = applyRow(r, x)
	for i := range rows {
		if sum := floats.Sum(x[i*cols : (i+1)*cols]); math.Abs(data[rows-1-i]-sum) > 1e-12 {
			t.Errorf("row %d: %g, want %g", i, data[rows-1-i], sum)
		}
	}
	// A bright pixel's shadow has its centre of mass at s = x cos θ + y sin θ.
	for _, theta := range turn(16, 2*math.Pi) {
		r := radon(t, 31, 31, []float64{theta}, &RadonOptions{Spacing: 0.25})
		x := make([]float64, 31*31)
		x[6*31+24] = 1 // at (9, 9)
		data := applyRow(r, x)
		centre, g := 0., r.Geometry()
		for j, v := range data {
			centre += v * (float64(j) - float64(g.Detectors-1)/2) * g.Spacing
		}
		want := 9*math.Cos(theta) + 9*math.Sin(theta)
		if got := centre / floats.Sum(data); math.Abs(got-want) > 0.01 {
			t.Errorf("θ = %.3f: shadow at %.4f, want %.4f", theta, got, want)
		}
	}
}

// The closed form of the phantom is its line integral by quadrature, with the
// geometry built from points of the source and the detector.
func TestEllipsesSinogram(t *testing.T) {
	e := Ellipses{{1.5, 0.6, 0.3, 0.2, -0.1, 0.7}}
	value := func(x, y float64) float64 {
		x, y = x-0.2, y+0.1
		s, c := math.Sincos(0.7)
		u, v := (x*c+y*s)/0.6, (y*c-x*s)/0.3
		if u*u+v*v < 1 {
			return 1.5
		}
		return 0
	}
	const n = 20
	for _, o := range []RadonOptions{{Detectors: 9, Spacing: 2}, {Detectors: 9, Spacing: 3, SourceDistance: 30, DetectorDistance: 10}} {
		r := radon(t, n, n, turn(7, 2*math.Pi), &o)
		data := e.Sinogram(r)
		for k, got := range data {
			sin, cos := math.Sincos(r.angles[k/9])
			s := (float64(k%9) - 4) * o.Spacing
			fromX, fromY := s*cos+30*sin, s*sin-30*cos
			toX, toY := s*cos-10*sin, s*sin+10*cos
			if o.SourceDistance > 0 {
				fromX, fromY = 30*sin, -30*cos
			}
			length := math.Hypot(toX-fromX, toY-fromY)
			want := length * quad.Fixed(func(u float64) float64 {
				return value((fromX+u*(toX-fromX))/(n/2), (fromY+u*(toY-fromY))/(n/2))
			}, 0, 1, 5_000, quad.Legendre{}, 0)
			if math.Abs(got-want) > 0.03 {
				t.Fatalf("%+v: datum %d is %g, by quadrature %g", o, k, got, want)
			}
		}
	}
}

// The projections of pixels tend to the exact line integrals. The order is 1,
// as these have a square root at the edge of the ellipse.
func TestRadonConverges(t *testing.T) {
	for _, name := range []string{"parallel", "fan"} {
		var last float64
		for _, n := range []int{32, 64, 128, 256} {
			o := RadonOptions{}
			if name == "fan" {
				o.SourceDistance, o.DetectorDistance = 1.5*float64(n), 0.5*float64(n)
			}
			r := radon(t, n, n, turn(37, 2*math.Pi), &o)
			e := Ellipses{{1, 0.7, 0.5, 0.1, 0.05, 0.4}}
			want := e.Sinogram(r)
			d := floats.Distance(applyRow(r, e.Image(n, n)), want, 2) / floats.Norm(want, 2)
			if last > 0 && d > 0.6*last {
				t.Errorf("%s: error %g at %d×%d, %g before", name, d, n, n, last)
			}
			last = d
		}
		if last > 4e-3 {
			t.Errorf("%s: error %g at 256×256", name, last)
		}
	}
}

// For a smooth image the error falls with the square of the pixel.
func TestRadonOfSmoothImage(t *testing.T) {
	for _, name := range []string{"parallel", "fan"} {
		var last float64
		for _, n := range []int{32, 64, 128} {
			o := RadonOptions{}
			if name == "fan" {
				o.SourceDistance, o.DetectorDistance = 1.5*float64(n), 0.5*float64(n)
			}
			r := radon(t, n, n, turn(37, 2*math.Pi), &o)
			width := float64(n) / 10
			x0, y0 := 0.1*float64(n), 0.05*float64(n)
			x := make([]float64, n*n)
			for i := range n {
				for j := range n {
					dx, dy := float64(j)-float64(n-1)/2-x0, float64(n-1)/2-float64(i)-y0
					x[i*n+j] = math.Exp(-(dx*dx + dy*dy) / (2 * width * width))
				}
			}
			m, _ := r.Dims()
			want := make([]float64, m)
			for k := range want {
				phi, s := r.ray(k/r.geometry.Detectors, k%r.geometry.Detectors)
				d := s - x0*math.Cos(phi) - y0*math.Sin(phi)
				want[k] = math.Sqrt(2*math.Pi) * width * math.Exp(-d*d/(2*width*width))
			}
			d := floats.Distance(applyRow(r, x), want, math.Inf(1)) / floats.Max(want)
			if last > 0 && d > last/3.5 {
				t.Errorf("%s: error %g at %d×%d, %g before", name, d, n, n, last)
			}
			last = d
		}
	}
}

// A fan from afar is a parallel beam.
func TestFanFromAfar(t *testing.T) {
	angles := turn(8, 2*math.Pi)
	e := SheppLogan()
	near := radon(t, 32, 32, angles, &RadonOptions{Detectors: 47})
	far := radon(t, 32, 32, angles, &RadonOptions{Detectors: 47, SourceDistance: 1e9})
	if d := floats.Distance(e.Sinogram(near), e.Sinogram(far), math.Inf(1)); d > 1e-5 {
		t.Errorf("sinograms differ by %g", d)
	}
	// At multiples of a right angle detectors and columns coincide.
	angles = turn(4, 2*math.Pi)
	near = radon(t, 32, 32, angles, &RadonOptions{Detectors: 32})
	far = radon(t, 32, 32, angles, &RadonOptions{Detectors: 32, SourceDistance: 1e9})
	x := e.Image(32, 32)
	if d := floats.Distance(applyRow(near, x), applyRow(far, x), math.Inf(1)); d > 1e-5 {
		t.Errorf("projections differ by %g", d)
	}
}

// The default detectors see every pixel in full from every angle.
func TestRadonDefaultDetectors(t *testing.T) {
	for _, o := range []RadonOptions{{}, {Spacing: 0.7}, {SourceDistance: 25}, {SourceDistance: 20, DetectorDistance: 7}} {
		r := radon(t, 20, 30, turn(36, 2*math.Pi), &o)
		g := r.Geometry()
		g.Detectors += 20
		wider := radon(t, 20, 30, r.angles, &g)
		x := make([]float64, 600)
		for i := range x {
			x[i] = 1
		}
		if got, want := floats.Sum(applyRow(r, x)), floats.Sum(applyRow(wider, x)); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%+v: %g of %g is seen", o, got, want)
		}
	}
}

func TestSheppLogan(t *testing.T) {
	const n = 128
	x := SheppLogan().Image(n, n)
	if lo, hi := floats.Min(x), floats.Max(x); lo < -1e-12 || hi > 1+1e-12 {
		t.Errorf("values in [%g, %g], want [0, 1]", lo, hi)
	}
	for _, tt := range []struct{ x, y, want float64 }{
		{0, 0.9, 1}, {0, -0.3, 0.2}, {0.25, 0, 0}, {-0.25, 0, 0}, {0, 0.35, 0.3}, {0.9, 0.9, 0}, {0, 0.8, 0.2},
	} {
		i, j := int((1-tt.y)*n/2), int((1+tt.x)*n/2)
		if math.Abs(x[i*n+j]-tt.want) > 1e-12 {
			t.Errorf("value %g at (%g, %g), want %g", x[i*n+j], tt.x, tt.y, tt.want)
		}
	}
	area := 0.
	for _, e := range SheppLogan() {
		area += e.Value * math.Pi * e.A * e.B * n * n / 4
	}
	if got := floats.Sum(x); math.Abs(got-area) > 1e-3*area {
		t.Errorf("sum %g, want %g", got, area)
	}
}

func TestRadonBadInput(t *testing.T) {
	one := []float64{0}
	for _, tt := range []struct {
		rows, cols int
		angles     []float64
		o          RadonOptions
		want       string
	}{
		{0, 4, one, RadonOptions{}, "0×4 pixels"},
		{4, 4, nil, RadonOptions{}, "no angles"},
		{4, 4, []float64{math.NaN()}, RadonOptions{}, "angles have"},
		{4, 4, one, RadonOptions{Detectors: -1}, "Detectors is -1"},
		{4, 4, one, RadonOptions{Spacing: -2}, "Spacing is -2"},
		{4, 4, one, RadonOptions{Spacing: 1e-9}, "detectors"},
		{4, 4, one, RadonOptions{SourceDistance: 2.5}, "SourceDistance is 2.5, want more"},
		{4, 4, one, RadonOptions{SourceDistance: math.NaN()}, "SourceDistance is NaN"},
		{4, 4, one, RadonOptions{SourceDistance: 9, DetectorDistance: -1}, "DetectorDistance is -1"},
		{4, 4, one, RadonOptions{DetectorDistance: 1}, "without a SourceDistance"},
	} {
		if _, err := NewRadon(tt.rows, tt.cols, tt.angles, &tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error with %q", tt, err, tt.want)
		}
	}
}

func BenchmarkRadon(b *testing.B) {
	const n = 256
	for name, o := range map[string]*RadonOptions{"parallel": nil, "fan": {SourceDistance: 2 * n, DetectorDistance: n, Spacing: 1.5}} {
		r := radon(b, n, n, turn(180, math.Pi), o)
		m, k := r.Dims()
		x, y := mat.NewDense(1, k, SheppLogan().Image(n, n)), mat.NewDense(1, m, nil)
		b.Run(name+"/Apply", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Apply(y, x)
			}
		})
		b.Run(name+"/Adjoint", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Adjoint(x, y)
			}
		})
	}
}

// BenchmarkRadonAgainstMemory compares a scan of 256×256 pixels from 180
// angles with what it must at least move: for each angle, floats.AddScaled of
// every row of the image to a row that stays in the first-level cache, which
// loads each pixel and updates one sum. It reports the least time of each,
// taken in turns, and their ratios, which should not exceed 2.
func BenchmarkRadonAgainstMemory(b *testing.B) {
	const n, angles = 256, 180
	r := radon(b, n, n, turn(angles, math.Pi), nil)
	m, k := r.Dims()
	x, y := mat.NewDense(1, k, SheppLogan().Image(n, n)), mat.NewDense(1, m, nil)
	s := &stream{image: SheppLogan().Image(n, n), sums: make([]float64, angles*n), n: n}
	least := [3]time.Duration{math.MaxInt64, math.MaxInt64, math.MaxInt64}
	for b.Loop() {
		for i, f := range []func(){func() { par.Run(angles, s) }, func() { r.Apply(y, x) }, func() { r.Adjoint(x, y) }} {
			start := time.Now()
			f()
			least[i] = min(least[i], time.Since(start))
		}
	}
	b.ReportMetric(float64(least[0].Microseconds()), "µs-stream")
	b.ReportMetric(float64(least[1])/float64(least[0]), "Apply/stream")
	b.ReportMetric(float64(least[2])/float64(least[0]), "Adjoint/stream")
}

// stream is the yardstick of BenchmarkRadonAgainstMemory.
type stream struct {
	image, sums []float64
	n           int
}

func (s *stream) Do(angle int) {
	sum := s.sums[angle*s.n : (angle+1)*s.n]
	for i := range s.n {
		floats.AddScaled(sum, 0.5, s.image[i*s.n:(i+1)*s.n])
	}
}
