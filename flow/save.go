package flow

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"reflect"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/prior"
)

// config is what a file says of a flow besides its weights.
type config struct {
	X, Y             int // dimensions
	Unconstrained    int
	Float64          bool
	Options          json.RawMessage // of the architecture
	Embedding        string          // its kind, "" for none
	EmbeddingOptions json.RawMessage
	XScale, YScale   scaling
	Trend            *trend `json:",omitempty"`
	// Transform is the image of a test point under the target space's
	// transform, empty if there is none.
	Transform []float64
}

// kindPrefix begins the kind of model in a file.
const kindPrefix = "flow/"

// Save writes the flow as a safetensors file. The target space's transform is
// not in it: [Load] has to be given it again, and checks it.
func (f *Flow) Save(w io.Writer) error {
	c := config{X: f.dx, Y: f.dy, Unconstrained: f.du, Float64: f.float64s, XScale: f.xs, YScale: f.ys, Trend: f.trend}
	var err error
	if c.Options, err = json.Marshal(f.arch); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	if f.embedding != nil {
		c.Embedding = f.embedding.kind()
		if c.EmbeddingOptions, err = json.Marshal(f.embedding); err != nil {
			return fmt.Errorf("flow: %w", err)
		}
	}
	if f.transform != nil {
		c.Transform = signature(f.transform)
	}
	return f.net.save(w, kindPrefix+f.arch.kind(), c)
}

// LoadOptions are the options of [Load].
type LoadOptions struct {
	// Transform is the target space that the flow was trained with, nil if
	// there was none.
	Transform prior.Transform
}

// Load reads a flow that [Flow.Save] wrote. Options nil means the defaults.
// The error says what is wrong with the file, whatever is in it, or that the
// transform is not the one the flow was trained with.
func Load(r io.Reader, options *LoadOptions) (*Flow, error) {
	if options == nil {
		options = &LoadOptions{}
	}
	saved, err := nn.Open(r)
	if err != nil {
		return nil, fmt.Errorf("flow: Load: %w", err)
	}
	f, err := load(saved, options.Transform)
	if err != nil {
		return nil, fmt.Errorf("flow: Load: %w", err)
	}
	return f, nil
}

func load(saved *nn.Saved, transform prior.Transform) (*Flow, error) {
	kind, ok := strings.CutPrefix(saved.Kind(), kindPrefix)
	decode := architectures[kind]
	if !ok || decode == nil {
		return nil, fmt.Errorf("the file has a model of kind %q, not a flow", saved.Kind())
	}
	var c config
	if err := saved.Config(&c); err != nil {
		return nil, err
	}
	if c.X < 1 || c.X > maxSize || c.Y < 0 || c.Y > 1<<24 || c.Unconstrained < 1 || c.Unconstrained > maxSize {
		return nil, fmt.Errorf("dimensions %d, %d and %d", c.X, c.Y, c.Unconstrained)
	}
	f := &Flow{dx: c.X, dy: c.Y, du: c.Unconstrained, float64s: c.Float64, xs: c.XScale, ys: c.YScale, trend: c.Trend, transform: transform}
	if err := errors.Join(f.checkTransform(c.Transform), f.xs.check("x", f.du), f.ys.check("y", f.dy), f.trend.check(f.du, f.dy)); err != nil {
		return nil, err
	}
	f.logScale = f.xs.logDet() + f.trend.logDet()
	if c.Embedding != "" {
		decode := embeddings[c.Embedding]
		if decode == nil {
			return nil, fmt.Errorf("embedding of kind %q", c.Embedding)
		}
		var err error
		if f.embedding, err = decode(c.EmbeddingOptions); err != nil {
			return nil, err
		}
	}
	arch, err := decode(c.Options)
	if err != nil {
		return nil, err
	}
	if _, ok := arch.(discrete); ok && (f.transform != nil || f.trend != nil || !reflect.DeepEqual(f.xs, identity(f.du))) {
		return nil, fmt.Errorf("%s with a Transform, a trend or a scaling of x", kind)
	}
	if err := f.resolve(arch); err != nil {
		return nil, err
	}
	if c.Float64 {
		f.net, err = restore[float64](f, saved)
	} else {
		f.net, err = restore[float32](f, saved)
	}
	return f, err
}

func restore[T kernel.Float](f *Flow, saved *nn.Saved) (engine, error) {
	p := nn.Restore[T](saved)
	net, embed := build(f, p)
	if err := p.Close(); err != nil {
		return nil, err
	}
	return newEvaluator(p, net, embed, f.du, f.dy), nil
}

// checkTransform returns an error unless the flow's transform has the given
// signature.
func (f *Flow) checkTransform(want []float64) error {
	switch {
	case f.transform == nil && len(want) == 0:
		if f.dx != f.du {
			return fmt.Errorf("%d unconstrained variables of %d without a transform", f.du, f.dx)
		}
		return nil
	case f.transform == nil:
		return errors.New("the flow was trained with a Transform, which LoadOptions has not")
	case len(want) == 0:
		return errors.New("LoadOptions has a Transform, but the flow was trained without one")
	}
	if x, u := f.transform.Dims(); x != f.dx || u != f.du {
		return fmt.Errorf("LoadOptions.Transform has dimensions %d and %d, the flow's has %d and %d", x, u, f.dx, f.du)
	}
	got := signature(f.transform)
	for i, v := range want {
		if len(want) != len(got) || !(math.Abs(v-got[i]) <= 1e-9*math.Abs(v)) {
			return errors.New("LoadOptions.Transform is not the one the flow was trained with")
		}
	}
	return nil
}

// signature returns T(u) at a fixed u, which identifies a transform well
// enough to notice that another one is given.
func signature(t prior.Transform) []float64 {
	nx, nu := t.Dims()
	x, u := make([]float64, nx), make([]float64, nu)
	for i := range u {
		u[i] = 0.3 + 0.4*math.Sin(float64(i))
	}
	t.Constrain(x, u)
	return x
}

// header precedes the state of the optimiser in a checkpoint, on a line.
type header struct {
	Format string
	Seed   uint64
	Model  string // fingerprint
}

const checkpointFormat = "inverse/flow/1"

// fingerprint sets r.print, which tells trainings of other models or on other
// data apart.
func (r *run) fingerprint(x, y *mat.Dense) error {
	f := r.flow
	model, err := json.Marshal([]any{f.arch.kind(), f.arch, f.embedding, f.float64s, r.options.Regress})
	if err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	h := fnv.New64a()
	h.Write(model)
	if f.transform != nil {
		binary.Write(h, binary.LittleEndian, signature(f.transform))
	}
	for _, m := range []*mat.Dense{x, y} {
		if m == nil {
			continue
		}
		rows, _ := m.Dims()
		for i := range rows {
			binary.Write(h, binary.LittleEndian, m.RawRowView(i))
		}
	}
	r.print = fmt.Sprintf("%016x", h.Sum64())
	return nil
}

// checkpoint makes s write checkpoints with a header.
func (r *run) checkpoint(s *optim.Settings) {
	if r.options.Checkpoint == nil {
		return
	}
	s.Checkpoint = func(save func(w io.Writer) error) error {
		return r.options.Checkpoint(func(w io.Writer) error {
			if err := json.NewEncoder(w).Encode(header{checkpointFormat, r.seed, r.print}); err != nil {
				return err
			}
			return save(w)
		})
	}
}

// readHeader reads the header of the state to resume, takes its seed, and
// leaves the reader after it.
func (r *run) readHeader() error {
	in := bufio.NewReader(r.options.Resume)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return errors.New("flow: Resume is not a checkpoint of Fit: it has no header")
	}
	var h header
	if err := decodeStrict(line, &h); err != nil || h.Format != checkpointFormat {
		return fmt.Errorf("flow: Resume is not a checkpoint of Fit: its header is %.60q", line)
	}
	if h.Model != r.print {
		return errors.New("flow: Resume is the checkpoint of another model or of other data")
	}
	r.seed, r.options.Resume = h.Seed, in
	return nil
}
