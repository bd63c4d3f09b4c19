package likelihood

import (
	"errors"

	"github.com/go-inverse/inverse"
)

// NewResidual returns the likelihood of a soft constraint r(x) = 0, where the
// operator r is a residual, of a differential equation say or of a balance:
//
//	exp(-‖r(x)‖²/(2 sigma²)).
//
// It is one more likelihood beside that of the data. As sigma falls, the
// posterior comes to obey the constraint, and becomes harder to sample; a linear
// constraint can be imposed exactly, see posterior.Constrain.
func NewResidual(r inverse.Operator, sigma float64) (*Gaussian, error) {
	if r == nil {
		return nil, errors.New("likelihood: the residual is nil")
	}
	m, _ := r.Dims()
	return NewGaussian(r, make([]float64, max(m, 0)), sigma)
}
