// Package par runs loops over fixed-size blocks on several goroutines.
//
// The size of a block never depends on the number of workers, and what is
// reduced over blocks is reduced in block order, so results are the same bits
// for every GOMAXPROCS.
package par

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// PanicError is the error that a panic on a worker becomes.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the worker's stack
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// For calls f(lo, hi) for the blocks [0, size), [size, 2 size), ... of [0, n)
// on at most workers goroutines; 0 workers means GOMAXPROCS. It returns when
// all have returned. After the first error, panic, or the end of ctx no
// further block begins; the error of the lowest block that failed is returned.
func For(ctx context.Context, workers, n, size int, f func(lo, hi int) error) error {
	return Each(ctx, workers, (n+size-1)/size, func(i int) error {
		return f(i*size, min(n, (i+1)*size))
	})
}

// Each calls f(0), ..., f(n-1) on at most workers goroutines, as For does
// with blocks of one.
func Each(ctx context.Context, workers, n int, f func(i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, n)
	if workers <= 1 {
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := guard(f, i); err != nil {
				return err
			}
		}
		return nil
	}
	var (
		next  atomic.Int64
		stop  atomic.Bool
		wg    sync.WaitGroup
		mu    sync.Mutex
		first = n
		cause error
	)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := guard(f, i); err != nil {
					stop.Store(true)
					mu.Lock()
					if i < first {
						first, cause = i, err
					}
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	if cause != nil {
		return cause
	}
	if int(next.Load()) < n {
		return ctx.Err()
	}
	return nil
}

func guard(f func(i int) error, i int) error { return Guard(func() error { return f(i) }) }

// Guard calls f and returns its error, or a *[PanicError] if it panics.
func Guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
