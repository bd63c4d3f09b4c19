// Package safetensors reads and writes named arrays of floating-point numbers
// in the safetensors format, which Python's library of that name shares
// (https://huggingface.co/docs/safetensors):
//
//	8 bytes             length n of the header, little endian
//	n bytes             JSON: {"name": {"dtype": "F32", "shape": [2, 3],
//	                    "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
//	the rest            the elements, little endian, in row-major order
//
//	f := &safetensors.File{Metadata: map[string]string{"version": "1"}}
//	f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "w", Shape: []int{2, 3}, F32: w})
//	err := safetensors.Write(out, f)
//
// Read trusts nothing: whatever the bytes, it returns an error or a file that
// is consistent, and it allocates in proportion to the bytes it was given.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// File is the contents of a safetensors file.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor // in the order of their data
}

// Tensor is a named array. Of F32 and F64 one has the elements; a Tensor
// without elements is taken as F32 if both are nil.
type Tensor struct {
	Name  string
	Shape []int // empty for a number
	F32   []float32
	F64   []float64
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return len(t.F32) + len(t.F64) }

// Tensor returns the tensor of the given name, or nil.
func (f *File) Tensor(name string) *Tensor {
	for i := range f.Tensors {
		if f.Tensors[i].Name == name {
			return &f.Tensors[i]
		}
	}
	return nil
}

const (
	metadataKey = "__metadata__"
	maxHeader   = 100_000_000 // the limit of the format's other readers
)

// entry is what the header says of a tensor.
type entry struct {
	DType   string    `json:"dtype"`
	Shape   []int64   `json:"shape"`
	Offsets *[2]int64 `json:"data_offsets"`
}

// Write writes f to w. Names must be distinct and shapes fit the elements.
func Write(w io.Writer, f *File) error {
	var header bytes.Buffer
	header.WriteByte('{')
	put := func(key string, v any) error {
		k, err := json.Marshal(key)
		if err != nil {
			return err
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if header.Len() > 1 {
			header.WriteByte(',')
		}
		header.Write(k)
		header.WriteByte(':')
		header.Write(b)
		return nil
	}
	if len(f.Metadata) > 0 {
		if err := put(metadataKey, f.Metadata); err != nil {
			return fmt.Errorf("safetensors: metadata: %w", err)
		}
	}
	seen := make(map[string]bool)
	at := int64(0)
	for _, t := range f.Tensors {
		if !utf8.ValidString(t.Name) {
			return fmt.Errorf("safetensors: tensor name %q is not UTF-8", t.Name)
		}
		if seen[t.Name] || t.Name == metadataKey {
			return fmt.Errorf("safetensors: tensor name %q is taken", t.Name)
		}
		seen[t.Name] = true
		e := entry{DType: "F32", Shape: []int64{}, Offsets: &[2]int64{at, at}}
		size := int64(4)
		if t.F64 != nil {
			e.DType, size = "F64", 8
		}
		n := int64(1)
		for _, d := range t.Shape {
			e.Shape = append(e.Shape, int64(d))
			n *= int64(d)
		}
		if t.F32 != nil && t.F64 != nil || n != int64(t.Len()) {
			return fmt.Errorf("safetensors: tensor %q has shape %v and %d elements", t.Name, t.Shape, t.Len())
		}
		at += n * size
		e.Offsets[1] = at
		if err := put(t.Name, e); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, err)
		}
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 { // the data begin on a multiple of 8
		header.WriteByte(' ')
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(header.Len())); err != nil {
		return err
	}
	if _, err := w.Write(header.Bytes()); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<16)
	for _, t := range f.Tensors {
		for c := range slices.Chunk(t.F32, cap(buf)/4) {
			buf = buf[:0]
			for _, v := range c {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		for c := range slices.Chunk(t.F64, cap(buf)/8) {
			buf = buf[:0]
			for _, v := range c {
				buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// Read reads a file. It reads r to the end of the file's data and checks that
// nothing follows.
func Read(r io.Reader) (*File, error) {
	f, err := read(r)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	return f, nil
}

func read(r io.Reader) (*File, error) {
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("length of the header: %w", noEOF(err))
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return nil, fmt.Errorf("header of %d bytes, at most %d are allowed", n, maxHeader)
	}
	header, err := readN(r, int64(n))
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	f, ends, err := parse(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	at := int64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		data, err := readN(r, ends[i]-at)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		at = ends[i]
		if t.F64 != nil {
			t.F64 = make([]float64, len(data)/8)
			for j := range t.F64 {
				t.F64[j] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*j:]))
			}
			continue
		}
		t.F32 = make([]float32, len(data)/4)
		for j := range t.F32 {
			t.F32[j] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*j:]))
		}
	}
	if k, err := io.CopyN(io.Discard, r, 1); k > 0 || err != io.EOF {
		if k == 0 {
			return nil, err
		}
		return nil, errors.New("bytes after the last tensor")
	}
	return f, nil
}

// readN reads n bytes; memory grows with what has been read, not with n.
func readN(r io.Reader, n int64) ([]byte, error) {
	var b bytes.Buffer
	if n < 1<<20 {
		b.Grow(int(n))
	}
	if k, err := io.CopyN(&b, r, n); err != nil {
		return nil, fmt.Errorf("%w after %d of %d bytes", noEOF(err), k, n)
	}
	return b.Bytes(), nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse returns the file without its elements, in the order of the data, and
// where the data of each tensor end. An empty F64 marks the tensors of that
// type.
func parse(header []byte) (*File, []int64, error) {
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, errors.New("does not begin with {")
	}
	f := &File{}
	type span struct {
		Tensor
		from, to int64
	}
	var spans []span
	seen := make(map[string]bool)
	err := object(header, func(name string, value json.RawMessage) error {
		if seen[name] {
			return fmt.Errorf("%q appears twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			f.Metadata = make(map[string]string)
			return object(value, func(key string, value json.RawMessage) error {
				if _, ok := f.Metadata[key]; ok {
					return fmt.Errorf("metadata: %q appears twice", key)
				}
				var s *string
				if err := json.Unmarshal(value, &s); err != nil || s == nil {
					return fmt.Errorf("metadata: %q is not a string", key)
				}
				f.Metadata[key] = *s
				return nil
			})
		}
		var e entry
		d := json.NewDecoder(bytes.NewReader(value))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		s := span{Tensor: Tensor{Name: name}}
		size := int64(4)
		switch e.DType {
		case "F32":
		case "F64":
			s.F64, size = []float64{}, 8
		default:
			return fmt.Errorf("tensor %q: element type %q, want F32 or F64", name, e.DType)
		}
		n := size
		for _, d := range e.Shape {
			if d < 0 || d > math.MaxInt32 || n > math.MaxInt64/max(d, 1) {
				return fmt.Errorf("tensor %q: shape %v", name, e.Shape)
			}
			n *= d
			s.Shape = append(s.Shape, int(d))
		}
		if e.Shape == nil || e.Offsets == nil {
			return fmt.Errorf("tensor %q: no shape or no data_offsets", name)
		}
		s.from, s.to = e.Offsets[0], e.Offsets[1]
		if s.from < 0 || s.to < s.from || s.to-s.from != n {
			return fmt.Errorf("tensor %q: shape %v of %s has %d bytes, data_offsets are %v", name, e.Shape, e.DType, n, *e.Offsets)
		}
		spans = append(spans, s)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.from != b.from {
			return cmp.Compare(a.from, b.from)
		}
		return cmp.Compare(a.to, b.to)
	})
	var ends []int64
	at := int64(0)
	for _, s := range spans {
		if s.from != at {
			return nil, nil, fmt.Errorf("tensor %q: data begin at %d, those before end at %d", s.Name, s.from, at)
		}
		at = s.to
		f.Tensors = append(f.Tensors, s.Tensor)
		ends = append(ends, at)
	}
	return f, ends, nil
}

// object calls f for the members of a JSON object in their order, so that
// repeated names, which encoding/json would merge, can be seen.
func object(b []byte, f func(key string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(key.(string), value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return noEOF(err)
	}
	if rest := strings.Trim(string(b[d.InputOffset():]), " \t\r\n"); rest != "" {
		return errors.New("text after the JSON object")
	}
	return nil
}
