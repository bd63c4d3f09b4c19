package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func example() *File {
	return &File{
		Metadata: map[string]string{"version": "1", "note": "größer"},
		Tensors: []Tensor{
			{Name: "w", Shape: []int{2, 3}, F32: []float32{1, -2, 3.5, 0, float32(math.Inf(1)), 1e-40}},
			{Name: "scale", F64: []float64{math.Pi}},
			{Name: `quoted "name"`, Shape: []int{0, 4}, F32: []float32{}},
			{Name: "v", Shape: []int{3}, F64: []float64{1, 2, 1e-310}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, example()); err != nil {
		t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint64(b.Bytes()); n%8 != 0 {
		t.Errorf("the data begin at %d", 8+n)
	}
	f, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if want := example(); !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
}

// python.safetensors was written by safetensors 0.8.0 for Python:
//
//	save_file({"net.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3)/4,
//	           "net.0.bias": np.array([-1.5, 1e-40], np.float32),
//	           "scale": np.array(2.5), "empty": np.zeros((0, 4), np.float32),
//	           "double": np.arange(3)/3}, path, metadata={"format": "np", "note": "größer"})
func TestReadsPython(t *testing.T) {
	r, err := os.Open("testdata/python.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"format": "np", "note": "größer"}; !reflect.DeepEqual(f.Metadata, want) {
		t.Errorf("metadata %v", f.Metadata)
	}
	for _, want := range []Tensor{
		{Name: "net.0.weight", Shape: []int{2, 3}, F32: []float32{0, 0.25, 0.5, 0.75, 1, 1.25}},
		{Name: "net.0.bias", Shape: []int{2}, F32: []float32{-1.5, 1e-40}},
		{Name: "scale", F64: []float64{2.5}},
		{Name: "empty", Shape: []int{0, 4}, F32: []float32{}},
		{Name: "double", Shape: []int{3}, F64: []float64{0, 1. / 3, 2. / 3}},
	} {
		if got := f.Tensor(want.Name); !reflect.DeepEqual(got, &want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if len(f.Tensors) != 5 {
		t.Errorf("%d tensors", len(f.Tensors))
	}
}

func TestWriteErrors(t *testing.T) {
	for want, f := range map[string]*File{
		`"a" is taken`:            {Tensors: []Tensor{{Name: "a", F32: []float32{1}}, {Name: "a", F32: []float32{1}}}},
		`"__metadata__" is taken`: {Tensors: []Tensor{{Name: "__metadata__", F32: []float32{1}}}},
		"shape [2 2] and 3":       {Tensors: []Tensor{{Name: "a", Shape: []int{2, 2}, F32: make([]float32, 3)}}},
		"not UTF-8":               {Tensors: []Tensor{{Name: "\xff", F32: []float32{1}}}},
	} {
		if err := Write(&bytes.Buffer{}, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func raw(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// broken are files that must be refused, with a part of the reason.
var broken = []struct {
	want string
	file []byte
}{
	{"length of the header", nil},
	{"length of the header", []byte{1, 2, 3}},
	{"at most", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	{"after 2 of 90000000 bytes", append(binary.LittleEndian.AppendUint64(nil, 90_000_000), "{}"...)},
	{"begin with {", raw("", 0)},
	{"begin with {", raw(" {}", 0)},
	{"header", raw("{", 0)},
	{"header", raw(`{"a":`, 0)},
	{"text after", raw("{}{}", 0)},
	{"after the last tensor", raw("{}", 1)},
	{"cannot unmarshal", raw(`{"a":[]}`, 0)},
	{"unknown field", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4)},
	{"element type", raw(`{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}`, 2)},
	{"no shape", raw(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4)},
	{"no shape", raw(`{"a":{"dtype":"F32","shape":[1]}}`, 4)},
	{"shape [-1]", raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4)},
	{"shape [2147483647", raw(`{"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,4]}}`, 4)},
	{"8 bytes, data_offsets are [0 4]", raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4)},
	{"after 0 of 4000000000000 bytes", raw(`{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}`, 0)},
	{"begin at 4", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
	{"begin at 2", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, 6)},
	{"appears twice", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8)},
	{"appears twice", raw(`{"__metadata__":{"a":"b","a":"c"}}`, 0)},
	{"not a string", raw(`{"__metadata__":{"a":1}}`, 0)},
	{"not a JSON object", raw(`{"__metadata__":null}`, 0)},
	{"after 3 of 4 bytes", raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 3)},
}

func TestReadErrors(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, b := range broken {
		if _, err := Read(bytes.NewReader(b.file)); err == nil || !strings.Contains(err.Error(), b.want) {
			t.Errorf("%q: want %q, got %v", b.file, b.want, err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("refusing the files took %d bytes", n)
	}
}

// Whatever is read can be written and read again to the same.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, example()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	python, err := os.ReadFile("testdata/python.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(python)
	for _, b := range broken {
		f.Add(b.file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := Write(&first, file); err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, err := Read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if err := Write(&second, again); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("second copy differs: %v", err)
		}
	})
}
