//go:build !noasm

package dft

import (
	"testing"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Every instruction set that the processor has gives the definition.
func TestInstructionSets(t *testing.T) {
	old := assembly
	defer func() { assembly = old }()
	clear(assembly[:])
	t.Run("Go", TestPlanIsTheDefinition)
	if kernel.HasAVX2() {
		useAVX2()
		t.Run("AVX2", TestPlanIsTheDefinition)
	}
	if kernel.HasAVX512() {
		useAVX512()
		t.Run("AVX-512", TestPlanIsTheDefinition)
	}
}
