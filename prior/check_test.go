package prior

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

func TestCheckScoreAcceptsGonum(t *testing.T) {
	n, ok := distmv.NewNormal([]float64{1, 2}, mat.NewSymDense(2, []float64{4, 1, 1, 0.01 + 0.25}), nil)
	if !ok {
		t.Fatal("covariance")
	}
	for _, x := range [][]float64{{1, 2}, {-30, 7}, {1.001, 1.999}} {
		if err := CheckScore(n, x); err != nil {
			t.Errorf("at %v: %v", x, err)
		}
	}
}

// Each fault of a density must be found, and named.
func TestCheckScoreFindsMistakes(t *testing.T) {
	good := faulty{}
	if err := CheckScore(good, []float64{0.3, -2}); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	for _, c := range []struct {
		p    faulty
		want string
	}{
		{faulty{score: 1e-4}, "central differences give"},
		{faulty{fused: 1e-8}, "LogProbScore(score, x) returns"},
		{faulty{fusedScore: 1e-8}, "LogProbScore(score, x) sets"},
		{faulty{mutate: true}, "x[0] was changed"},
		{faulty{other: true}, "does not return score"},
		{faulty{nan: true}, "LogProb(x) is NaN"},
		{faulty{jump: true}, "do not converge at coordinate 1"},
	} {
		if err := CheckScore(c.p, []float64{0.3, -2}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.p, err, c.want)
		}
	}
}

// faulty is a standard normal in two dimensions with the faults that are set.
type faulty struct {
	score, fused, fusedScore float64
	mutate, other, nan, jump bool
}

func (f faulty) LogProb(x []float64) float64 {
	if f.nan {
		return math.NaN()
	}
	v := -0.5 * (x[0]*x[0] + x[1]*x[1])
	if f.jump {
		v -= math.Copysign(1, x[1]+2)
	}
	return v
}

func (f faulty) ScoreInput(score, x []float64) []float64 {
	if score == nil || f.other {
		score = make([]float64, 2)
	}
	score[0], score[1] = -x[0]-f.score, -x[1]
	if f.mutate {
		x[0]++
	}
	return score
}

func (f faulty) LogProbScore(score, x []float64) float64 {
	score[0], score[1] = -x[0]-f.score, -x[1]+f.fusedScore
	return f.LogProb(x) + f.fused
}
