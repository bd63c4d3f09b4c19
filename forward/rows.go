package forward

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// checkBatch panics unless dst and x have equally many rows, of dstCols and
// xCols values.
func checkBatch(dst *mat.Dense, dstCols int, x *mat.Dense, xCols int) {
	dr, dc := dst.Dims()
	xr, xc := x.Dims()
	if dr != xr || dc != dstCols || xc != xCols {
		panic(fmt.Sprintf("forward: destination is %d×%d and input %d×%d, want r×%d and r×%d", dr, dc, xr, xc, dstCols, xCols))
	}
}
