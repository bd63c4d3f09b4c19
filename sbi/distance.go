package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// MMD returns the unbiased estimate of the squared maximum mean discrepancy
// (Gretton et al., 2012, eq. 3) between the distributions of the rows of p and
// of q, with the kernel exp(-|a-b|²/(2h²)) and the median distance between rows
// of p as bandwidth h. It is zero in the mean for equal distributions, and can
// be negative. It costs as many operations as there are pairs.
func MMD(p, q *mat.Dense) (float64, error) {
	n, _, err := checkSamples(p, q)
	if err != nil {
		return 0, err
	}
	m, _ := q.Dims()
	h, err := medianDistance(p)
	if err != nil {
		return 0, err
	}
	sum := func(a, b *mat.Dense, same bool) float64 {
		r, _ := a.Dims()
		parts := make([]float64, r)
		par.Each(context.Background(), 0, r, func(i int) error {
			parts[i] = kernelSum(a.RawRowView(i), b, i, same, h)
			return nil
		})
		return floats.Sum(parts)
	}
	fn, fm := float64(n), float64(m)
	return 2*sum(p, p, true)/(fn*(fn-1)) + 2*sum(q, q, true)/(fm*(fm-1)) - 2*sum(p, q, false)/(fn*fm), nil
}

// kernelSum adds the kernel of x, row i, with the rows of b, or, in the same
// sample, with those after it.
func kernelSum(x []float64, b *mat.Dense, i int, same bool, h float64) float64 {
	rows, _ := b.Dims()
	var from int
	if same {
		from = i + 1
	}
	var sum float64
	for j := from; j < rows; j++ {
		sum += math.Exp(-squaredDistance(x, b.RawRowView(j)) / (2 * h * h))
	}
	return sum
}

func squaredDistance(a, b []float64) float64 {
	var s float64
	for j, v := range a {
		e := v - b[j]
		s += e * e
	}
	return s
}

// medianDistance returns the median distance between the rows of p, of its
// first 2000 if it has more.
func medianDistance(p *mat.Dense) (float64, error) {
	n, _ := p.Dims()
	n = min(n, 2000)
	d := make([]float64, 0, n*(n-1)/2)
	for i := range n {
		for j := range i {
			d = append(d, squaredDistance(p.RawRowView(i), p.RawRowView(j)))
		}
	}
	slices.Sort(d)
	h := math.Sqrt(d[len(d)/2])
	if h == 0 {
		return 0, errors.New("sbi: MMD: most rows of p are equal: there is no bandwidth")
	}
	return h, nil
}

// SlicedWasserstein returns the sliced Wasserstein distance of order 2 between
// the distributions of the rows of p and of q,
//
//	(mean over directions u of W₂(uᵀp, uᵀq)²)^½
//
// over the given number of random directions, 100 if it is 0 (Bonneel et al.,
// 2015). Between two normal distributions that differ by a shift s of d
// coordinates it is |s|/√d. A nil src means a freshly seeded one.
func SlicedWasserstein(p, q *mat.Dense, directions int, src rand.Source) (float64, error) {
	n, d, err := checkSamples(p, q)
	if err != nil {
		return 0, err
	}
	if directions == 0 {
		directions = 100
	}
	if directions < 1 {
		return 0, fmt.Errorf("sbi: %d directions", directions)
	}
	m, _ := q.Dims()
	seed := rng.Seed(src)
	parts := make([]float64, directions)
	err = par.Each(context.Background(), 0, directions, func(k int) error {
		u := make([]float64, d)
		rng.FillNormal(u, rng.New(seed, uint64(k)))
		floats.Scale(1/floats.Norm(u, 2), u)
		parts[k] = wasserstein2(project(p, n, u), project(q, m, u))
		return nil
	})
	return math.Sqrt(floats.Sum(parts) / float64(directions)), err
}

func project(p *mat.Dense, n int, u []float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = floats.Dot(u, p.RawRowView(i))
	}
	slices.Sort(x)
	return x
}

// wasserstein2 returns the integral of (F⁻¹(t) - G⁻¹(t))² over (0, 1) for the
// empirical distributions F and G of two sorted samples.
func wasserstein2(x, y []float64) float64 {
	n, m := len(x), len(y)
	var sum float64
	// In units of 1/(n m), x changes every m and y every n.
	for i, j, at := 0, 0, 0; i < n && j < m; {
		next := min((i+1)*m, (j+1)*n)
		e := x[i] - y[j]
		sum += e * e * float64(next-at)
		at = next
		if at == (i+1)*m {
			i++
		}
		if at == (j+1)*n {
			j++
		}
	}
	return sum / (float64(n) * float64(m))
}
