package par

import (
	"runtime"
	"sync/atomic"
)

// Pool runs many short loops on the same goroutines. Between loops that
// follow each other closely its goroutines stay awake, and a loop allocates
// nothing, which is what the steps of a training run need. A Pool runs one
// loop at a time.
type Pool struct {
	helpers []sleeper
	f       func(worker, i int) error
	n       int
	closed  bool
	loop    atomic.Uint32 // counts the loops
	shares  []share       // of the loop, one a worker
	running atomic.Int32  // helpers at work
	caller  sleeper
	stop    atomic.Bool
	failed  []failure // of the caller and each helper
}

// share counts the calls of a part of the loop that have been taken. Shares lie
// on different cache lines.
type share struct {
	taken atomic.Int64
	_     [120]byte
}

type failure struct {
	i   int
	err error
}

// NewPool returns a pool of the given number of workers, of which the caller
// of Each is one; 0 means GOMAXPROCS. Close ends its goroutines.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{helpers: make([]sleeper, workers-1), shares: make([]share, workers), failed: make([]failure, workers)}
	p.caller.init()
	for i := range p.helpers {
		p.helpers[i].init()
		go p.help(i)
	}
	return p
}

// Workers returns the number of workers.
func (p *Pool) Workers() int { return len(p.helpers) + 1 }

// Each calls f(worker, i) for i from 0 to n-1, as the function Each does: after
// an error or a panic no further call begins, and the error of the lowest i is
// returned. worker counts the workers from 0; no two calls with the same one
// run at the same time. A worker begins with the calls that it has in every
// loop of the same length, whose memory is in its cache, and then takes over
// some of the others'.
func (p *Pool) Each(n int, f func(worker, i int) error) error {
	if n <= 1 || len(p.helpers) == 0 {
		for i := range n {
			if err := p.guard(f, 0, i); err != nil {
				return err
			}
		}
		return nil
	}
	p.f, p.n = f, n
	for i := range p.shares {
		p.shares[i].taken.Store(0)
	}
	p.stop.Store(false)
	p.running.Store(int32(len(p.helpers)))
	p.loop.Add(1)
	for i := range p.helpers {
		p.helpers[i].wake()
	}
	p.work(0)
	p.caller.wait(func() bool { return p.running.Load() == 0 })
	p.f = nil
	if !p.stop.Load() {
		return nil
	}
	var lowest failure
	for i := range p.failed {
		if e := p.failed[i]; e.err != nil && (lowest.err == nil || e.i < lowest.i) {
			lowest = e
		}
		p.failed[i] = failure{}
	}
	return lowest.err
}

// Close ends the pool's goroutines. No loop may be running.
func (p *Pool) Close() {
	if p.closed {
		return
	}
	p.closed = true
	p.running.Store(int32(len(p.helpers)))
	p.loop.Add(1)
	for i := range p.helpers {
		p.helpers[i].wake()
	}
	p.caller.wait(func() bool { return p.running.Load() == 0 })
}

// work takes calls until there are none left or one has failed.
func (p *Pool) work(worker int) {
	workers := len(p.shares)
	for k := range workers {
		s := (worker + k) % workers
		lo, hi := s*p.n/workers, (s+1)*p.n/workers
		for !p.stop.Load() {
			i := lo + int(p.shares[s].taken.Add(1)) - 1
			if i >= hi {
				break
			}
			if err := p.guard(p.f, worker, i); err != nil {
				p.failed[worker] = failure{i, err}
				p.stop.Store(true)
				return
			}
		}
	}
}

func (p *Pool) guard(f func(worker, i int) error, worker, i int) error {
	return Guard(func() error { return f(worker, i) })
}

func (p *Pool) help(i int) {
	seen := uint32(0)
	changed := func() bool { return p.loop.Load() != seen }
	for {
		p.helpers[i].wait(changed)
		seen++
		closed := p.closed
		if !closed {
			p.work(i + 1)
		}
		if p.running.Add(-1) == 0 {
			p.caller.wake()
		}
		if closed {
			return
		}
	}
}

// sleeper waits for a condition: at first it looks again and again, yielding
// to other goroutines, and then it sleeps until it is woken.
type sleeper struct {
	asleep atomic.Bool
	signal chan struct{}
}

func (s *sleeper) init() { s.signal = make(chan struct{}, 1) }

// A condition is looked at looks times in a row, and this rounds times before
// sleeping. It takes some twenty microseconds, about twice what it costs to
// sleep and be woken.
const (
	looks  = 64
	rounds = 1000
)

// wait returns once the condition holds. Whoever makes it hold calls wake
// afterwards.
func (s *sleeper) wait(holds func() bool) {
	for range rounds {
		for range looks {
			if holds() {
				return
			}
		}
		runtime.Gosched()
	}
	for {
		s.asleep.Store(true)
		if holds() {
			if !s.asleep.CompareAndSwap(true, false) {
				<-s.signal // a wake is under way
			}
			return
		}
		<-s.signal
	}
}

// wake ends the sleep, if there is one.
func (s *sleeper) wake() {
	if s.asleep.CompareAndSwap(true, false) {
		s.signal <- struct{}{}
	}
}
