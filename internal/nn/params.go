package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// Params are the parameters of a model: named tensors in a flat vector.
// Networks add theirs as they are built.
type Params[T kernel.Float] struct {
	Values  []T
	tensors []tensor
	names   map[string]bool
	src     rand.Source
	saved   *Saved // where values come from if not from src
	taken   int
	err     error
}

type tensor struct {
	name  string
	shape []int
	param autodiff.Param
}

// Init draws the initial elements of a tensor.
type Init func(dst []float64, r *rand.Rand)

// Uniform draws from U(-bound, bound).
func Uniform(bound float64) Init {
	return func(dst []float64, r *rand.Rand) {
		for i := range dst {
			dst[i] = bound * (2*r.Float64() - 1)
		}
	}
}

// FanIn is PyTorch's default for the weights and biases of a layer with n
// inputs, U(-1/√n, 1/√n).
func FanIn(n int) Init { return Uniform(1 / math.Sqrt(float64(max(n, 1)))) }

// Xavier is U(-b, b) with b = √(6/(in + out)) (Glorot and Bengio 2010).
func Xavier(in, out int) Init { return Uniform(math.Sqrt(6 / float64(in+out))) }

// Constant sets all elements to x.
func Constant(x float64) Init {
	return func(dst []float64, _ *rand.Rand) {
		for i := range dst {
			dst[i] = x
		}
	}
}

// NewParams returns an empty set whose tensors are drawn from src; nil means
// a freshly seeded source.
func NewParams[T kernel.Float](src rand.Source) *Params[T] {
	return &Params[T]{src: rng.Or(src), names: make(map[string]bool)}
}

// Restore returns an empty set whose tensors are taken from a file. Close
// checks at the end that all of them were.
func Restore[T kernel.Float](s *Saved) *Params[T] {
	return &Params[T]{saved: s, names: make(map[string]bool)}
}

// Err returns the first error of the networks that were built: a name that is
// taken, an impossible size, or, from a file, a tensor that is missing or has
// another shape. A network built after an error must not be used.
func (p *Params[T]) Err() error { return p.err }

// Fail records an error for Err, unless there is one already.
func (p *Params[T]) Fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Close returns Err, or an error if the file has tensors that no network asked
// for.
func (p *Params[T]) Close() error {
	if p.err == nil && p.saved != nil && p.taken < len(p.saved.file.Tensors) {
		for _, t := range p.saved.file.Tensors {
			if !p.names[t.Name] {
				p.Fail(fmt.Errorf("nn: tensor %q in the file does not belong to the model", t.Name))
			}
		}
	}
	return p.err
}

// Add adds a rows×cols matrix. Its shape in a file is shape, or rows×cols if
// none is given.
func (p *Params[T]) Add(name string, rows, cols int, init Init, shape ...int) autodiff.Param {
	if len(shape) == 0 {
		shape = []int{rows, cols}
	}
	switch {
	case p.err != nil:
		return autodiff.Param{}
	case p.names[name]:
		p.Fail(fmt.Errorf("nn: two tensors named %q", name))
		return autodiff.Param{}
	case rows <= 0 || cols <= 0 || rows > math.MaxInt32/cols:
		p.Fail(fmt.Errorf("nn: tensor %q of %d×%d elements", name, rows, cols))
		return autodiff.Param{}
	}
	a := autodiff.Param{ID: len(p.tensors), Offset: len(p.Values), Rows: rows, Cols: cols}
	if p.saved != nil {
		if err := p.take(name, shape); err != nil {
			p.Fail(err)
			return autodiff.Param{}
		}
	} else {
		v := make([]float64, a.Len())
		init(v, rand.New(p.src))
		for _, x := range v {
			p.Values = append(p.Values, T(x))
		}
	}
	p.names[name] = true
	p.tensors = append(p.tensors, tensor{name, shape, a})
	return a
}

// take appends the elements of a tensor of the file.
func (p *Params[T]) take(name string, shape []int) error {
	t := p.saved.file.Tensor(name)
	if t == nil {
		return fmt.Errorf("nn: the file has no tensor %q", name)
	}
	if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
		return fmt.Errorf("nn: tensor %q in the file has shape %v, the model's is %v", name, t.Shape, shape)
	}
	for i := range t.Len() {
		var v T
		if t.F64 != nil {
			v = T(t.F64[i])
		} else {
			v = T(t.F32[i])
		}
		if !(math.Abs(float64(v)) <= math.MaxFloat64) {
			return fmt.Errorf("nn: element %d of tensor %q is %v", i, name, v)
		}
		p.Values = append(p.Values, v)
	}
	p.taken++
	return nil
}

// Named returns the elements of the tensor of the given name, a part of
// Values, and its parameter; nil if there is none.
func (p *Params[T]) Named(name string) ([]T, autodiff.Param) {
	for _, t := range p.tensors {
		if t.name == name {
			return p.Of(t.param), t.param
		}
	}
	return nil, autodiff.Param{}
}

// Of returns the elements of a parameter, a part of Values.
func (p *Params[T]) Of(a autodiff.Param) []T {
	return p.Values[a.Offset : a.Offset+a.Len()]
}

// Len returns the number of parameters.
func (p *Params[T]) Len() int { return len(p.Values) }

// errInvalid is the error of a network's constructor.
func errInvalid(network, format string, args ...any) error {
	return errors.New("nn: " + network + ": " + fmt.Sprintf(format, args...))
}
