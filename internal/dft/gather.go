package dft

// gatherRows fills a bundle with at most pairs rows, of len(b) values each:
// the first into real parts, those from lanes on into imaginary ones. Lanes
// without a row are cleared.
func gatherRows(b []block, rows []float64) {
	n, count := len(b), len(rows)/len(b)
	if count < pairs {
		clear(b)
	}
	for i := range min(count, lanes) {
		for j, v := range rows[i*n : (i+1)*n] {
			b[j].re[i] = v
		}
	}
	for i := range max(0, count-lanes) {
		for j, v := range rows[(lanes+i)*n : (lanes+i+1)*n] {
			b[j].im[i] = v
		}
	}
}

// scatterRows undoes gatherRows.
func scatterRows(rows []float64, b []block) {
	n, count := len(b), len(rows)/len(b)
	for i := range min(count, lanes) {
		row := rows[i*n : (i+1)*n]
		for j := range row {
			row[j] = b[j].re[i]
		}
	}
	for i := range max(0, count-lanes) {
		row := rows[(lanes+i)*n : (lanes+i+1)*n]
		for j := range row {
			row[j] = b[j].im[i]
		}
	}
}

// gatherColumns fills a bundle with columns [lo, hi) of a grid of so many
// columns, as gatherRows does with rows.
func gatherColumns(b []block, x []float64, cols, lo, hi int) {
	if hi-lo < pairs {
		clear(b)
	}
	mid := min(hi, lo+lanes)
	for j := range b {
		copy(b[j].re[:], x[j*cols+lo:j*cols+mid])
		copy(b[j].im[:], x[j*cols+mid:j*cols+hi])
	}
}

// scatterColumns undoes gatherColumns.
func scatterColumns(x []float64, b []block, cols, lo, hi int) {
	mid := min(hi, lo+lanes)
	for j := range b {
		copy(x[j*cols+lo:j*cols+mid], b[j].re[:])
		copy(x[j*cols+mid:j*cols+hi], b[j].im[:])
	}
}
