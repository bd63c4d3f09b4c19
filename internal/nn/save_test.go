package nn

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/safetensors"
)

type config struct{ In, Out int }

func build[T kernel.Float](p *Params[T], c config) *MLP[T] {
	return NewMLP(p, "net", c.In, c.Out, &MLPOptions{Hidden: []int{4}})
}

func saved(t *testing.T) []byte {
	p := NewParams[float32](rng.New(1, 0))
	build(p, config{3, 2})
	var b bytes.Buffer
	if err := p.Save(&b, "mlp", config{3, 2}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSaveAndRestore(t *testing.T) {
	want := NewParams[float32](rng.New(1, 0))
	build(want, config{3, 2})
	s, err := Open(bytes.NewReader(saved(t)))
	if err != nil {
		t.Fatal(err)
	}
	var c config
	if err := s.Config(&c); err != nil || s.Kind() != "mlp" {
		t.Fatalf("kind %q, %v", s.Kind(), err)
	}
	p := Restore[float32](s)
	build(p, c)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Values, want.Values) {
		t.Error("other values")
	}
	q := Restore[float64](s) // another precision
	build(q, c)
	if err := q.Close(); err != nil || q.Values[5] != float64(p.Values[5]) {
		t.Errorf("in float64: %v", err)
	}
}

func TestRestoreErrors(t *testing.T) {
	change := func(f func(*safetensors.File)) []byte {
		file, err := safetensors.Read(bytes.NewReader(saved(t)))
		if err != nil {
			t.Fatal(err)
		}
		f(file)
		var b bytes.Buffer
		if err := safetensors.Write(&b, file); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for want, file := range map[string][]byte{
		`format is ""`:  change(func(f *safetensors.File) { f.Metadata = nil }),
		`version "2"`:   change(func(f *safetensors.File) { f.Metadata["version"] = "2" }),
		"unknown field": change(func(f *safetensors.File) { f.Metadata["config"] = `{"In":3,"Depth":2}` }),
		"configuration": change(func(f *safetensors.File) { f.Metadata["config"] = `{` }),
		"has shape [4 3], the model's is [4 1000000]": change(func(f *safetensors.File) { f.Metadata["config"] = `{"In":1000000,"Out":2}` }),
		`no tensor "net.1.bias"`:                      change(func(f *safetensors.File) { f.Tensors = f.Tensors[:3] }),
		`"more" in the file does not belong`: change(func(f *safetensors.File) {
			f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "more", F32: []float32{1}})
		}),
		`element 2 of tensor "net.0.weight" is NaN`: change(func(f *safetensors.File) { f.Tensors[0].F32[2] = float32(math.NaN()) }),
		"unexpected EOF": saved(t)[:300],
	} {
		err := func() error {
			s, err := Open(bytes.NewReader(file))
			if err != nil {
				return err
			}
			var c config
			if err := s.Config(&c); err != nil {
				return err
			}
			p := Restore[float32](s)
			build(p, c)
			return p.Close()
		}()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestConstructorErrors(t *testing.T) {
	for want, f := range map[string]func(p *Params[float32]){
		`two tensors named "a.weight"`: func(p *Params[float32]) {
			NewLinear(p, "a", 2, 2, 0)
			NewLinear(p, "a", 2, 2, 0)
		},
		"0×2 elements":                       func(p *Params[float32]) { NewLinear(p, "a", 2, 0, 0) },
		"images of 6×7 cannot be halved 1":   func(p *Params[float32]) { NewUNet(p, "u", &UNetOptions{H: 6, W: 7, In: 1}) },
		"12 channels in 8 groups":            func(p *Params[float32]) { NewUNet(p, "u", &UNetOptions{H: 8, W: 8, In: 1, Width: 12}) },
		"layer 1 is 3 wide and layer 0 is 2": func(p *Params[float32]) { NewMADE(p, "m", 2, &MADEOptions{Hidden: []int{2, 3}, Residual: true}) },
	} {
		p := NewParams[float32](rng.New(1, 0))
		f(p)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
