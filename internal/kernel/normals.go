package kernel

import (
	"math"
	"math/bits"
)

// Xoshiro is the state of eight generators xoshiro256++ (Blackman and Vigna
// 2021), word by word.
type Xoshiro [4][8]uint64

// normalBlock is the number of draws that are made together.
const normalBlock = 16

// Normals fills dst with independent standard normal draws. They are the same
// with all instruction sets; the portable ones agree up to rounding.
func (g *Xoshiro) Normals(dst []float64) {
	blocks := len(dst) / normalBlock
	if blocks > 0 && !g.normalsSIMD(dst, blocks) {
		for b := range blocks {
			g.block(dst[b*normalBlock:])
		}
	}
	if rest := dst[blocks*normalBlock:]; len(rest) > 0 {
		var last [normalBlock]float64
		if !g.normalsSIMD(last[:], 1) {
			g.block(last[:])
		}
		copy(rest, last[:])
	}
}

// block fills a block by the method of Box and Muller (1958), see gen.
func (g *Xoshiro) block(dst []float64) {
	var u, turn [8]uint64
	g.next(&u)
	g.next(&turn)
	for i := range 8 {
		radius := math.Sqrt(-2 * math.Log(2-fromOne(u[i])))
		sine, cosine := math.Sincos(math.Pi * (fromOne(turn[i]) - 1.5))
		if turn[i]&1 != 0 {
			cosine = -cosine
		}
		dst[i], dst[8+i] = sine*radius, cosine*radius
	}
}

// next sets u to the next word of each generator.
func (g *Xoshiro) next(u *[8]uint64) {
	for i := range u {
		s0, s1, s2, s3 := g[0][i], g[1][i], g[2][i], g[3][i]
		u[i] = bits.RotateLeft64(s0+s3, 23) + s0
		t := s1 << 17
		s2 ^= s0
		s3 ^= s1
		s1 ^= s2
		s0 ^= s3
		g[0][i], g[1][i], g[2][i], g[3][i] = s0, s1, s2^t, bits.RotateLeft64(s3, 45)
	}
}

// fromOne returns a number in [1, 2) from the upper 52 bits.
func fromOne(u uint64) float64 { return math.Float64frombits(u>>12 | 0x3ff<<52) }
