package nn_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// A network is built, saved and built again from the file.
func Example() {
	type config struct{ Width int }
	build := func(p *nn.Params[float32], c config) *nn.MLP[float32] {
		return nn.NewMLP(p, "net", 2, 1, &nn.MLPOptions{Hidden: []int{c.Width}, Act: kernel.SiLU})
	}
	c := config{Width: 16}
	p := nn.NewParams[float32](rng.New(1, 0))
	net := build(p, c)
	if err := p.Err(); err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := p.Save(&file, "example", c); err != nil {
		log.Fatal(err)
	}

	saved, err := nn.Open(&file)
	if err != nil {
		log.Fatal(err)
	}
	var d config
	if err := saved.Config(&d); err != nil {
		log.Fatal(err)
	}
	q := nn.Restore[float32](saved)
	again := build(q, d)
	if err := q.Close(); err != nil {
		log.Fatal(err)
	}

	value := func(p *nn.Params[float32], net *nn.MLP[float32]) float32 {
		var t autodiff.Tape[float32]
		t.Reset(p.Values, nil)
		return t.Value(net.Forward(&t, t.Fill(1, 2, 0.5)))[0]
	}
	fmt.Println(saved.Kind(), d.Width, q.Len(), value(p, net) == value(q, again))
	// Output: example 16 65 true
}
