package par

import "sync"

// Progress counts what the workers of a loop have done and reports it, one
// report at a time and in increasing order.
type Progress struct {
	mu          sync.Mutex
	done, total int
	report      func(done, total int)
}

// NewProgress returns a counter that reports to f, which may be nil.
func NewProgress(total int, f func(done, total int)) *Progress {
	return &Progress{total: total, report: f}
}

// Add counts n more units.
func (p *Progress) Add(n int) {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.report(p.done, p.total)
}
