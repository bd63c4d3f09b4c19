package optim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"time"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/safetensors"
)

// The state of a run is a safetensors file: the flat vectors weights, m, v,
// last and, where they are in use, ema and best; scalars, the sum of losses
// and the best one; and curve, what was reported. Integers and text are JSON
// in the metadata.
const (
	checkpointFormat  = "inverse/optim"
	checkpointVersion = "1"
)

// header is what a state says of the run that it belongs to, and counters.
type header struct {
	Rows, ValidRows string // fingerprints
	Batch, Blocks   int
	Seed            uint64
	Step, Count     int
	BestAt, Stale   int
	Dropped         int
	Stopped         string
	Elapsed         time.Duration
}

// Save writes the state of the run.
func (t *Trainer[T]) Save(w io.Writer) error {
	st := &t.state
	h, err := json.Marshal(header{
		Rows: t.prints[0], ValidRows: t.prints[1], Batch: t.s.Batch, Blocks: t.s.Blocks,
		Seed: st.Seed, Step: st.Step, Count: st.Count, BestAt: st.BestAt, Stale: st.Stale,
		Dropped: st.Dropped, Stopped: st.Stopped, Elapsed: st.Elapsed,
	})
	if err != nil {
		return err
	}
	f := &safetensors.File{Metadata: map[string]string{"format": checkpointFormat, "version": checkpointVersion, "state": string(h)}}
	for _, v := range t.w.named() {
		if *v.values != nil {
			f.Tensors = append(f.Tensors, tensorOf(v.name, *v.values))
		}
	}
	f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "scalars", Shape: []int{2}, F64: []float64{st.Sum, st.Best}})
	curve := make([]float64, 0, len(st.Curve)*curveColumns)
	for _, p := range st.Curve {
		curve = append(curve, float64(p.Step), float64(p.Epoch), p.Train, p.Valid, p.Best, p.Rate, p.GradNorm, p.Elapsed.Seconds())
	}
	f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "curve", Shape: []int{len(st.Curve), curveColumns}, F64: curve})
	return safetensors.Write(w, f)
}

const curveColumns = 8

// Load restores a state that Save wrote in a run of the same model, data and
// batch size; the run continues from there. After an error the Trainer is
// unchanged.
func (t *Trainer[T]) Load(r io.Reader) error {
	f, err := safetensors.Read(r)
	if err != nil {
		return fmt.Errorf("optim: checkpoint: %w", err)
	}
	if err := t.load(f); err != nil {
		return fmt.Errorf("optim: checkpoint: %w", err)
	}
	return nil
}

func (t *Trainer[T]) load(f *safetensors.File) error {
	if got := f.Metadata["format"]; got != checkpointFormat {
		return fmt.Errorf("format is %q, want %q", got, checkpointFormat)
	}
	if got := f.Metadata["version"]; got != checkpointVersion {
		return fmt.Errorf("version is %q, want %q", got, checkpointVersion)
	}
	var h header
	d := json.NewDecoder(strings.NewReader(f.Metadata["state"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	switch {
	case h.Batch != t.s.Batch:
		return fmt.Errorf("the batch size was %d and is %d", h.Batch, t.s.Batch)
	case h.Blocks != t.s.Blocks:
		return fmt.Errorf("the number of blocks was %d and is %d", h.Blocks, t.s.Blocks)
	case h.Rows != t.prints[0]:
		return fmt.Errorf("the training rows are others (%s, then %s)", h.Rows, t.prints[0])
	case h.ValidRows != t.prints[1]:
		return fmt.Errorf("the validation rows are others (%s, then %s)", h.ValidRows, t.prints[1])
	case h.Step < 0 || h.Count < 0 || h.Stale < 0 || h.Dropped < 0 || h.Elapsed < 0:
		return fmt.Errorf("state: a negative counter in %+v", h)
	}
	w := t.w
	for _, v := range w.named() {
		if *v.values == nil {
			continue
		}
		*v.values = make([]T, len(t.result))
		if err := fill(*v.values, f.Tensor(v.name), v.name); err != nil {
			return err
		}
	}
	scalars := f.Tensor("scalars")
	if scalars == nil || len(scalars.F64) != 2 {
		return fmt.Errorf("no two scalars")
	}
	st := state{
		Seed: h.Seed, Step: h.Step, Count: h.Count, BestAt: h.BestAt, Stale: h.Stale,
		Dropped: h.Dropped, Stopped: h.Stopped, Elapsed: h.Elapsed,
		Sum: scalars.F64[0], Best: scalars.F64[1],
	}
	curve := f.Tensor("curve")
	if curve == nil || len(curve.F64)%curveColumns != 0 {
		return fmt.Errorf("no curve of %d columns", curveColumns)
	}
	for c := curve.F64; len(c) > 0; c = c[curveColumns:] {
		st.Curve = append(st.Curve, Progress{
			Step: int(c[0]), Epoch: int(c[1]), Train: c[2], Valid: c[3], Best: c[4],
			Rate: c[5], GradNorm: c[6], Elapsed: time.Duration(c[7] * float64(time.Second)),
		})
	}
	t.state, t.w = st, w
	return nil
}

// named returns the vectors with their names in a file.
func (w *vectors[T]) named() []namedVector[T] {
	return []namedVector[T]{
		{"weights", &w.weights}, {"m", &w.m}, {"v", &w.v},
		{"last", &w.last}, {"ema", &w.ema}, {"best", &w.best},
	}
}

type namedVector[T kernel.Float] struct {
	name   string
	values *[]T
}

func tensorOf[T kernel.Float](name string, v []T) safetensors.Tensor {
	s := safetensors.Tensor{Name: name, Shape: []int{len(v)}}
	switch v := any(v).(type) {
	case []float32:
		s.F32 = v
	case []float64:
		s.F64 = v
	}
	return s
}

// fill copies a tensor of the same type and length.
func fill[T kernel.Float](dst []T, s *safetensors.Tensor, name string) error {
	if s == nil {
		return fmt.Errorf("no tensor %q", name)
	}
	n := 0
	switch d := any(dst).(type) {
	case []float32:
		n = copy(d, s.F32)
	case []float64:
		n = copy(d, s.F64)
	}
	if n != len(dst) || s.Len() != n {
		return fmt.Errorf("tensor %q has %d float32 and %d float64 elements, want %d of type %T", name, len(s.F32), len(s.F64), len(dst), *new(T))
	}
	return nil
}

// fingerprint returns a hash of a list of rows.
func fingerprint(rows []int) string {
	h := fnv.New64a()
	var b [8]byte
	for _, r := range rows {
		binary.LittleEndian.PutUint64(b[:], uint64(r))
		h.Write(b[:])
	}
	return fmt.Sprintf("%d rows %016x", len(rows), h.Sum64())
}
