package rng

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Noise fills x with independent standard normal draws, as FillNormal does,
// in a third of its time if x is long: one number from src is expanded by the
// generator xoshiro256++ (Blackman and Vigna 2021), and the draws are those of
// a ziggurat of 256 layers (Marsaglia and Tsang 2000) with 53 bits that do not
// choose the layer (Doornik 2005).
func Noise(x []float64, src rand.Source) {
	g := expand(src.Uint64())
	s0, s1, s2, s3 := g.s0, g.s1, g.s2, g.s3
	for i := range x {
		u := bits.RotateLeft64(s0+s3, 23) + s0
		t := s1 << 17
		s2 ^= s0
		s3 ^= s1
		s1 ^= s2
		s0 ^= s3
		s2 ^= t
		s3 = bits.RotateLeft64(s3, 45)

		l := &layers[u&255]
		v := float64(int64(u) >> 11)
		x[i] = v * l.scale
		if math.Abs(v) < l.inside {
			continue
		}
		g = xoshiro{s0, s1, s2, s3}
		x[i] = g.outside(int(u&255), v*l.scale)
		s0, s1, s2, s3 = g.s0, g.s1, g.s2, g.s3
	}
}

// layer i of the ziggurat is the rectangle of width edge[i] above the height
// of the density there.
type layer struct {
	scale  float64 // 2⁻⁵² edge[i]
	inside float64 // 2⁵² edge[i+1]/edge[i]: below it a draw is under the density
}

var (
	layers [256]layer
	edge   [257]float64 // falling to 0
	height [257]float64 // of exp(-x²/2)
)

const (
	tail = 3.6541528853610087963519472518 // edge[1], where the tail begins
	area = 0.0049286732339746553          // of every layer
)

func init() {
	density := func(x float64) float64 { return math.Exp(-x * x / 2) }
	edge[0], edge[1] = area/density(tail), tail
	for i := 2; i < 256; i++ {
		edge[i] = math.Sqrt(-2 * math.Log(area/edge[i-1]+density(edge[i-1])))
	}
	for i := range height {
		height[i] = density(edge[i])
	}
	for i := range layers {
		layers[i] = layer{edge[i] / (1 << 52), (1 << 52) * edge[i+1] / edge[i]}
	}
}

// xoshiro is the state of xoshiro256++.
type xoshiro struct{ s0, s1, s2, s3 uint64 }

// expand makes a state from a seed, by SplitMix64 as its authors say.
func expand(seed uint64) xoshiro {
	var s [4]uint64
	for i := range s {
		seed += 0x9e3779b97f4a7c15
		s[i] = mix(seed)
	}
	return xoshiro{s[0], s[1], s[2], s[3]}
}

func (g *xoshiro) uint64() uint64 {
	u := bits.RotateLeft64(g.s0+g.s3, 23) + g.s0
	t := g.s1 << 17
	g.s2 ^= g.s0
	g.s3 ^= g.s1
	g.s1 ^= g.s2
	g.s0 ^= g.s3
	g.s2 ^= t
	g.s3 = bits.RotateLeft64(g.s3, 45)
	return u
}

// uniform returns a draw from (0, 1).
func (g *xoshiro) uniform() float64 { return (float64(g.uint64()>>11) + 0.5) / (1 << 53) }

// outside finishes a draw x in layer i that is not below the next edge: it is
// in the tail, under the density, or to be drawn anew.
func (g *xoshiro) outside(i int, x float64) float64 {
	for {
		switch {
		case i == 0:
			for {
				y := -math.Log(g.uniform()) / tail
				if e := -math.Log(g.uniform()); 2*e > y*y {
					return math.Copysign(tail+y, x)
				}
			}
		case height[i]+g.uniform()*(height[i+1]-height[i]) < math.Exp(-x*x/2):
			return x
		}
		u := g.uint64()
		i = int(u & 255)
		v := float64(int64(u) >> 11)
		x = v * layers[i].scale
		if math.Abs(v) < layers[i].inside {
			return x
		}
	}
}
