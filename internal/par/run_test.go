package par

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

type count struct {
	hits []atomic.Int32
	fail int // the index that panics
	err  error
}

func (c *count) Do(i int) {
	if c.err != nil && i == c.fail {
		panic(c.err)
	}
	c.hits[i].Add(1)
}

func TestRunCoversEachIndexOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(procs)
		for _, n := range []int{0, 1, 2, 3, 100} {
			c := &count{hits: make([]atomic.Int32, n)}
			for range 3 {
				Run(n, c)
			}
			for i := range c.hits {
				if got := c.hits[i].Load(); got != 3 {
					t.Fatalf("procs %d, n %d: index %d visited %d times, want 3", procs, n, i, got)
				}
			}
		}
	}
}

func TestRunPanics(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	want := errors.New("boom")
	for range 20 {
		c := &count{hits: make([]atomic.Int32, 50), fail: 7, err: want}
		func() {
			defer func() {
				err, _ := recover().(*PanicError)
				if err == nil || !errors.Is(err, want) || len(err.Stack) == 0 {
					t.Fatalf("recovered %v", err)
				}
			}()
			Run(len(c.hits), c)
		}()
		c.err = nil // the same team serves again
		Run(len(c.hits), c)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // AllocsPerRun would set it to 1
	c := &count{hits: make([]atomic.Int32, 4)}
	const runs = 1000
	var before, after runtime.MemStats
	Run(4, c)
	runtime.ReadMemStats(&before)
	for range runs {
		Run(4, c)
	}
	runtime.ReadMemStats(&after)
	// The race detector and garbage collections cost a few.
	if n := after.Mallocs - before.Mallocs; n > runs {
		t.Errorf("%d allocations in %d runs", n, runs)
	}
}

func BenchmarkRun(b *testing.B) {
	c := &count{hits: make([]atomic.Int32, 4)}
	b.ReportAllocs()
	for b.Loop() {
		Run(4, c)
	}
}
