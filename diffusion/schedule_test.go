package diffusion

import (
	"math"
	"strings"
	"testing"
)

func schedules(t *testing.T) map[string]Schedule {
	t.Helper()
	ddpm, err := NewDDPM(LinearBetas(1000, 1e-4, 0.02))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Schedule{
		"VP": NewVP(0.1, 20), "SubVP": NewSubVP(0.1, 20), "VE": NewVE(0.01, 100), "EDM": NewEDM(0.002, 80),
		"Cosine": Cosine{}, "RectifiedFlow": RectifiedFlow{}, "DDPM": ddpm,
	}
}

func TestSchedules(t *testing.T) {
	for name, s := range schedules(t) {
		if err := checkSchedule(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if alpha, sigma := s.At(0); alpha != 1 || sigma != 0 {
			t.Errorf("%s: at t = 0, α = %v and σ = %v, want 1 and 0", name, alpha, sigma)
		}
		lo, hi := s.Span()
		for _, u := range []float64{0, .001, .0123, .1003, .5003, .9007, 1} {
			tm := lo + u*(hi-lo)
			if got := s.Time(LogSNR(s, tm)); math.Abs(got-tm) > 1e-11*hi {
				t.Errorf("%s: Time(LogSNR(%v)) = %v", name, tm, got)
			}
			h := 1e-6 * tm
			if tm+h > hi {
				continue
			}
			a0, s0 := s.At(tm - h)
			a1, s1 := s.At(tm + h)
			da, ds := s.Rates(tm)
			_, sigma := s.At(tm)
			if name == "DDPM" && math.Ceil((tm+h)*1000) != math.Ceil((tm-h)*1000) {
				continue // β jumps here
			}
			if d := (a1 - a0) / (2 * h); math.Abs(d-da) > 1e-8*math.Abs(da)+1e-10/h {
				t.Errorf("%s: α' = %v at %v, by differences %v", name, da, tm, d)
			}
			if d := (s1 - s0) / (2 * h); math.Abs(d-ds) > 1e-8*math.Abs(ds)+1e-10*sigma/h {
				t.Errorf("%s: σ' = %v at %v, by differences %v", name, ds, tm, d)
			}
		}
	}
}

// The diffusion coefficients are those of Song et al. (2021).
func TestDrift(t *testing.T) {
	const tm, beta = 0.3, 0.1 + 19.9*0.3
	b := 0.1*tm + 19.9*tm*tm/2
	for _, c := range []struct {
		s     Schedule
		f, g2 float64
	}{
		{NewVP(0.1, 20), -beta / 2, beta},
		{NewSubVP(0.1, 20), -beta / 2, beta * (1 - math.Exp(-2*b))},
		{NewVE(0.01, 50), 0, 2e-4 * math.Pow(5000, 2*tm) * math.Log(5000)},
		{NewEDM(0.002, 80), 0, 2 * tm},
		{RectifiedFlow{}, -1 / (1 - tm), 2 * tm / (1 - tm)},
	} {
		f, g2 := drift(c.s, tm)
		if math.Abs(f-c.f) > 1e-12*math.Abs(c.f) || math.Abs(g2-c.g2) > 1e-12*c.g2 {
			t.Errorf("%T: f = %v, g² = %v, want %v, %v", c.s, f, g2, c.f, c.g2)
		}
	}
}

// A table's levels are the products of Ho et al. (2020), and the cosine
// schedule the formula of Nichol and Dhariwal (2021).
func TestTables(t *testing.T) {
	betas := LinearBetas(10, 1e-4, 0.2)
	s, err := NewDDPM(betas)
	if err != nil {
		t.Fatal(err)
	}
	bar := 1.0
	for i, beta := range betas {
		bar *= 1 - beta
		alpha, sigma := s.At(float64(i+1) / 10)
		if math.Abs(alpha*alpha-bar) > 1e-14 || math.Abs(sigma*sigma-(1-bar)) > 1e-14 {
			t.Errorf("level %d: α² = %v, σ² = %v, want %v and the rest to 1", i+1, alpha*alpha, sigma*sigma, bar)
		}
	}
	f := func(t float64) float64 { c := math.Cos((t + .008) / 1.008 * math.Pi / 2); return c * c }
	for _, tm := range []float64{.001, .3, .99} {
		alpha, sigma := Cosine{}.At(tm)
		if want := f(tm) / f(0); math.Abs(alpha*alpha-want) > 1e-14 || math.Abs(sigma*sigma-(1-want)) > 1e-14 {
			t.Errorf("cosine at %v: α² = %v, want %v", tm, alpha*alpha, want)
		}
	}
}

func TestGrids(t *testing.T) {
	s := NewVP(0.1, 20)
	for name, g := range map[string]Grid{"UniformTime": UniformTime, "UniformLogSNR": UniformLogSNR, "Karras": Karras(7)} {
		if err := checkTimes(g(s, 1, 1e-3, 7), 8); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	lambda := UniformLogSNR(s, 1, 1e-3, 4)
	if d, d2 := LogSNR(s, lambda[1])-LogSNR(s, lambda[0]), LogSNR(s, lambda[4])-LogSNR(s, lambda[3]); math.Abs(d-d2) > 1e-10 {
		t.Errorf("steps in log-SNR are %v and %v", d, d2)
	}
	// Karras et al. (2022), eq. 5, with their constants.
	e := NewEDM(0.002, 80)
	for i, got := range Karras(7)(e, 80, 0.002, 17) {
		want := math.Pow(math.Pow(80, 1./7)+float64(i)/17*(math.Pow(.002, 1./7)-math.Pow(80, 1./7)), 7)
		if math.Abs(got-want) > 1e-12*want {
			t.Errorf("Karras level %d is %v, want %v", i, got, want)
		}
	}
}

func TestBadSchedules(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		want string
	}{
		{nil, "nil"}, {NewVP(-1, -2), "VP"}, {NewVP(math.NaN(), 1), "VP"}, {NewVE(1, .5), "spans"},
		{NewVE(0, 1), "VE"}, {NewEDM(2, 1), "spans"}, {NewEDM(-1, 1), "spans"}, {NewVP(0, 0), "VP"},
	} {
		if err := checkSchedule(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v", c.s, err)
		}
	}
	for _, betas := range [][]float64{nil, {.1}, {.1, 0}, {.1, 1}, {.1, math.NaN()}} {
		if _, err := NewDDPM(betas); err == nil || !strings.Contains(err.Error(), "betas") {
			t.Errorf("betas %v: error %v", betas, err)
		}
	}
}
