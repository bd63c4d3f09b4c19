package sbi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// Domain knows where the data of a table lie: what a learned posterior or
// estimator has been trained on. Outside, a network extrapolates, and its
// answer means nothing, however narrow it is.
type Domain struct {
	in        whitening
	reference []float64 // coordinates of rows, k each
	k         int
	scores    []float64 // of the rows for calibration, sorted
}

const (
	domainRows      = 4000 // at most, of each of the two parts
	domainNeighbour = 5
)

// NewDomain learns the domain of the valid rows of a table. One half of them,
// at random, become the reference, in coordinates that whiten it; the other
// half calibrate. A nil src is freshly seeded.
func NewDomain(table *Table, src rand.Source) (*Domain, error) {
	if table == nil || table.Len() == 0 {
		return nil, errors.New("sbi: NewDomain: the table is empty")
	}
	valid := table.Valid()
	n := valid.Len()
	if n < 200 {
		return nil, fmt.Errorf("sbi: NewDomain: %d of %d simulations are valid, want at least 200", n, table.Len())
	}
	order := rand.New(rng.Or(src)).Perm(n)
	part := min(n/2, domainRows)
	reference, calibration := order[:part], order[part:2*part]
	d := new(Domain)
	var err error
	if d.in, err = newWhitening(valid.Y, reference, floor(valid.Y, reference)); err != nil {
		return nil, fmt.Errorf("sbi: NewDomain: %w", err)
	}
	d.k = d.in.dim()
	d.reference = d.in.pick(valid.Y, reference)
	z := d.in.pick(valid.Y, calibration)
	for i := range calibration {
		d.scores = append(d.scores, d.score(z[i*d.k:(i+1)*d.k]))
	}
	slices.Sort(d.scores)
	return d, nil
}

// score returns the squared distance of z to its fifth neighbour of the
// reference.
func (d *Domain) score(z []float64) float64 {
	near := make([]float64, 0, domainNeighbour+1) // the smallest so far, sorted
	for lo := 0; lo < len(d.reference); lo += d.k {
		var s float64
		for j, v := range d.reference[lo : lo+d.k] {
			s += (z[j] - v) * (z[j] - v)
		}
		if len(near) == domainNeighbour && s >= near[domainNeighbour-1] {
			continue
		}
		at, _ := slices.BinarySearch(near, s)
		near = slices.Insert(near, at, s)
		near = near[:min(len(near), domainNeighbour)]
	}
	return near[len(near)-1]
}

// PValue returns the share of simulated data that are at least as lonely as y:
// whose distance to their fifth neighbour of the reference is at least that of
// y. If y is another draw of the simulator with parameters from the prior, the
// probability of a value of at most p is at most p, whatever the law of the
// data (conformal p-values: Vovk, Gammerman and Shafer, 2005); the test is at
// the level of its p-value by construction. It is at least 1/(rows + 1), with
// up to 4000 rows, and at that for data that are not finite. It panics if y has
// another length than the data of the table.
func (d *Domain) PValue(y []float64) float64 {
	if m := len(d.in.mean); len(y) != m {
		panic(fmt.Sprintf("sbi: y has length %d, want %d", len(y), m))
	}
	n := float64(len(d.scores) + 1)
	if !finite(y) {
		return 1 / n
	}
	z := d.in.pick(mat.NewDense(1, len(y), slices.Clone(y)), []int{0})
	below, _ := slices.BinarySearch(d.scores, d.score(z))
	return (float64(len(d.scores)-below) + 1) / n
}

// Check returns an error if y is outside of the domain at the level 0.01: data
// for which [NeuralPosterior.Given] or [PointEstimator.Estimate] should not be
// believed.
func (d *Domain) Check(y []float64) error {
	if p := d.PValue(y); p < 0.01 {
		return fmt.Errorf("sbi: the data are outside of what was simulated (p = %.2g): a network trained on that extrapolates here", p)
	}
	return nil
}
