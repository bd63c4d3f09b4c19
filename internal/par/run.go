package par

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Body is what Run repeats.
type Body interface {
	Do(i int)
}

// Run calls b.Do(0), ..., b.Do(n-1), in any order and on up to GOMAXPROCS
// goroutines, of which the caller's is one. It is for short loops in hot
// code: unlike [Each] it takes no context and, in steady state, allocates
// nothing. If a call panics, so does Run, once all goroutines have returned;
// the value is a *[PanicError] if there were several.
func Run(n int, b Body) {
	helpers := min(n, runtime.GOMAXPROCS(0)) - 1
	if helpers < 1 {
		for i := range n {
			b.Do(i)
		}
		return
	}
	t := teams.Get().(*team)
	t.body, t.n = b, n
	t.next.Store(0)
	t.done.Add(helpers)
	for range helpers {
		go t.help()
	}
	t.work()
	t.done.Wait()
	failure := t.failure.Swap(nil)
	t.body = nil
	teams.Put(t)
	if failure != nil {
		panic(failure)
	}
}

// A team is the state of one Run.
type team struct {
	body    Body
	n       int
	next    atomic.Int64
	done    sync.WaitGroup
	failure atomic.Pointer[PanicError]
	help    func() // made once, so that starting it allocates nothing
}

var teams = sync.Pool{New: func() any {
	t := new(team)
	t.help = func() {
		defer t.done.Done()
		t.work()
	}
	return t
}}

func (t *team) work() {
	defer func() {
		if v := recover(); v != nil {
			t.failure.CompareAndSwap(nil, &PanicError{Value: v, Stack: debug.Stack()})
			t.next.Store(int64(t.n)) // no further call begins
		}
	}()
	for {
		i := int(t.next.Add(1)) - 1
		if i >= t.n {
			return
		}
		t.body.Do(i)
	}
}
