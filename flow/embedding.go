package flow

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// Embedding is a network that makes the context of a flow from y: [MLP],
// [Set] or [Conv]. It is trained together with the flow.
type Embedding interface {
	// kind returns the name of the embedding in files.
	kind() string
	// resolve returns the embedding with its defaults for y of dy columns.
	resolve(dy int) (Embedding, error)
	// dims returns the number of features and the period of the columns of y
	// with which their meaning repeats: columns of equal meaning are
	// standardised together.
	dims(dy int) (features, period int)
	build32(p *nn.Params[float32], dy int) encoder[float32]
	build64(p *nn.Params[float64], dy int) encoder[float64]
}

// encoder maps the rows of y to contexts.
type encoder[T kernel.Float] interface {
	encode(t *autodiff.Tape[T], y autodiff.Var) autodiff.Var
}

var embeddings = map[string]func(options json.RawMessage) (Embedding, error){
	MLP{}.kind():  embeddingAs[MLP],
	Set{}.kind():  embeddingAs[Set],
	Conv{}.kind(): embeddingAs[Conv],
}

func embeddingAs[E Embedding](options json.RawMessage) (Embedding, error) {
	var e E
	if err := decodeStrict(options, &e); err != nil {
		return nil, fmt.Errorf("options of %s: %w", e.kind(), err)
	}
	return e, nil
}

// MLP is a perceptron with ReLU activations.
type MLP struct {
	Features int   // of the context, 20 if 0
	Hidden   []int // widths of the hidden layers, {64, 64} if empty
}

var _ Embedding = MLP{}

func (MLP) kind() string { return "mlp" }

func (e MLP) resolve(dy int) (Embedding, error) {
	return e, errors.Join(
		count("MLP", "Features", &e.Features, 20, 1),
		widths("MLP", "Hidden", &e.Hidden, 64, 64),
	)
}

func (e MLP) dims(dy int) (features, period int) { return e.Features, dy }

func (e MLP) build32(p *nn.Params[float32], dy int) encoder[float32] { return buildMLP(p, e, dy) }
func (e MLP) build64(p *nn.Params[float64], dy int) encoder[float64] { return buildMLP(p, e, dy) }

func buildMLP[T kernel.Float](p *nn.Params[T], e MLP, dy int) encoder[T] {
	return mlp[T]{nn.NewMLP(p, "embedding", dy, e.Features, &nn.MLPOptions{Hidden: e.Hidden, Act: kernel.ReLU})}
}

type mlp[T kernel.Float] struct{ net *nn.MLP[T] }

func (m mlp[T]) encode(t *autodiff.Tape[T], y autodiff.Var) autodiff.Var { return m.net.Forward(t, y) }

// Set is an embedding of repeated observations whose order does not matter: y
// holds them one after the other, and the context is ρ(mean φ(observation))
// with perceptrons φ and ρ (Zaheer et al. 2017). All rows of y have the same
// number of observations, but a trained flow takes only that number.
type Set struct {
	Size     int   // numbers in one observation, 1 if 0
	Features int   // of the context and of φ, 20 if 0
	Hidden   []int // widths of the hidden layers of both, {64, 64} if empty
}

var _ Embedding = Set{}

func (Set) kind() string { return "set" }

func (e Set) resolve(dy int) (Embedding, error) {
	if err := errors.Join(
		count("Set", "Size", &e.Size, 1, 1),
		count("Set", "Features", &e.Features, 20, 1),
		widths("Set", "Hidden", &e.Hidden, 64, 64),
	); err != nil {
		return nil, err
	}
	if dy%e.Size != 0 {
		return nil, fmt.Errorf("flow: Set: y has %d columns, want a multiple of Size, %d", dy, e.Size)
	}
	return e, nil
}

func (e Set) dims(int) (features, period int) { return e.Features, e.Size }

func (e Set) build32(p *nn.Params[float32], dy int) encoder[float32] { return buildSet(p, e, dy) }
func (e Set) build64(p *nn.Params[float64], dy int) encoder[float64] { return buildSet(p, e, dy) }

func buildSet[T kernel.Float](p *nn.Params[T], e Set, dy int) encoder[T] {
	net := nn.NewSetEncoder(p, "embedding", e.Size, e.Features, e.Features, &nn.MLPOptions{Hidden: e.Hidden, Act: kernel.ReLU})
	return set[T]{net, e.Size, dy / e.Size}
}

type set[T kernel.Float] struct {
	net         *nn.SetEncoder[T]
	size, count int
}

func (s set[T]) encode(t *autodiff.Tape[T], y autodiff.Var) autodiff.Var {
	r, _ := t.Dims(y)
	return s.net.Forward(t, t.Reshape(y, r*s.count, s.size), s.count, 0)
}

// Conv is an embedding of images, or of sequences as images of height 1:
// convolutions of stride 2 with ReLU, and a linear map. A row of y is an image
// row by row, the channels of a pixel side by side.
type Conv struct {
	Height   int   // 1 if 0
	Width    int   // if 0, what the columns of y leave
	Channels int   // of the image, 1 if 0
	Layers   []int // channels of the layers, {16, 32} if empty
	Kernel   int   // side of the kernels, odd, 3 if 0
	Features int   // of the context, 20 if 0
}

var _ Embedding = Conv{}

func (Conv) kind() string { return "conv" }

func (e Conv) resolve(dy int) (Embedding, error) {
	if err := errors.Join(
		count("Conv", "Height", &e.Height, 1, 1),
		count("Conv", "Channels", &e.Channels, 1, 1),
		count("Conv", "Width", &e.Width, max(1, dy/(e.Height*e.Channels)), 1),
		count("Conv", "Kernel", &e.Kernel, 3, 1),
		count("Conv", "Features", &e.Features, 20, 1),
		widths("Conv", "Layers", &e.Layers, 16, 32),
	); err != nil {
		return nil, err
	}
	if e.Height*e.Width*e.Channels != dy {
		return nil, fmt.Errorf("flow: Conv: y has %d columns, want Height Width Channels = %d %d %d", dy, e.Height, e.Width, e.Channels)
	}
	if e.Kernel%2 == 0 {
		return nil, fmt.Errorf("flow: Conv: Kernel is %d, want it odd", e.Kernel)
	}
	return e, nil
}

func (e Conv) dims(int) (features, period int) { return e.Features, e.Channels }

func (e Conv) build32(p *nn.Params[float32], dy int) encoder[float32] { return buildConv(p, e) }
func (e Conv) build64(p *nn.Params[float64], dy int) encoder[float64] { return buildConv(p, e) }

func buildConv[T kernel.Float](p *nn.Params[T], e Conv) encoder[T] {
	return conv[T]{nn.NewConvNet(p, "embedding", e.Height, e.Width, e.Channels, e.Features,
		&nn.ConvNetOptions{Channels: e.Layers, Kernel: e.Kernel, Act: kernel.ReLU})}
}

type conv[T kernel.Float] struct{ net *nn.ConvNet[T] }

func (c conv[T]) encode(t *autodiff.Tape[T], y autodiff.Var) autodiff.Var {
	return c.net.Forward(t, y)
}
