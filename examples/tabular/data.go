package main

import (
	"embed"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

//go:embed data/*.csv
var files embed.FS

// sets are the data sets and what is predicted.
var sets = []struct{ name, target string }{
	{"concrete", "compressive strength"},
	{"energy", "cooling load"},
	{"yacht", "residuary resistance"},
}

// data is a data set: training and validation rows together, and test rows.
type data struct {
	x, y, testX, testY *mat.Dense
	valid              []int
}

// read returns a data set. The first column of its file says what a row is
// for, the second is x, and the others are y.
func read(name string) (*data, error) {
	f, err := files.Open("data/" + name + ".csv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := new(data)
	var x, y, testX, testY []float64
	for i, line := range lines[1:] {
		row := make([]float64, len(line)-1)
		for j, s := range line[1:] {
			if row[j], err = strconv.ParseFloat(s, 64); err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", name, i+2, err)
			}
		}
		switch line[0] {
		case "test":
			testX, testY = append(testX, row[0]), append(testY, row[1:]...)
			continue
		case "valid":
			d.valid = append(d.valid, len(x))
		}
		x, y = append(x, row[0]), append(y, row[1:]...)
	}
	d.x, d.y = mat.NewDense(len(x), 1, x), mat.NewDense(len(x), len(y)/len(x), y)
	d.testX, d.testY = mat.NewDense(len(testX), 1, testX), mat.NewDense(len(testX), len(testY)/len(testX), testY)
	return d, nil
}

// validation returns the rows for validation.
func (d *data) validation() (x, y *mat.Dense) {
	_, k := d.y.Dims()
	x, y = mat.NewDense(len(d.valid), 1, nil), mat.NewDense(len(d.valid), k, nil)
	for i, row := range d.valid {
		x.SetRow(i, d.x.RawRowView(row))
		y.SetRow(i, d.y.RawRowView(row))
	}
	return x, y
}

// regression returns the mean of -log q(x|y) over the test rows for a Gaussian
// linear regression on the training rows.
func (d *data) regression() float64 {
	valid := make(map[int]bool)
	for _, i := range d.valid {
		valid[i] = true
	}
	n, k := d.y.Dims()
	a, b := mat.NewDense(n-len(d.valid), k+1, nil), mat.NewVecDense(n-len(d.valid), nil)
	row := 0
	for i := range n {
		if !valid[i] {
			a.SetRow(row, append([]float64{1}, d.y.RawRowView(i)...))
			b.SetVec(row, d.x.At(i, 0))
			row++
		}
	}
	var w, fitted mat.VecDense
	if err := w.SolveVec(a, b); err != nil {
		// Columns that depend on each other: one of the solutions will do.
		var svd mat.SVD
		svd.Factorize(a, mat.SVDThin)
		svd.SolveVecTo(&w, b, svd.Rank(1e-10))
	}
	fitted.MulVec(a, &w)
	var ss float64
	for i := range row {
		ss += math.Pow(b.AtVec(i)-fitted.AtVec(i), 2) / float64(row)
	}
	tests, _ := d.testX.Dims()
	loss := make([]float64, tests)
	for i := range loss {
		predicted := mat.Dot(&w, mat.NewVecDense(k+1, append([]float64{1}, d.testY.RawRowView(i)...)))
		loss[i] = math.Log(2*math.Pi*ss)/2 + math.Pow(d.testX.At(i, 0)-predicted, 2)/(2*ss)
	}
	return stat.Mean(loss, nil)
}
