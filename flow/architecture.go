package flow

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// Architecture is a family of conditional densities that [Fit] can train:
// [MAF], [NSF], [Coupling], [MDN], [COT], [PCPMap], [Matching] or [Diffusion],
// or mass functions of bits, [MADE], or of counts, [Counts]. It is a struct of
// options; the zero value of each has the defaults.
type Architecture interface {
	// kind returns the name of the architecture in files.
	kind() string
	// resolve returns the architecture with its defaults in place of zero
	// values, for x of dx variables and contexts of dc, or an error that names
	// the option that is wrong.
	resolve(dx, dc int) (Architecture, error)
	// training returns the settings with which the architecture is trained
	// where FitOptions leaves them open.
	training() training
	// build32 and build64 add the network to p; p.Err tells if they failed.
	build32(p *nn.Params[float32], dx, dc int) network[float32]
	build64(p *nn.Params[float64], dx, dc int) network[float64]
}

// training are defaults of FitOptions.
type training struct {
	batch, validEvery, patience, drops int // validEvery is at least an epoch
	rate, clip, ema                    float64
}

// estimation are the defaults of density estimators in simulation-based
// inference, those of sbi.
var estimation = training{batch: 200, validEvery: 5, patience: 20, rate: 5e-4, clip: 5}

// network is a conditional density of standardised variables x given a
// context c, what the embedding makes of y. Matrices have a row for each
// draw; without a context c is the zero Var or nil.
//
// A network is immutable after prepare and safe for concurrent use: what
// changes is in the tape or the workspace.
type network[T kernel.Float] interface {
	// loss records the training loss of each row, a column. In validation
	// (b.Valid) it is what early stopping compares.
	loss(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var) autodiff.Var
	// prepare is called once the parameters are final, before invert and
	// generate.
	prepare(p *nn.Params[T])
	// invert sets z (rows×dx) to g⁻¹(x; c) and logDet to log |det ∂z/∂x|.
	invert(w *workspace[T], z, logDet, x, c []T)
	// generate replaces z (rows×dx) by g(z; c).
	generate(w *workspace[T], z, c []T)
}

// density is a network whose log q(x|c) can be recorded, as a column. If a
// network is no density, its value is that of the base density at z and logDet.
type density[T kernel.Float] interface {
	logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var
}

// drawer is a network with a faster way to draw than generate: it replaces
// standard normal draws in z by draws of q(x|c), with the help of rnd.
type drawer[T kernel.Float] interface {
	draw(w *workspace[T], z, c []T, rnd *rand.Rand)
}

// initializer is a network with initial values other than those that nn.Params
// drew. It is called before training, and not when a network is read from a file.
type initializer[T kernel.Float] interface {
	initialize(p *nn.Params[T])
}

// measurer is a network with constants that come from the rows of x for
// training. It is called like initialize.
type measurer[T kernel.Float] interface {
	measure(p *nn.Params[T], x *mat.Dense, rows []int)
}

// projector is a network whose weights are kept in a set of constraints: it is
// called with the flat vector after each step of training.
type projector[T kernel.Float] interface {
	project(weights []T)
}

// architectures has a decoder for each kind of architecture.
var architectures = map[string]func(options json.RawMessage) (Architecture, error){
	MAF{}.kind():       decodeAs[MAF],
	NSF{}.kind():       decodeAs[NSF],
	Coupling{}.kind():  decodeAs[Coupling],
	MDN{}.kind():       decodeAs[MDN],
	MADE{}.kind():      decodeAs[MADE],
	Counts{}.kind():    decodeAs[Counts],
	COT{}.kind():       decodeAs[COT],
	PCPMap{}.kind():    decodeAs[PCPMap],
	Matching{}.kind():  decodeAs[Matching],
	Diffusion{}.kind(): decodeAs[Diffusion],
}

func decodeAs[A Architecture](options json.RawMessage) (Architecture, error) {
	var a A
	if err := decodeStrict(options, &a); err != nil {
		return nil, fmt.Errorf("options of %s: %w", a.kind(), err)
	}
	return a, nil
}

func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// count sets *v to its default if it is 0.
func count(owner, name string, v *int, to, least int) error {
	if *v == 0 {
		*v = to
	}
	if *v < least || *v > maxSize {
		return fmt.Errorf("flow: %s: %s is %d, want %d to %d", owner, name, *v, least, maxSize)
	}
	return nil
}

// maxSize bounds the sizes of a network, so that no file can ask for more
// memory than there is.
const maxSize = 1 << 16

// widths sets *v to its default if it is empty.
func widths(owner, name string, v *[]int, to ...int) error {
	if len(*v) == 0 {
		*v = to
	}
	*v = slices.Clone(*v)
	for i, w := range *v {
		if w < 1 || w > maxSize {
			return fmt.Errorf("flow: %s: %s[%d] is %d, want 1 to %d", owner, name, i, w, maxSize)
		}
	}
	return nil
}
