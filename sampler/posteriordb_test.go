package sampler

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/go-inverse/inverse/internal/posteriordb"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// constrained returns the draws of the parameters that the reference reports.
func constrained(p *posteriordb.Posterior, r *Result) []*mat.Dense {
	var chains []*mat.Dense
	for _, c := range r.Chains {
		n, _ := c.Dims()
		x := mat.NewDense(n, len(p.Params), nil)
		for i := range n {
			p.Constrain(x.RawRowView(i), c.RawRowView(i))
		}
		chains = append(chains, x)
	}
	return chains
}

// checkReference holds means and second moments to those of the reference
// draws. If strict, R-hat must be below 1.01 and no transition may diverge.
func checkReference(t *testing.T, p *posteriordb.Posterior, r *Result, strict bool) (worst float64) {
	t.Helper()
	chains := constrained(p, r)
	s := Summarize(p.Params, chains)
	for j, ref := range p.Reference {
		var x, x2 [][]float64
		for _, c := range chains {
			v := mat.Col(nil, j, c)
			sq := make([]float64, len(v))
			for i, a := range v {
				sq[i] = a * a
			}
			x, x2 = append(x, v), append(x2, sq)
		}
		z := (s.Params[j].Mean - ref.Mean) / math.Hypot(MCSEMean(x), ref.MCSEMean)
		// The reference reports no error of its second moment: that of as many
		// effective draws as its mean has.
		mean2, sd2 := stat.MeanStdDev(pooled(x2), nil)
		ref2 := ref.SD*ref.SD + ref.Mean*ref.Mean
		z2 := (mean2 - ref2) / math.Hypot(MCSEMean(x2), sd2*ref.MCSEMean/ref.SD)
		worst = max(worst, math.Abs(z), math.Abs(z2))
		if !(math.Abs(z) < 4) || !(math.Abs(z2) < 4) {
			t.Errorf("%s: mean %.5g (reference %.5g, z = %.1f), second moment %.5g (%.5g, z = %.1f)",
				ref.Name, s.Params[j].Mean, ref.Mean, z, mean2, ref2, z2)
		}
		if strict && !(s.Params[j].RHat < maxRHat) {
			t.Errorf("%s: R-hat %.4f", ref.Name, s.Params[j].RHat)
		}
	}
	if strict && r.Divergences > 0 {
		t.Errorf("%d divergences", r.Divergences)
	}
	return worst
}

func TestEightSchools(t *testing.T) {
	checkReference(t, posteriordb.EightSchools(), mustRun(t, posteriordb.EightSchools(), &NUTS{}, &Settings{}), true)
}

func TestPosteriordb(t *testing.T) {
	if testing.Short() {
		t.Skip("ten models take seconds")
	}
	dir := filepath.Dir(shared(t, "posteriordb", "arK-arK.json"))
	metrics := map[string]Metric{"": Automatic}
	if slow() {
		metrics = map[string]Metric{"": Automatic, "/fisher": DiagonalFisher, "/variance": DiagonalVariance, "/dense": Dense}
	}
	for _, name := range posteriordb.Names() {
		p, err := posteriordb.Open(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		for label, m := range metrics {
			t.Run(name+label, func(t *testing.T) {
				seeds := uint64(3)
				if slow() && m == Automatic {
					seeds = 20
				}
				var worst, leapfrogs, ess float64
				for seed := range seeds {
					r := mustRun(t, p, &NUTS{Metric: m}, &Settings{Src: rng.New(51, seed)})
					// Correlations are too much for a diagonal metric.
					worst = max(worst, checkReference(t, p, r, m == Automatic))
					for _, s := range r.Stats {
						leapfrogs += mat.Sum(s.ColView(statLeapfrogs))
					}
					least := math.Inf(1)
					for _, q := range r.Summary().Params {
						least = min(least, q.ESSBulk)
					}
					ess += least
				}
				t.Logf("%d runs: worst |z| %.1f, mean of the least ESS %.0f, %.1f leapfrogs a draw, ESS per 1000 gradients %.1f",
					seeds, worst, ess/float64(seeds), leapfrogs/4000/float64(seeds), 1000*ess/leapfrogs)
			})
		}
	}
}
