//go:build amd64 && !noasm

package kernel

import "testing"

// forEachPath runs a test on each instruction set that the processor has.
func forEachPath(t *testing.T, f func(t *testing.T)) {
	defer use(best)
	for p, name := range []string{"go", "avx2", "avx512"} {
		t.Run(name, func(t *testing.T) {
			if path(p) > best {
				t.Skip("the processor lacks these instructions")
			}
			use(path(p))
			f(t)
		})
	}
}
