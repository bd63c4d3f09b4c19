package rng

import "math"

// Bits is the generator SplitMix64 (Steele, Lea and Flood, 2014): a value that
// a loop can keep in a register. It is for one unit of work, from a seed that a
// Source gave.
type Bits uint64

// Next returns the generator after a step; its bits are those of Value.
func (b Bits) Next() Bits { return b + 0x9e3779b97f4a7c15 }

// Value returns 64 random bits.
func (b Bits) Value() uint64 { return mix(uint64(b)) }

// Uniform returns the draw from [0, 1) that 64 random bits make.
func Uniform(bits uint64) float64 { return float64(int64(bits>>11)) * (1.0 / (1 << 53)) }

// Exponential returns the draw from the exponential distribution of mean 1 that
// 64 random bits make, by a ziggurat of 256 layers (Marsaglia and Tsang, 2000)
// whose bits for the layer are none of the 53 of the draw (Doornik, 2005). With
// probability 0.022 the bits are not enough and ok is false: then the draw is
// that of [ExponentialRest] with the same bits.
func Exponential(bits uint64) (x float64, ok bool) {
	l := &expLayers[bits&255]
	v := float64(int64(bits >> 11))
	return v * l.scale, v < l.inside
}

// ExponentialRest finishes a draw by the bits that follow b.
func ExponentialRest(bits uint64, b Bits) (float64, Bits) {
	for {
		x, ok := Exponential(bits)
		if ok {
			return x, b
		}
		i := bits & 255
		b = b.Next()
		u := Uniform(b.Value())
		if i == 0 { // the tail, which is the distribution again
			return expTail - math.Log1p(-u), b
		}
		if expHeight[i]+u*(expHeight[i+1]-expHeight[i]) < math.Exp(-x) {
			return x, b
		}
		b = b.Next()
		bits = b.Value()
	}
}

// layer i of the ziggurat is the rectangle of width expEdge[i] above the height
// of the density there.
type layer struct {
	scale  float64 // 2⁻⁵³ expEdge[i]
	inside float64 // 2⁵³ expEdge[i+1]/expEdge[i]: below it a draw is under the density
}

var (
	expLayers [256]layer
	expEdge   [257]float64 // falling to 0
	expHeight [257]float64 // of exp(-x)
)

const (
	expTail = 7.697117470131049714044628048 // expEdge[1], where the tail begins
	expArea = 0.0039496598225815571993      // of every layer
)

func init() {
	expEdge[0], expEdge[1] = expArea/math.Exp(-expTail), expTail
	for i := 2; i < 256; i++ {
		expEdge[i] = -math.Log(expArea/expEdge[i-1] + math.Exp(-expEdge[i-1]))
	}
	for i := range expHeight {
		expHeight[i] = math.Exp(-expEdge[i])
	}
	for i := range expLayers {
		expLayers[i] = layer{expEdge[i] / (1 << 53), (1 << 53) * expEdge[i+1] / expEdge[i]}
	}
}
