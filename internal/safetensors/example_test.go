package safetensors_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/go-inverse/inverse/internal/safetensors"
)

func Example() {
	var b bytes.Buffer
	err := safetensors.Write(&b, &safetensors.File{
		Metadata: map[string]string{"unit": "kelvin"},
		Tensors:  []safetensors.Tensor{{Name: "mean", Shape: []int{2, 2}, F32: []float32{1, 2, 3, 4}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	f, err := safetensors.Read(&b)
	if err != nil {
		log.Fatal(err)
	}
	t := f.Tensor("mean")
	fmt.Println(f.Metadata["unit"], t.Shape, t.F32)
	// Output: kelvin [2 2] [1 2 3 4]
}
