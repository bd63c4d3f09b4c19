package rng

import (
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Noise fills x with independent standard normal draws, as FillNormal does,
// in a small part of its time if x is long: one number from src is expanded
// by SplitMix64 to the states of eight generators xoshiro256++, as their
// authors say (Blackman and Vigna 2021), whose numbers become draws eight at a
// time.
func Noise(x []float64, src rand.Source) {
	var g kernel.Xoshiro
	seed := src.Uint64()
	for i := range g[0] {
		for j := range g {
			seed += 0x9e3779b97f4a7c15
			g[j][i] = mix(seed)
		}
	}
	g.Normals(x)
}
