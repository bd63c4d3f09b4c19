package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/sbi"
)

// quality says how far draws are from real digits.
type quality struct {
	SlicedW  float64 // sliced Wasserstein distance; 2 separates black from white
	C2ST, SE float64 // accuracy of a classifier, 0.5 if it cannot tell, and its standard error
}

// components is the number of principal components that the classifier sees.
// In all pixels it would find that no draw's background is as black as paper.
const components = 16

// A judge compares draws with real digits.
type judge struct {
	digits, others *mat.Dense // two sets of real digits
	axes           *mat.Dense // principal components of others
	projected      *mat.Dense // the digits on them
}

func newJudge(held *mat.Dense, n int) (*judge, error) {
	rows, d := held.Dims()
	if 2*n > rows {
		return nil, fmt.Errorf("%d draws want twice as many held-out digits, and there are %d", n, rows)
	}
	j := &judge{digits: held.Slice(0, n, 0, d).(*mat.Dense), others: held.Slice(n, 2*n, 0, d).(*mat.Dense)}
	var pc stat.PC
	if !pc.PrincipalComponents(held.Slice(rows/2, rows, 0, d), nil) {
		return nil, errors.New("no principal components")
	}
	var v mat.Dense
	pc.VectorsTo(&v)
	j.axes = mat.DenseCopyOf(v.Slice(0, d, 0, components))
	j.projected = j.project(j.digits)
	return j, nil
}

func (j *judge) project(x *mat.Dense) *mat.Dense {
	var p mat.Dense
	p.Mul(x, j.axes)
	return &p
}

func (j *judge) judge(ctx context.Context, x *mat.Dense, seed uint64) (quality, error) {
	w, err := sbi.SlicedWasserstein(j.digits, x, 500, rand.NewPCG(seed, 2))
	if err != nil {
		return quality{}, err
	}
	c, err := sbi.C2ST(ctx, j.projected, j.project(x), &sbi.C2STOptions{Src: rand.NewPCG(seed, 3)})
	if err != nil {
		return quality{}, err
	}
	return quality{w, c.Accuracy, c.SE}, nil
}
