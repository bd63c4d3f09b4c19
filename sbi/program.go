package sbi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Program is a simulator that is another program, in any language. Each worker
// process reads requests from its standard input and answers on its standard
// output, one line of JSON each:
//
//	{"theta":[0.25,-1.5],"seed":6148914691236517}
//	{"y":[3.75,0.5,null]}
//
// The seed is a whole number below 2⁵³ for the program's own generator; with it
// a simulation can be repeated. A null in y, or a bare NaN as Python writes it,
// is NaN. {"error":"did not converge"} in place of y is a failure.
//
// In Python such a program is
//
//	import sys, json, numpy as np
//	for line in sys.stdin:
//	    r = json.loads(line)
//	    rng = np.random.default_rng(r["seed"])
//	    y = simulate(r["theta"], rng)
//	    print(json.dumps({"y": list(y)}), flush=True)
//
// Processes are started as they are needed, one for each simulation that runs
// at a time, and kept until [Program.Close]. One that fails to answer, dies,
// or is still busy when its context ends, as with SimulateOptions.Timeout, is
// killed and replaced. The error quotes the end of its standard error.
type Program struct {
	m, n int
	argv []string
	opt  ProgramOptions

	mu     sync.Mutex
	idle   []*process
	closed bool
}

var _ Simulator = (*Program)(nil)

// ProgramOptions are the options of [NewProgram]. A nil pointer means the
// defaults.
type ProgramOptions struct {
	Dir string   // working directory; "" is that of the calling process
	Env []string // environment; nil is that of the calling process
}

// NewProgram returns the simulator of m data and n parameters that runs argv[0]
// with the arguments argv[1:]. It returns an error if there is no such program.
func NewProgram(m, n int, argv []string, opt *ProgramOptions) (*Program, error) {
	if m < 1 || n < 1 {
		return nil, fmt.Errorf("sbi: a program of %d data and %d parameters, want at least 1", m, n)
	}
	if len(argv) == 0 {
		return nil, errors.New("sbi: argv is empty")
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("sbi: program: %w", err)
	}
	p := &Program{m: m, n: n, argv: slices.Clone(argv)}
	if opt != nil {
		p.opt = *opt
	}
	return p, nil
}

// Dims returns the number m of data and the number n of parameters.
func (p *Program) Dims() (m, n int) { return p.m, p.n }

// Close ends the processes. Simulations that still run end theirs.
func (p *Program) Close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, w := range idle {
		w.kill()
	}
	return nil
}

// Simulate sends one request and waits for the answer.
func (p *Program) Simulate(ctx context.Context, y, theta []float64, src rand.Source) error {
	w, err := p.take()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, w.kill)
	err = w.ask(y, theta, src.Uint64()>>11)
	if !stop() {
		w.kill()
		return ctx.Err()
	}
	var failure programError
	if err != nil && !errors.As(err, &failure) {
		w.kill()
		return fmt.Errorf("sbi: program %s: %w%s", p.argv[0], err, w.stderr.quote())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		w.kill()
	} else {
		p.idle = append(p.idle, w)
	}
	return err
}

func (p *Program) take() (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.New("sbi: the program is closed")
	}
	if k := len(p.idle); k > 0 {
		w := p.idle[k-1]
		p.idle = p.idle[:k-1]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	return p.start()
}

func (p *Program) start() (*process, error) {
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env = p.opt.Dir, p.opt.Env
	cmd.WaitDelay = time.Second // for what it has started itself
	w := &process{cmd: cmd}
	cmd.Stderr = &w.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("sbi: program: %w", err)
	}
	w.in, w.out = in, bufio.NewReader(out)
	return w, nil
}

// process is one running program.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr tail
	once   sync.Once
}

// kill ends the process and waits for it. It may be called more than once and
// while ask is waiting.
func (w *process) kill() {
	w.once.Do(func() {
		w.in.Close()
		w.cmd.Process.Kill()
		w.cmd.Wait()
	})
}

type request struct {
	Theta []float64 `json:"theta"`
	Seed  uint64    `json:"seed"`
}

type answer struct {
	Y     []*float64 `json:"y"`
	Error string     `json:"error"`
}

// programError is a failure that the program reported itself.
type programError string

func (e programError) Error() string { return "sbi: program: " + string(e) }

func (w *process) ask(y, theta []float64, seed uint64) error {
	line, err := json.Marshal(request{theta, seed})
	if err != nil {
		return err
	}
	if _, err := w.in.Write(append(line, '\n')); err != nil {
		return err
	}
	line, err = w.out.ReadBytes('\n')
	if err != nil {
		if err == io.EOF {
			err = errors.New("ended without an answer")
		}
		return err
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		// Python writes numbers that JSON does not have.
		line = bytes.ReplaceAll(line, []byte("-Infinity"), []byte("null"))
		line = bytes.ReplaceAll(line, []byte("Infinity"), []byte("null"))
		line = bytes.ReplaceAll(line, []byte("NaN"), []byte("null"))
		a = answer{}
		if json.Unmarshal(line, &a) != nil {
			return fmt.Errorf("answer %q: %w", clip(line), err)
		}
	}
	if a.Error != "" {
		return programError(a.Error)
	}
	if len(a.Y) != len(y) {
		return fmt.Errorf("the answer has %d data, want %d", len(a.Y), len(y))
	}
	for j, v := range a.Y {
		if y[j] = math.NaN(); v != nil {
			y[j] = *v
		}
	}
	return nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - 1000; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return ""
	}
	return fmt.Sprintf("; its standard error ends in %q", t.buf)
}
