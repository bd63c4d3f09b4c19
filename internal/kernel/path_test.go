package kernel

import "testing"

// forEachPath runs a test on each instruction set that the processor has.
func forEachPath(t *testing.T, f func(t *testing.T)) {
	t.Run("go", f)
}

// isDouble reports whether T is float64.
func isDouble[T Float]() bool { return T(1)+0x1p-40 != 1 }
