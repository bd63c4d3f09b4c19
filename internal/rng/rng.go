// Package rng makes the library's random streams.
//
// Parallel work takes one stream per unit of work (a chain, a row block, a
// simulation), derived from one number drawn from the caller's source, so
// that results do not depend on the number of workers.
package rng

import (
	"encoding/binary"
	"math/rand/v2"

	xrand "golang.org/x/exp/rand" //lint:ignore SA1019 the project is asked to use it; this is its only import
)

// Source is a stream that can be saved and restored.
type Source = xrand.PCGSource

// Seed returns a number to derive streams from: one draw from src, or a
// fresh random one if src is nil.
func Seed(src rand.Source) uint64 {
	if src == nil {
		return rand.Uint64()
	}
	return src.Uint64()
}

// New returns stream i of the family that seed names. Streams of different
// (seed, i) are independent for all practical purposes: their 128-bit states
// are scattered over the period of the generator.
func New(seed, i uint64) *Source {
	// A stream has a cache line to itself: streams are made one after the other
	// and then used by different workers, which would wait for each other.
	s := new(struct {
		Source
		_ [48]byte
	})
	Reseed(&s.Source, seed, i)
	return &s.Source
}

// Reseed makes s the stream New(seed, i) from its beginning.
func Reseed(s *Source, seed, i uint64) {
	hi := mix(seed + 0x9e3779b97f4a7c15)
	lo := mix(hi ^ mix(i+0xd1b54a32d192ed03))
	hi = mix(lo ^ hi)
	var state [16]byte
	binary.BigEndian.PutUint64(state[:8], hi)
	binary.BigEndian.PutUint64(state[8:], lo)
	if err := s.UnmarshalBinary(state[:]); err != nil {
		panic("rng: " + err.Error()) // unreachable: the length is right
	}
}

// Or returns src, or a freshly seeded source if src is nil.
func Or(src rand.Source) rand.Source {
	if src == nil {
		return New(rand.Uint64(), 0)
	}
	return src
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// FillNormal fills x with independent standard normal draws from src.
func FillNormal(x []float64, src rand.Source) {
	r := rand.New(src)
	for i := range x {
		x[i] = r.NormFloat64()
	}
}
