package sampler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
)

// Result is what [Run] has drawn.
type Result struct {
	// Names names the columns of the draws.
	Names []string
	// Chains holds the draws of each chain, one row a draw, in the target's
	// own space. If the run was interrupted, chains may differ in length and
	// those without a draw are left out.
	Chains []*mat.Dense
	// Stats holds for each chain one row a draw; [StatNames] names the
	// columns.
	Stats []*mat.Dense
	// Divergences is the number of transitions after warm-up that diverged,
	// those thinned out included.
	Divergences int
	// Saturated is the number of transitions after warm-up whose tree would
	// have gone on beyond the greatest depth (NUTS).
	Saturated int

	run  *run
	seed uint64 // of Sample
	mu   sync.Mutex
	src  *rng.Source
}

var _ inverse.Sampler = (*Result)(nil)

func (r *run) result() *Result {
	res := &Result{Names: r.names, run: r, seed: r.seed}
	for _, c := range r.chains {
		c.mu.Lock()
		if n := c.kept(r.Settings); n > 0 {
			res.Chains = append(res.Chains, c.draws.Slice(0, n, 0, r.dim).(*mat.Dense))
			res.Stats = append(res.Stats, c.stats.Slice(0, n, 0, numStats).(*mat.Dense))
		}
		res.Divergences += c.divergences
		res.Saturated += c.saturated
		c.mu.Unlock()
	}
	return res
}

// Draws returns the draws of all chains, one chain below the other, or nil if
// there are none.
func (r *Result) Draws() *mat.Dense { return stacked(r.Chains) }

func stacked(chains []*mat.Dense) *mat.Dense {
	rows := 0
	for _, c := range chains {
		n, _ := c.Dims()
		rows += n
	}
	if rows == 0 {
		return nil
	}
	_, cols := chains[0].Dims()
	all := mat.NewDense(rows, cols, nil)
	row := 0
	for _, c := range chains {
		n, _ := c.Dims()
		all.Slice(row, row+n, 0, cols).(*mat.Dense).Copy(c)
		row += n
	}
	return all
}

// Summary describes the draws of every parameter, says whether the chains
// have converged, and warns of divergences, trees cut short, and energies
// explored too slowly. Chains that differ in length are cut to the shortest.
func (r *Result) Summary() *Summary {
	chains := r.Chains
	if len(chains) > 0 {
		shortest, cols := chains[0].Dims()
		for _, c := range chains {
			n, _ := c.Dims()
			shortest = min(shortest, n)
		}
		chains = nil
		for _, c := range r.Chains {
			chains = append(chains, c.Slice(0, shortest, 0, cols).(*mat.Dense))
		}
	}
	s := Summarize(r.Names, chains)
	total := 0
	for _, c := range r.Stats {
		n, _ := c.Dims()
		total += n * r.thin()
	}
	if r.Divergences > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d transitions diverged: the draws may miss a part of the posterior. "+
			"A higher TargetAccept or another parameterisation may help.", r.Divergences, total))
	}
	if r.Saturated > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d trajectories were cut short at MaxDepth.", r.Saturated, total))
	}
	for i, c := range r.Stats {
		if b := EBFMI(mat.Col(nil, statEnergy, c)); b < minEBFMI {
			s.Warnings = append(s.Warnings, fmt.Sprintf("E-BFMI of chain %d is %.2f, below %g: its energies are explored too slowly.", i+1, b, minEBFMI))
		}
	}
	return s
}

const minEBFMI = 0.3 // Betancourt (2016)

func (r *Result) thin() int {
	if r.run == nil {
		return 1
	}
	return r.run.Thin
}

// Dim returns the number of parameters.
func (r *Result) Dim() int { return len(r.Names) }

// Sample fills the rows of dst with draws chosen at random, with replacement,
// from those of all chains. It is safe for concurrent use; the order in which
// calls come decides what each of them gets.
func (r *Result) Sample(ctx context.Context, dst *mat.Dense) error {
	rows, cols := dst.Dims()
	if cols != r.Dim() {
		panic(fmt.Sprintf("sampler: dst is %d×%d, want %d columns", rows, cols, r.Dim()))
	}
	if len(r.Chains) == 0 {
		return errors.New("sampler: the result has no draws")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	total := 0
	for _, c := range r.Chains {
		n, _ := c.Dims()
		total += n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.src == nil {
		r.src = rng.New(r.seed, ^uint64(0))
	}
	rnd := rand.New(r.src)
	for i := range rows {
		k := rnd.IntN(total)
		for _, c := range r.Chains {
			n, _ := c.Dims()
			if k < n {
				copy(dst.RawRowView(i), c.RawRowView(k))
				break
			}
			k -= n
		}
	}
	return nil
}

// MarshalBinary returns a checkpoint of the run for [Settings.Resume]. It
// returns an error if a chain ended in one.
func (r *Result) MarshalBinary() ([]byte, error) {
	if r.run == nil {
		return nil, errors.New("sampler: the result is not one of Run")
	}
	b := []byte(checkpointMagic)
	for _, h := range r.run.header() {
		b = appendUint(b, uint64(h.value))
	}
	var err error
	for _, c := range r.run.chains {
		if b, err = r.run.appendChain(b, c); err != nil {
			return nil, err
		}
	}
	return sealCheckpoint(b), nil
}
