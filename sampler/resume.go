package sampler

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-inverse/inverse/internal/rng"
)

// resume restores the chains from the checkpoint.
func (r *run) resume(kernel Kernel) error {
	body, err := openCheckpoint(r.Resume)
	if err != nil {
		return err
	}
	d := &decoder{body}
	if err := r.readHeader(d); err != nil {
		return fmt.Errorf("sampler: Resume: %w", err)
	}
	for i, c := range r.chains {
		c.src = rng.New(0, 0)
		if err := c.prepare(kernel, r.Warmup); err != nil {
			return err
		}
		if err := r.readChain(d, c); err != nil {
			return fmt.Errorf("sampler: Resume: chain %d: %w", i+1, err)
		}
	}
	if len(d.b) > 0 {
		return fmt.Errorf("sampler: Resume: %d bytes too many", len(d.b))
	}
	return nil
}

// header returns what must agree between a checkpoint and the run it resumes.
func (r *run) header() []struct {
	name  string
	value int
} {
	return []struct {
		name  string
		value int
	}{{"dimension", r.dim}, {"Chains", r.Chains}, {"Warmup", r.Warmup}, {"Thin", r.Thin}}
}

func (r *run) readHeader(d *decoder) error {
	for _, h := range r.header() {
		u, err := d.uint()
		if err != nil {
			return err
		}
		if u != uint64(h.value) {
			return fmt.Errorf("%s is %d in the checkpoint and %d in the run", h.name, u, h.value)
		}
	}
	return nil
}

// appendChain appends what chain carries.
func (r *run) appendChain(b []byte, c *chain) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return nil, errors.New("sampler: a chain that ended in an error cannot be resumed")
	}
	src, err := c.src.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b = appendString(b, string(src))
	b = appendString(b, reflect.TypeOf(c.state).String())
	b = appendUint(b, uint64(len(c.state.Position())))
	if b, err = appendState(b, reflect.ValueOf(c.state)); err != nil {
		return nil, err
	}
	for _, n := range c.counts() {
		b = appendUint(b, uint64(*n))
	}
	kept := c.kept(r.Settings)
	for i := range kept {
		b = appendFloats(b, c.draws.RawRowView(i))
		b = appendFloats(b, c.stats.RawRowView(i))
	}
	return b, nil
}

// counts returns the counters that are saved.
func (c *chain) counts() []*int { return []*int{&c.iter, &c.stuck, &c.divergences, &c.saturated} }

func (r *run) readChain(d *decoder, c *chain) error {
	src, err := d.string()
	if err != nil {
		return err
	}
	if err := c.src.UnmarshalBinary([]byte(src)); err != nil {
		return err
	}
	kind, err := d.string()
	if err != nil {
		return err
	}
	if want := reflect.TypeOf(c.state).String(); kind != want {
		return fmt.Errorf("its kernel's state is %s, that of the run %s", kind, want)
	}
	n, err := d.uint()
	if err != nil {
		return err
	}
	if n != uint64(c.target.Dim()) {
		return fmt.Errorf("its dimension is %d, that of the run %d", n, c.target.Dim())
	}
	if err := d.readState(reflect.ValueOf(c.state)); err != nil {
		return err
	}
	if got := len(c.state.Position()); got != c.target.Dim() {
		return fmt.Errorf("its point has dimension %d, want %d", got, c.target.Dim())
	}
	for _, n := range c.counts() {
		u, err := d.uint()
		if err != nil {
			return err
		}
		if u > 1<<48 {
			return fmt.Errorf("a count of %d", u)
		}
		*n = int(u)
	}
	kept := c.kept(r.Settings)
	row := r.dim + numStats
	if kept > len(d.b)/8/row {
		return errShort
	}
	if kept > r.Draws {
		return fmt.Errorf("it has %d draws, Settings.Draws is %d", kept, r.Draws)
	}
	for i := range kept {
		if err := d.floats(c.draws.RawRowView(i)); err != nil {
			return err
		}
		if err := d.floats(c.stats.RawRowView(i)); err != nil {
			return err
		}
	}
	return nil
}
