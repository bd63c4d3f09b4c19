package diffusion

import (
	"math"
	"os"
	"testing"
)

// The moments of a posterior sampled in several ways with 1000 Euler-Maruyama
// steps. The reference values come from an independent program with 10⁵ draws
// (their standard errors: 0.002 of means, 0.0015 of standard deviations). As
// many draws are made here by
//
//	INVERSE_SLOW=1 go test ./diffusion -run TestBimodalFigures -v -timeout 1h
func TestBimodalFigures(t *testing.T) {
	n, refN := 4000, 100_000
	if testing.Short() {
		n = 64
	}
	if os.Getenv("INVERSE_SLOW") != "" {
		n = refN
	}
	p := newBimodal(t)
	type figures struct{ mean, std, low float64 }
	none := math.NaN()
	for _, c := range []struct {
		name  string
		guide func() (Guidance, error)
		want  figures
	}{
		{"exact", func() (Guidance, error) { return NewExact(p.score, p.lik) }, figures{.3497, .6199, .0012}},
		{"DPS", func() (Guidance, error) { return NewDPS(p.score, p.lik) }, figures{.4844, .5988, 0}},
		{"DPS 1/alpha", func() (Guidance, error) {
			d, err := NewDPS(p.score, p.lik)
			d.NoJacobian = true
			return d, err
		}, figures{.4844, .5395, none}},
		{"DPS 1/alpha until 0.21", func() (Guidance, error) {
			d, err := NewDPS(p.score, p.lik)
			d.NoJacobian, d.Until = true, .21
			return d, err
		}, figures{none, .823, .0725}},
		{"DPS until 0.275", func() (Guidance, error) {
			d, err := NewDPS(p.score, p.lik)
			d.Until = .275
			return d, err
		}, figures{none, .827, .059}},
		{"flat", func() (Guidance, error) { return NewFlat(p.score, p.lik) }, figures{.3021, .5496, .0075}},
		{"PiGDM", func() (Guidance, error) { return NewPiGDM(p.score, p.lik) }, figures{.4265, .6437, .0040}},
		{"MMPS", func() (Guidance, error) { return NewMMPS(p.score, p.lik) }, figures{.3435, .7003, .0169}},
		{"TMPD", func() (Guidance, error) { return NewTMPD(p.score, p.lik) }, figures{.3435, .7003, .0169}},
	} {
		if testing.Short() && c.name != "exact" && c.name != "DPS until 0.275" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			g, err := c.guide()
			check(t, err)
			s := &Reverse{Score: sumOf(t, p.score, g), Schedule: p.score.Schedule(), Solver: EulerMaruyama{}, Steps: 1000, Src: src(7)}
			got := summarize(p.post.Mixture, draw(t, s, n))
			t.Logf("%-24s mean %.4f std %.4f mass on (-3, -1.5) %.5f W1 %.4f", c.name, got.mean, got.std, got.low, got.w1)
			// The posteriors are not far from Gaussian: se(std) is near std √(κ-1)/2√n with κ below 5.
			both := math.Sqrt(1/float64(n) + 1/float64(refN))
			if d := math.Abs(got.mean - c.want.mean); d > 4*got.std*both+5e-4 {
				t.Errorf("%s: mean %.4f, want %.4f", c.name, got.mean, c.want.mean)
			}
			if d := math.Abs(got.std - c.want.std); d > 4*got.std*both+5e-4 {
				t.Errorf("%s: standard deviation %.4f, want %.4f", c.name, got.std, c.want.std)
			}
			if d := math.Abs(got.low - c.want.low); d > 4*math.Sqrt(math.Max(got.low, 1e-4))*both+5e-5 {
				t.Errorf("%s: mass on (-3, -1.5) %.5f, want %.5f", c.name, got.low, c.want.low)
			}
		})
	}
}
