package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// arena hands out slices that live until the next reset. Once it has seen
// the largest demand, it allocates nothing.
type arena[E any] struct {
	chunk []E // what is handed out next
	off   int
	full  int // elements in earlier chunks since the last reset
}

// align keeps slices of the arena on cache lines of their own: 16 elements of
// 4 bytes.
const align = 16

// take returns n elements. Their contents are left over from earlier use.
func (a *arena[E]) take(n int) []E {
	if a.off+n > len(a.chunk) {
		a.full += len(a.chunk)
		a.chunk = make([]E, max(n, 2*len(a.chunk), 1024))
		a.off = 0
	}
	s := a.chunk[a.off : a.off+n : a.off+n]
	a.off = min(len(a.chunk), (a.off+n+align-1)&^(align-1))
	if poison {
		spoil(s)
	}
	return s
}

// poison makes take fill what it hands out with NaN or nonsense. The tests of
// this package always do; those of others with the build tag poison.
var poison = kernel.Poison

func spoil[E any](s []E) {
	switch s := any(s).(type) {
	case []float32:
		for i := range s {
			s[i] = float32(math.NaN())
		}
	case []float64:
		for i := range s {
			s[i] = math.NaN()
		}
	case []int:
		for i := range s {
			s[i] = math.MinInt
		}
	case []Var:
		for i := range s {
			s[i] = -1
		}
	}
}

// reset takes back everything that was handed out.
func (a *arena[E]) reset() {
	if a.full > 0 {
		a.chunk = make([]E, a.full+len(a.chunk))
		a.full = 0
	}
	a.off = 0
}

// mark is a state of an arena to go back to.
type mark struct{ off, full int }

func (a *arena[E]) mark() mark { return mark{a.off, a.full} }

// back takes back what was handed out since m.
func (a *arena[E]) back(m mark) {
	if a.full == m.full {
		a.off = m.off
	} else {
		a.off = 0 // the chunk is younger than m
	}
}
