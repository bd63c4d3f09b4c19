//go:build amd64 && !noasm

package kernel

import "unsafe"

// columnSet holds the functions of one instruction set and element type, which
// are described in gen.
type columnSet struct {
	softmax     func(x, bias *byte, ld, m, n int)
	softmaxBack func(d, y *byte, ld, m, n int)
	normals     func(dst, state *byte, n int) // of float64
}

// columns returns the functions in use for T, or nil.
func columns[T Float]() *columnSet {
	if unsafe.Sizeof(T(0)) == 8 {
		return columns64
	}
	return columns32
}

func softmaxColumnsSIMD[T Float](m, n int, x []T, ld int, bias []T) bool {
	set := columns[T]()
	if set == nil {
		return false
	}
	set.softmax(pointer(x), pointer(bias), ld*int(unsafe.Sizeof(x[0])), m, n)
	return true
}

func softmaxBackColumnsSIMD[T Float](m, n int, d, y []T, ld int) bool {
	set := columns[T]()
	if set == nil {
		return false
	}
	set.softmaxBack(pointer(d), pointer(y), ld*int(unsafe.Sizeof(d[0])), m, n)
	return true
}

// normalsSIMD fills blocks of draws if there is assembly.
func (g *Xoshiro) normalsSIMD(dst []float64, blocks int) bool {
	set := columns64
	if set == nil {
		return false
	}
	set.normals(pointer(dst), hide((*float64)(unsafe.Pointer(g))), blocks)
	return true
}
