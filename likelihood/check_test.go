package likelihood

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
)

func TestLawsPassCheckNoise(t *testing.T) {
	for name, noise := range laws(t) {
		if err := CheckNoise(noise, []float64{0.3, 1.7, 2.5, 0.9, 4.2}, rng.New(1, 0)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckNoise(BernoulliLogit{}, []float64{-60, 60}, rng.New(1, 0)); err != nil {
		t.Errorf("data that are all but certain: %v", err)
	}
}

// faulty is unit Gaussian noise with a fault.
type faulty struct{ fault string }

func (n faulty) Check(y []float64) error {
	if n.fault == "check" {
		return LogNormal{Sigma: 1}.Check(y)
	}
	return nil
}

func (n faulty) LogProbScore(score, y, f []float64) float64 {
	var p float64
	for i := range y {
		r := y[i] - f[i]
		p -= r * r / 2
		score[i] = r
		switch n.fault {
		case "score":
			score[i] = 1.0001 * r
		case "changes f":
			f[i]++
		case "changes y":
			y[i]++
		case "not normalised":
			p -= 0.3 * f[i]
			score[i] -= 0.3
		case "panic":
			panic("boom")
		}
	}
	if n.fault == "NaN lost" && math.IsNaN(p) {
		return 0
	}
	return p
}

func (n faulty) Rand(dst, f []float64, src rand.Source) {
	switch n.fault {
	case "draws":
		Laplace{Scale: 1}.Rand(dst, f, src)
		for i := range dst {
			dst[i] += 0.2
		}
	case "global source":
		for i := range dst {
			dst[i] = f[i] + rand.NormFloat64()
		}
	case "half drawn":
		(faulty{}).Rand(dst[1:], f[1:], src)
	default:
		rng.FillNormal(dst, src)
		for i := range dst {
			dst[i] += f[i]
		}
	}
}

func TestCheckNoiseFindsFaults(t *testing.T) {
	f := []float64{-3, 0, 2}
	if err := CheckNoise(faulty{}, f, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	for fault, want := range map[string]string{
		"score":          "by differences of the log density",
		"changes f":      "the law changes f",
		"changes y":      "LogProbScore changes y",
		"not normalised": "mean of the score",
		"draws":          "mean of the score",
		"NaN lost":       "where f is NaN",
		"global source":  "for the same source",
		"half drawn":     "gives NaN at [0]",
		"check":          "Check refuses what Rand drew",
		"panic":          "panicked: panic: boom",
	} {
		if err := CheckNoise(faulty{fault}, f, rng.New(2, 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", fault, err, want)
		}
	}
	if err := CheckNoise(nil, f, nil); err == nil {
		t.Error("nil noise passes")
	}
	if err := CheckNoise(faulty{}, nil, nil); err == nil {
		t.Error("empty f passes")
	}
}
