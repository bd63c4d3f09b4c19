package sampler

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// chainsOf returns matrices with the given columns, each a set of chains.
func chainsOf(columns ...[][]float64) []*mat.Dense {
	out := make([]*mat.Dense, len(columns[0]))
	for i := range out {
		out[i] = mat.NewDense(len(columns[0][i]), len(columns), nil)
		for j, c := range columns {
			out[i].SetCol(j, c[i])
		}
	}
	return out
}

func TestSummaryVerdict(t *testing.T) {
	good := autoregression(1, 4, 1000, 0.2)
	slow := autoregression(2, 4, 1000, 0.99)
	apart := autoregression(3, 4, 1000, 0.2)
	for i := range apart[2] {
		apart[2][i] += 3
	}
	still := transform(good, func(float64) float64 { return 2.5 })
	broken := transform(good, func(x float64) float64 { return math.Log(x) })

	s := Summarize([]string{"good", "still"}, chainsOf(good, still))
	if !s.Converged() || !strings.Contains(s.String(), "converged (") || !strings.Contains(s.String(), "Constant in all draws: still.") {
		t.Errorf("good chains:\n%v", s)
	}
	s = Summarize([]string{"good", "slow", "apart", "broken"}, chainsOf(good, slow, apart, broken))
	s.Warnings = append(s.Warnings, "7 divergences.")
	text := s.String()
	for _, want := range []string{"NOT CONVERGED", "the chains disagree on slow, apart, broken", "Warning: 7 divergences."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if s.Converged() || strings.Contains(text, "NaN") {
		t.Errorf("bad chains:\n%s", text)
	}
	for what, s := range map[string]*Summary{
		"no chains":       Summarize(nil, nil),
		"all constant":    Summarize(nil, chainsOf(still)),
		"one draw":        Summarize(nil, chainsOf([][]float64{{1}})),
		"two draws":       Summarize(nil, chainsOf([][]float64{{1, 2}, {2, 1}})),
		"one chain short": Summarize(nil, chainsOf(autoregression(4, 1, 50, 0))),
	} {
		if s.Converged() || !strings.Contains(s.String(), "NOT CONVERGED") {
			t.Errorf("%s:\n%v", what, s)
		}
	}
	one := Summarize(nil, chainsOf(autoregression(5, 1, 1000, 0)))
	if !strings.Contains(one.String(), "One chain") || one.Params[0].Name != "x[1]" {
		t.Errorf("one chain:\n%v", one)
	}
}

func TestSummaryFormat(t *testing.T) {
	x := autoregression(6, 4, 1000, 0)
	s := Summarize([]string{"unit", "huge", "tiny"}, chainsOf(x,
		transform(x, func(x float64) float64 { return 1e12 * x }),
		transform(x, func(x float64) float64 { return 1e-12 * x })))
	for _, line := range strings.Split(s.String(), "\n") {
		if len(line) > 120 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if testing.Verbose() {
		t.Logf("\n%v", s)
	}
}

func BenchmarkSummarize(b *testing.B) {
	chains := make([]*mat.Dense, 4)
	for i := range chains {
		chains[i] = randomDraws(uint64(i), 1000, 64)
	}
	b.ResetTimer()
	for b.Loop() {
		Summarize(nil, chains)
	}
}
