package tasks

import "math"

// numPy is NumPy's legacy RandomState: the Mersenne Twister MT19937 (Matsumoto
// and Nishimura, 1998) with Marsaglia's polar method for normal variables. The
// benchmark fixes some of its constants with it.
type numPy struct {
	state [624]uint32
	next  int
	spare float64
	has   bool
}

func newNumPy(seed uint32) *numPy {
	r := &numPy{next: 624}
	r.state[0] = seed
	for i := 1; i < 624; i++ {
		r.state[i] = 1812433253*(r.state[i-1]^r.state[i-1]>>30) + uint32(i)
	}
	return r
}

func (r *numPy) uint32() uint32 {
	if r.next == 624 {
		for i := range r.state {
			y := r.state[i]&0x80000000 | r.state[(i+1)%624]&0x7fffffff
			r.state[i] = r.state[(i+397)%624] ^ y>>1 ^ -(y&1)&0x9908b0df
		}
		r.next = 0
	}
	y := r.state[r.next]
	r.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (r *numPy) float64() float64 {
	a, b := r.uint32()>>5, r.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

func (r *numPy) normal() float64 {
	if r.has {
		r.has = false
		return r.spare
	}
	for {
		x, y := 2*r.float64()-1, 2*r.float64()-1
		if q := x*x + y*y; q < 1 && q != 0 {
			f := math.Sqrt(-2 * math.Log(q) / q)
			r.spare, r.has = f*x, true
			return f * y
		}
	}
}

func (r *numPy) permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		mask := uint32(1)
		for mask < uint32(i) {
			mask = mask<<1 | 1
		}
		j := r.uint32() & mask
		for j > uint32(i) {
			j = r.uint32() & mask
		}
		p[i], p[j] = p[j], p[i]
	}
	return p
}
