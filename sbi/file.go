package sbi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// SimulateFile is [Simulate] for tables larger than memory: it appends each
// simulation to the file as it ends and keeps none.
//
// If the file is there, its simulations are not run again, failed ones
// included, and a last line that an interrupted write left incomplete is cut
// off. A campaign that is killed, at whatever moment, so loses the simulations
// in flight and no others, and is resumed by running the program again. It is
// an error if the file belongs to another campaign: if its seed differs from
// that of SimulateOptions.Src, its dimensions from those of the simulator, or
// its parameters from what the prior draws. A larger n makes a finished
// campaign longer.
//
// The lines of the file are in the order in which simulations end; [ReadTable]
// puts them in theirs.
func SimulateFile(ctx context.Context, file string, pri Prior, sim Simulator, n int, opt *SimulateOptions) (err error) {
	if opt == nil {
		opt = new(SimulateOptions)
	}
	md, nd, err := checkModel(pri, sim)
	if err != nil {
		return err
	}
	if n < 1 {
		return fmt.Errorf("sbi: n is %d, want at least 1", n)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	c := &campaign{pri: pri, sim: sim, m: md, n: nd, opt: opt}
	done, count, err := c.resume(f, n)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	c.progress = par.NewProgress(n, opt.Progress)
	if count > 0 {
		c.progress.Add(count)
	}
	w := &lineWriter{w: f}
	w.room.L = &w.mu
	rows := sync.Pool{New: func() any {
		return &line{row: Row{Theta: make([]float64, nd), Y: make([]float64, md)}}
	}}
	err = par.Each(ctx, opt.Workers, n, func(i int) error {
		if done.has(i) {
			return nil
		}
		l := rows.Get().(*line)
		defer rows.Put(l)
		l.row.Index = i
		if err := c.run(ctx, &l.row); err != nil {
			return err
		}
		l.text = l.row.Append(l.text[:0])
		if err := w.write(l.text); err != nil {
			return err
		}
		c.progress.Add(1)
		return nil
	})
	return errors.Join(err, f.Sync())
}

type line struct {
	row  Row
	text []byte
}

// resume reads what the file holds, makes it end with a whole line, and
// returns the rows below n that are done and their number.
func (c *campaign) resume(f *os.File, n int) (done bitmap, count int, err error) {
	done = make(bitmap, (n+63)/64)
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	interrupted, err := c.noHeader(f, size)
	if err != nil {
		return nil, 0, err
	}
	if interrupted {
		c.seed = rng.Seed(c.opt.Src)
		if err := f.Truncate(0); err != nil {
			return nil, 0, err
		}
		_, err := f.Write(TableHeader(c.seed, c.m, c.n))
		return done, 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, 0, err
	}
	s, err := NewScanner(f)
	if err != nil {
		return nil, 0, err
	}
	if m, n := s.Dims(); m != c.m || n != c.n {
		return nil, 0, fmt.Errorf("sbi: the table has %d data and %d parameters, the simulator %d and %d", m, n, c.m, c.n)
	}
	c.seed = s.Seed
	if c.opt.Src != nil {
		if seed := rng.Seed(c.opt.Src); seed != c.seed {
			return nil, 0, fmt.Errorf("sbi: the table has seed %d, Src gives %d: it belongs to another campaign (leave Src nil to go on with the table's)", c.seed, seed)
		}
	}
	row, want := Row{}, Row{Theta: make([]float64, c.n)}
	for {
		err := s.Scan(&row)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		want.Index = row.Index
		c.draw(&want)
		if want.Seed != row.Seed || !slices.Equal(want.Theta, row.Theta) {
			return nil, 0, fmt.Errorf("sbi: simulation %d of the table has parameters %v, the prior draws %v: the table belongs to another campaign", row.Index, row.Theta, want.Theta)
		}
		if row.Index < n && !done.has(row.Index) {
			done.set(row.Index)
			count++
		}
	}
	if s.whole < size {
		err = f.Truncate(s.whole)
	}
	return done, count, err
}

// noHeader reports whether the file holds nothing, or an interrupted header.
func (c *campaign) noHeader(f *os.File, size int64) (bool, error) {
	head := make([]byte, min(size, int64(len(TableHeader(0, c.m, c.n))+20)))
	if _, err := f.ReadAt(head, 0); err != nil {
		return false, err
	}
	switch bytes.Count(head, []byte{'\n'}) {
	case 0:
		return bytes.HasPrefix([]byte(tableMagic), head) || bytes.HasPrefix(head, []byte(tableMagic)) && len(head) < len(tableMagic)+21, nil
	case 1:
		_, names, _ := bytes.Cut(head, []byte{'\n'})
		_, full, _ := bytes.Cut(TableHeader(0, c.m, c.n), []byte{'\n'})
		return bytes.HasPrefix(full, names), nil
	}
	return false, nil
}

// bitmap is a set of rows.
type bitmap []uint64

func (b bitmap) has(i int) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitmap) set(i int)      { b[i/64] |= 1 << (i % 64) }

// lineWriter writes lines as they come, by whichever goroutine finds nobody
// writing; lines that come meanwhile go out in one write after it.
type lineWriter struct {
	w io.Writer

	mu            sync.Mutex
	room          sync.Cond // pending has room, or writing has failed
	pending, busy []byte
	writing       bool
	err           error
}

const maxPending = 1 << 16

func (w *lineWriter) write(line []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing && len(w.pending) > maxPending && w.err == nil {
		w.room.Wait()
	}
	w.pending = append(w.pending, line...)
	if w.writing {
		return w.err
	}
	w.writing = true
	for len(w.pending) > 0 && w.err == nil {
		w.pending, w.busy = w.busy[:0], w.pending
		w.mu.Unlock()
		_, err := w.w.Write(w.busy)
		w.mu.Lock()
		w.err = err
		w.room.Broadcast()
	}
	w.writing = false
	return w.err
}
