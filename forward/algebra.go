package forward

import (
	"fmt"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

func checkOperators(name string, ops ...inverse.Operator) error {
	if len(ops) == 0 {
		return fmt.Errorf("forward: %s of no operators", name)
	}
	for i, op := range ops {
		if op == nil {
			return fmt.Errorf("forward: %s: operator %d is nil", name, i)
		}
	}
	return nil
}

// An expression has all methods that an operator made of others can have.
// Which of them work depends on the others.
type expression interface {
	inverse.Linear
	inverse.Linearizer
}

// withCapabilities hides the methods of e that do not follow from its parts.
func withCapabilities(e expression, parts ...inverse.Operator) inverse.Operator {
	linear, differentiable := true, true
	for _, p := range parts {
		if _, ok := p.(inverse.Linear); !ok {
			linear = false
		}
		if _, err := Linearize(p); err != nil {
			differentiable = false
		}
	}
	switch {
	case linear:
		return onlyLinear{e}
	case differentiable:
		return onlyLinearizer{e}
	}
	return onlyOperator{e}
}

type (
	onlyLinear     struct{ inverse.Linear }
	onlyLinearizer struct{ inverse.Linearizer }
	onlyOperator   struct{ inverse.Operator }
)

// scratch is a pool of matrices.
type scratch struct{ pool sync.Pool }

// get returns an r×c matrix of unspecified values.
func (s *scratch) get(r, c int) *mat.Dense {
	m, ok := s.pool.Get().(*mat.Dense)
	if !ok {
		m = new(mat.Dense)
	}
	reshape(m, r, c)
	return m
}

func (s *scratch) put(m *mat.Dense) { s.pool.Put(m) }

// reshape makes m r×c, in the memory it has if that is enough.
func reshape(m *mat.Dense, r, c int) {
	if mr, mc := m.Dims(); mr != r || mc != c {
		m.Reset()
		m.ReuseAs(r, c)
	}
}

// mustLinearize linearizes a part whose derivative withCapabilities found.
func mustLinearize(op inverse.Operator) inverse.Linearization {
	lin, err := Linearize(op)
	if err != nil {
		panic(err)
	}
	return lin
}
