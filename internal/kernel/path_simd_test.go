//go:build amd64 && !noasm

package kernel

import (
	"slices"
	"testing"
)

var pathNames = []string{"go", "avx2", "avx512"}

// usePath switches to the set of instructions with the given name, if the
// processor has it.
func usePath(name string) bool {
	p := slices.Index(pathNames, name)
	if p < 0 || path(p) > best {
		return false
	}
	use(path(p))
	return true
}

func resetPath() { use(best) }

// forEachPath runs a test on each instruction set that the processor has.
func forEachPath(t *testing.T, f func(t *testing.T)) {
	defer resetPath()
	for _, name := range pathNames {
		t.Run(name, func(t *testing.T) {
			if !usePath(name) {
				t.Skip("the processor lacks these instructions")
			}
			f(t)
		})
	}
}
