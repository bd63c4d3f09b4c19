package nn

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/go-inverse/inverse/internal/safetensors"
)

// A saved model is a safetensors file whose metadata are
//
//	format   "inverse"
//	version  of this layout, "1"
//	kind     of model, "flow/maf" say
//	config   what else is needed to build it, as JSON
const (
	format  = "inverse"
	version = "1"
)

// Saved is a model in a file.
type Saved struct{ file *safetensors.File }

// Save writes the parameters and what is needed to build the model again: the
// kind of model, and a configuration that encoding/json can encode.
func (p *Params[T]) Save(w io.Writer, kind string, config any) error {
	if p.err != nil {
		return p.err
	}
	c, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("nn: saving the configuration: %w", err)
	}
	f := &safetensors.File{Metadata: map[string]string{"format": format, "version": version, "kind": kind, "config": string(c)}}
	for _, t := range p.tensors {
		s := safetensors.Tensor{Name: t.name, Shape: t.shape}
		switch v := any(p.Of(t.param)).(type) {
		case []float32:
			s.F32 = v
		case []float64:
			s.F64 = v
		}
		f.Tensors = append(f.Tensors, s)
	}
	return safetensors.Write(w, f)
}

// Open reads a saved model.
func Open(r io.Reader) (*Saved, error) {
	f, err := safetensors.Read(r)
	if err != nil {
		return nil, err
	}
	if got := f.Metadata["format"]; got != format {
		return nil, fmt.Errorf("nn: the file's format is %q, want %q", got, format)
	}
	if got := f.Metadata["version"]; got != version {
		return nil, fmt.Errorf("nn: the file has version %q, this program reads version %s", got, version)
	}
	return &Saved{f}, nil
}

// Kind returns the kind of model.
func (s *Saved) Kind() string { return s.file.Metadata["kind"] }

// Config decodes the configuration into v. Members that v does not have are
// an error.
func (s *Saved) Config(v any) error {
	if err := decodeStrict(s.file.Metadata["config"], v); err != nil {
		return fmt.Errorf("nn: configuration in the file: %w", err)
	}
	return nil
}

func decodeStrict(s string, v any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
