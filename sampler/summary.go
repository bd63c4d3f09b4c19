package sampler

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/par"
)

// Summary is what the draws of several chains say of each parameter, and how
// far to believe it.
type Summary struct {
	Params []ParamSummary
	Chains int // number of chains
	Draws  int // draws of each chain

	// Warnings are what else speaks against the run, a sentence each, such as
	// its divergences. String prints them below the table.
	Warnings []string
}

// ParamSummary is one row of a [Summary].
type ParamSummary struct {
	Name             string
	Mean, MCSE, SD   float64 // MCSE is that of the mean
	Q5, Q50, Q95     float64 // quantiles, of type 7 as in R and NumPy
	ESSBulk, ESSTail float64
	RHat             float64
	Constant         bool // all draws are equal; what is not defined is NaN
}

const (
	maxRHat        = 1.01 // Vehtari et al. (2021), section 4
	minESSPerChain = 100  // likewise
)

// Summarize describes the draws of several chains, each with a row a draw and
// a column a parameter. A nil names calls the parameters x[1], x[2], ...
// It panics if the chains differ in shape, or in width from names.
func Summarize(names []string, chains []*mat.Dense) *Summary {
	s := &Summary{Chains: len(chains)}
	if len(chains) == 0 {
		return s
	}
	draws, n := chains[0].Dims()
	for i, c := range chains {
		if r, k := c.Dims(); r != draws || k != n {
			panic(fmt.Sprintf("sampler: chain 0 is %d×%d, chain %d is %d×%d", draws, n, i, r, k))
		}
	}
	if names == nil {
		names = make([]string, n)
		for j := range names {
			names[j] = fmt.Sprintf("x[%d]", j+1)
		}
	}
	if len(names) != n {
		panic(fmt.Sprintf("sampler: %d names for %d parameters", len(names), n))
	}
	s.Draws = draws
	s.Params = make([]ParamSummary, n)
	err := par.Each(context.Background(), 0, n, func(j int) error {
		x := make([][]float64, len(chains))
		for i, c := range chains {
			x[i] = mat.Col(nil, j, c)
		}
		s.Params[j] = summarize(names[j], x)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return s
}

func summarize(name string, chains [][]float64) ParamSummary {
	nan := math.NaN()
	p := ParamSummary{
		Name: name, Mean: nan, MCSE: nan, SD: nan, Q5: nan, Q50: nan, Q95: nan,
		ESSBulk: nan, ESSTail: nan, RHat: nan,
	}
	if len(chains[0]) == 0 || !finite(chains...) {
		return p
	}
	halves := rank(split(chains)) // the one sort that all that follows shares
	sorted := halves.sorted()
	if len(chains[0])%2 != 0 {
		sorted = pooled(chains) // with the middle draws, which the halves leave out
	}
	p.Mean, p.SD = stat.MeanStdDev(sorted, nil)
	p.Q5, p.Q50, p.Q95 = quantile(sorted, 0.05), quantile(sorted, 0.5), quantile(sorted, 0.95)
	if p.Constant = constant(chains...); p.Constant {
		p.Mean, p.SD = sorted[0], 0
	}
	if !usable(chains) {
		return p
	}
	scores := halves.normalScores()
	p.MCSE = p.SD / math.Sqrt(ESS(chains))
	p.ESSBulk, p.ESSTail = ess(scores), essTail(chains, sorted)
	p.RHat = rhatOf(halves, scores)
	return p
}

// Converged reports whether every parameter that is not constant has an R-hat
// below 1.01 and bulk and tail effective sample sizes of at least 100 for each
// chain, and there is such a parameter.
func (s *Summary) Converged() bool {
	moved := false
	for i := range s.Params {
		p := &s.Params[i]
		if p.Constant {
			continue
		}
		if !p.mixed() || !p.enough(s.Chains) {
			return false
		}
		moved = true
	}
	return moved
}

func (p *ParamSummary) mixed() bool { return p.Constant || p.RHat < maxRHat }

func (p *ParamSummary) enough(chains int) bool {
	want := float64(minESSPerChain * chains)
	// The tail's is NaN for a discrete parameter whose 95 % quantile is its
	// greatest value; the bulk's is not.
	return p.Constant || p.ESSBulk >= want && !(p.ESSTail < want)
}

// String returns a table with a row for each parameter, those in doubt marked
// with an asterisk, and below it a verdict and the warnings.
func (s *Summary) String() string {
	rows := [][]string{{"", "mean", "MCSE", "sd", "5%", "50%", "95%", "ESS bulk", "ESS tail", "R-hat", ""}}
	for i := range s.Params {
		rows = append(rows, s.Params[i].row(s.Chains))
	}
	var b strings.Builder
	writeTable(&b, rows)
	b.WriteString("\n")
	for _, line := range s.verdict() {
		b.WriteString(line + "\n")
	}
	for _, w := range s.Warnings {
		b.WriteString("Warning: " + w + "\n")
	}
	return b.String()
}

// writeTable writes rows with the first column to the left, the last one close
// to what comes before it, and the others to the right.
func writeTable(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, cell := range r {
			width[j] = max(width[j], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for j, cell := range r {
			pad := strings.Repeat(" ", width[j]-utf8.RuneCountInString(cell))
			switch {
			case j == 0:
				line.WriteString(cell + pad)
			case j == len(r)-1:
				line.WriteString(" " + cell)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// row formats p with as many decimals as give its MCSE two significant
// digits.
func (p *ParamSummary) row(chains int) []string {
	scale := p.MCSE
	if !(scale > 0) || math.IsInf(scale, 0) {
		scale = p.SD / 100
	}
	decimals := 1 - int(math.Floor(math.Log10(scale)))
	plain := scale > 0 && decimals <= 7 && math.Abs(p.Mean) < 1e7 && p.SD < 1e7
	decimals = max(decimals, 0)
	number := func(x float64) string {
		switch {
		case math.IsNaN(x):
			return "-"
		case plain:
			return strconv.FormatFloat(x, 'f', decimals, 64)
		}
		return strconv.FormatFloat(x, 'g', 5, 64)
	}
	count := func(x float64, decimals int) string {
		if math.IsNaN(x) {
			return "-"
		}
		return strconv.FormatFloat(x, 'f', decimals, 64)
	}
	mark := ""
	if !p.mixed() || !p.enough(chains) {
		mark = "*"
	}
	return []string{p.Name, number(p.Mean), number(p.MCSE), number(p.SD), number(p.Q5), number(p.Q50), number(p.Q95),
		count(p.ESSBulk, 0), count(p.ESSTail, 0), count(p.RHat, 3), mark}
}

// verdict says in a few lines whether the chains have converged, and which
// parameters tell that they have not.
func (s *Summary) verdict() []string {
	var stiff, short, still []string
	for i := range s.Params {
		p := &s.Params[i]
		switch {
		case p.Constant:
			still = append(still, p.Name)
		case !p.mixed():
			stiff = append(stiff, p.Name)
		case !p.enough(s.Chains):
			short = append(short, p.Name)
		}
	}
	head := fmt.Sprintf("%s of %s", counted(s.Chains, "chain"), counted(s.Draws, "draw"))
	if s.Converged() {
		head += fmt.Sprintf(": converged (every R-hat is below %g, every ESS at least %d).", maxRHat, minESSPerChain*s.Chains)
	} else {
		head += ": NOT CONVERGED."
	}
	out := []string{head}
	if len(stiff) > 0 {
		out = append(out, fmt.Sprintf("R-hat is not below %g: the chains disagree on %s.", maxRHat, list(stiff)))
	}
	if len(short) > 0 {
		out = append(out, fmt.Sprintf("ESS is below %d: too few effective draws of %s.", minESSPerChain*s.Chains, list(short)))
	}
	if len(still) > 0 {
		out = append(out, fmt.Sprintf("Constant in all draws: %s.", list(still)))
	}
	if s.Chains == 1 {
		out = append(out, "One chain is compared only with itself: run several to see whether they agree.")
	}
	return out
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// list names the first few of names.
func list(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
