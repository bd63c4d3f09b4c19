package digits

import (
	"bytes"
	_ "embed"
	"math"

	"github.com/go-inverse/inverse/diffusion"
)

//go:embed optical.safetensors
var opticalNetwork []byte

//go:embed mnist.safetensors
var mnistNetwork []byte

//go:embed jump.safetensors
var jumpNetwork []byte

// OpticalScore returns the learned score of 8×8 digits.
func OpticalScore() (*diffusion.Network, error) {
	return diffusion.Load(bytes.NewReader(opticalNetwork), Schedule)
}

// Score returns the learned score of 28×28 digits.
func Score() (*diffusion.Network, error) {
	return diffusion.Load(bytes.NewReader(mnistNetwork), Schedule)
}

// Jump returns the consistency model that is distilled from Score.
func Jump() (*diffusion.Consistency, error) {
	return diffusion.LoadConsistency(bytes.NewReader(jumpNetwork))
}

// Time returns the time at which σ/α, the noise level, has a value.
func Time(level float64) float64 { return Schedule.Time(-2 * math.Log(level)) }
