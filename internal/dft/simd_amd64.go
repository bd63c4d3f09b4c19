//go:build !noasm

package dft

import "github.com/go-inverse/inverse/internal/kernel"

//go:generate env GOWORK=off go run -C gen . ..

func init() {
	switch {
	case kernel.HasAVX512():
		useAVX512()
	case kernel.HasAVX2():
		useAVX2()
	}
}

func useAVX512() {
	assembly[2], assembly[3], assembly[4], assembly[5] = radix2AVX512, radix3AVX512, radix4AVX512, radix5AVX512
}

func useAVX2() {
	assembly[2], assembly[3], assembly[4], assembly[5] = radix2AVX2, radix3AVX2, radix4AVX2, radix5AVX2
}
