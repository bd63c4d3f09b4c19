package sbi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// published are the mean scores over ten observations, for 10³, 10⁴ and 10⁵
// simulations, of NPE (Lueckmann et al., 2021, with sbi) and of the best method
// in the literature.
var published = map[string]struct{ npe, best [3]float64 }{
	"two_moons":               {[3]float64{.725, .606, .542}, [3]float64{.570, .513, .502}},
	"gaussian_linear":         {[3]float64{.694, .552, .506}, [3]float64{.539, .507, .503}},
	"gaussian_linear_uniform": {[3]float64{.696, .553, .509}, [3]float64{.631, .527, .506}},
	"gaussian_mixture":        {[3]float64{.716, .615, .548}, [3]float64{.572, .515, .502}}, // with the simulator corrected
	"slcp":                    {[3]float64{.975, .901, .831}, [3]float64{.831, .646, .534}},
	"slcp_distractors":        {[3]float64{.982, .970, .863}, [3]float64{.978, .931, .753}},
	"bernoulli_glm":           {[3]float64{.863, .678, .559}, [3]float64{.634, .553, .515}},
	"bernoulli_glm_raw":       {[3]float64{.900, .765, .607}, [3]float64{.870, .658, .536}},
	"sir":                     {[3]float64{.815, .680, .585}, [3]float64{.575, .507, .507}},
	"lotka_volterra":          {[3]float64{.999, .997, .981}, [3]float64{.909, .738, .695}},
}

// publishedFor returns the scores for a number of simulations, 0 if there are
// none.
func publishedFor(task string, n int) (npe, best float64) {
	if k := slices.Index([]int{1000, 10_000, 100_000}, n); k >= 0 {
		p := published[task]
		return p.npe[k], p.best[k]
	}
	return 0, 0
}

// cells are scores by task, number of simulations and method.
type cells map[string][]score

// mean returns the mean C2ST over the observations of a cell.
func (c cells) mean(cell string) (m float64) {
	for _, s := range c[cell] {
		m += s.C2ST / float64(len(c[cell]))
	}
	return m
}

// choose returns the cell of the method that is chosen where NPE has the given
// one: SNLE, or NPE if that has not been run.
func (c cells) choose(npe score) score {
	s := npe
	if s.Method = "SNLE"; len(c[s.cell()]) > 0 {
		return s
	}
	return npe
}

// printScores prints each cell, and the table of NPE and of the method that is
// chosen beside the published scores.
func printScores(t *testing.T, scores []score) {
	c := make(cells)
	var order []string
	for _, s := range scores {
		if len(c[s.cell()]) == 0 {
			order = append(order, s.cell())
		}
		c[s.cell()] = append(c[s.cell()], s)
	}
	slices.Sort(order)
	for _, cell := range order {
		var each []string
		for _, s := range c[cell] {
			each = append(each, fmt.Sprintf("%d: %.3f", s.Observation, s.C2ST))
		}
		t.Logf("%-38s %.3f  (%s)  loss %.3f", cell, c.mean(cell), strings.Join(each, ", "), c[cell][0].Loss)
	}
	t.Logf("| task | simulations | NPE | sbi's NPE | chosen by rule | best published |")
	for _, cell := range order {
		s := c[cell][0]
		if s.Method != "NPE" {
			continue
		}
		npe, best := publishedFor(s.Task, s.Simulations)
		chosen := c.choose(s)
		t.Logf("| %s | %d | %.3f | %.3f | %.3f %s | %.3f |", s.Task, s.Simulations, c.mean(cell), npe, c.mean(chosen.cell()), chosen.Method, best)
	}
}
