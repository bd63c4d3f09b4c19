package digits

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"gonum.org/v1/gonum/mat"
)

// Images are gray images of Side×Side pixels, row by row from the top.
type Images struct {
	Side   int
	White  uint8 // the value of a white pixel
	Pixels []uint8
}

// Len returns the number of images.
func (m *Images) Len() int { return len(m.Pixels) / (m.Side * m.Side) }

// At returns the pixels of image i.
func (m *Images) At(i int) []uint8 {
	n := m.Side * m.Side
	return m.Pixels[i*n : (i+1)*n]
}

// Rows returns the images from lo to hi, one a row, black being -1 and white 1.
func (m *Images) Rows(lo, hi int) *mat.Dense {
	n := m.Side * m.Side
	x := mat.NewDense(hi-lo, n, nil)
	for i, v := range m.Pixels[lo*n : hi*n] {
		x.Set(i/n, i%n, 2*float64(v)/float64(m.White)-1)
	}
	return x
}

// maxPixels bounds what Read believes.
const maxPixels = 1 << 30

// Read reads images in the IDX format of the MNIST files, an array of bytes of
// rank three:
//
//	0 0 8 3   number   height   width   pixels...
//
// where the three sizes are 32-bit numbers, big endian.
func Read(r io.Reader) (*Images, error) {
	var head struct {
		Magic               uint32
		Number, Rows, Width uint32
	}
	if err := binary.Read(r, binary.BigEndian, &head); err != nil {
		return nil, fmt.Errorf("digits: no IDX header: %w", err)
	}
	if head.Magic != 0x803 {
		return nil, fmt.Errorf("digits: the file begins with %#x, an IDX file of images with 0x803", head.Magic)
	}
	if head.Rows != head.Width || head.Rows == 0 || head.Number == 0 || uint64(head.Number)*uint64(head.Rows)*uint64(head.Width) > maxPixels ||
		head.Rows > 1<<15 {
		return nil, fmt.Errorf("digits: %d images of %d×%d pixels", head.Number, head.Rows, head.Width)
	}
	n := int64(head.Number) * int64(head.Rows) * int64(head.Width)
	pixels, err := io.ReadAll(io.LimitReader(r, n))
	if err != nil {
		return nil, fmt.Errorf("digits: %w", err)
	}
	if int64(len(pixels)) != n {
		return nil, errors.New("digits: the file ends before its last image")
	}
	m := &Images{Side: int(head.Rows), White: 255, Pixels: pixels}
	return m, nil
}

// ReadGzip is Read for a compressed file.
func ReadGzip(r io.Reader) (*Images, error) {
	z, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("digits: %w", err)
	}
	return Read(z)
}

// WriteGzip writes the images as ReadGzip reads them.
func (m *Images) WriteGzip(w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	head := []uint32{0x803, uint32(m.Len()), uint32(m.Side), uint32(m.Side)}
	if err := binary.Write(z, binary.BigEndian, head); err != nil {
		return err
	}
	if _, err := z.Write(m.Pixels); err != nil {
		return err
	}
	return z.Close()
}
