package par

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestForCoversEachIndexOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 2, 8} {
		for _, n := range []int{0, 1, 7, 64, 65} {
			hits := make([]atomic.Int32, n)
			err := For(context.Background(), workers, n, 8, func(lo, hi int) error {
				if lo%8 != 0 || hi-lo > 8 {
					t.Errorf("block [%d, %d)", lo, hi)
				}
				for i := lo; i < hi; i++ {
					hits[i].Add(1)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range hits {
				if hits[i].Load() != 1 {
					t.Errorf("workers %d, n %d: index %d visited %d times", workers, n, i, hits[i].Load())
				}
			}
		}
	}
}

func TestPanicBecomesError(t *testing.T) {
	want := errors.New("boom")
	for _, workers := range []int{1, 3} {
		err := Each(context.Background(), workers, 10, func(i int) error {
			if i == 4 {
				panic(want)
			}
			return nil
		})
		var p *PanicError
		if !errors.As(err, &p) || !errors.Is(err, want) || len(p.Stack) == 0 {
			t.Errorf("workers %d: got %v", workers, err)
		}
	}
}

func TestErrorStopsTheLoop(t *testing.T) {
	want := errors.New("bad")
	for _, workers := range []int{1, 2} {
		var calls atomic.Int32
		err := Each(context.Background(), workers, 1_000_000, func(i int) error {
			calls.Add(1)
			if i >= 3 {
				return want
			}
			return nil
		})
		if err != want {
			t.Errorf("workers %d: got %v", workers, err)
		}
		if calls.Load() == 1_000_000 {
			t.Errorf("workers %d: the loop ran on after an error", workers)
		}
	}
}

func TestCancel(t *testing.T) {
	for _, workers := range []int{1, 2} {
		ctx, cancel := context.WithCancel(context.Background())
		err := Each(ctx, workers, 1_000_000, func(i int) error {
			if i == 10 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("workers %d: got %v", workers, err)
		}
	}
}
