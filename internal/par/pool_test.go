package par

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolCoversEachIndexOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		p := NewPool(workers)
		for loop := range 300 {
			n := loop % 17
			hits := make([]atomic.Int32, n)
			if err := p.Each(n, func(_, i int) error { hits[i].Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			for i := range hits {
				if hits[i].Load() != 1 {
					t.Fatalf("workers %d, loop %d: index %d visited %d times", workers, loop, i, hits[i].Load())
				}
			}
			if loop%100 == 0 {
				time.Sleep(2 * time.Millisecond) // let the helpers fall asleep
			}
		}
		p.Close()
		p.Close()
	}
}

func TestPoolErrors(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	want := errors.New("bad")
	for range 100 {
		if err := p.Each(50, func(_, i int) error {
			if i >= 20 {
				return want
			}
			return nil
		}); err != want {
			t.Fatalf("got %v", err)
		}
		var panicked *PanicError
		if err := p.Each(50, func(_, i int) error {
			if i == 7 {
				panic(want)
			}
			return nil
		}); !errors.As(err, &panicked) || !errors.Is(err, want) {
			t.Fatalf("got %v", err)
		}
		if err := p.Each(50, func(_, _ int) error { return nil }); err != nil {
			t.Fatalf("after an error: %v", err)
		}
	}
}

func TestPoolDoesNotAllocate(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	f := func(_, _ int) error { return nil }
	if n := testing.AllocsPerRun(100, func() { p.Each(8, f) }); n > 0 {
		t.Errorf("%v allocations per loop", n)
	}
}

func TestPoolCloseEndsGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	NewPool(8).Close()
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(0)
	defer p.Close()
	f := func(_, _ int) error { return nil }
	for b.Loop() {
		p.Each(4, f)
	}
}
