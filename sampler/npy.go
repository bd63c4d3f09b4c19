package sampler

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
)

const npyMagic = "\x93NUMPY"

// WriteNPY writes chains as an array of NumPy's .npy format that numpy.load
// reads: one chain as an array of shape (draws, parameters), several as
// (chains, draws, parameters), which is ArviZ's order. They must not differ in
// shape.
func WriteNPY(w io.Writer, chains ...*mat.Dense) error {
	if len(chains) == 0 || chains[0].IsEmpty() {
		return errors.New("sampler: WriteNPY has no draws to write")
	}
	r, c := chains[0].Dims()
	shape := fmt.Sprintf("%d, %d", r, c)
	if len(chains) > 1 {
		shape = fmt.Sprintf("%d, %s", len(chains), shape)
	}
	for i, x := range chains {
		if xr, xc := x.Dims(); xr != r || xc != c {
			return fmt.Errorf("sampler: WriteNPY chain 0 is %d×%d, chain %d is %d×%d", r, c, i, xr, xc)
		}
	}
	header := fmt.Sprintf("{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }", shape)
	const before = len(npyMagic) + 4
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"

	b := bufio.NewWriter(w)
	b.WriteString(npyMagic + "\x01\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(header))))
	b.WriteString(header)
	var buf []byte
	for _, x := range chains {
		for i := range r {
			buf = buf[:0]
			for _, v := range x.RawRowView(i) {
				buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
			}
			b.Write(buf)
		}
	}
	return b.Flush()
}

var npyHeader = regexp.MustCompile(`^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? *\}\s*$`)

// ReadNPY reads an array of float64 in C order from NumPy's .npy format: one
// matrix if it has two dimensions, and if it has three one for each index of
// the first.
func ReadNPY(r io.Reader) ([]*mat.Dense, error) {
	b := bufio.NewReader(r)
	fail := func(format string, args ...any) ([]*mat.Dense, error) {
		return nil, fmt.Errorf("sampler: ReadNPY: "+format, args...)
	}
	var start [8]byte
	if _, err := io.ReadFull(b, start[:]); err != nil {
		return fail("%w", err)
	}
	if string(start[:6]) != npyMagic {
		return fail("the data begin with %q, want %q", start[:6], npyMagic)
	}
	size := make([]byte, 2)
	if start[6] > 1 {
		size = make([]byte, 4)
	}
	if _, err := io.ReadFull(b, size); err != nil {
		return fail("%w", err)
	}
	n := binary.LittleEndian.Uint32(append(size, 0, 0)[:4])
	if n > 1<<16 {
		return fail("the header has %d bytes", n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(b, header); err != nil {
		return fail("%w", err)
	}
	m := npyHeader.FindSubmatch(header)
	if m == nil {
		return fail("cannot read the header %q", header)
	}
	if string(m[1]) != "<f8" || string(m[2]) != "False" {
		return fail("the array has type %s and Fortran order %s, want <f8 and False", m[1], m[2])
	}
	shape := []int{1}
	total := 1
	for field := range strings.SplitSeq(string(m[3]), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		k, err := strconv.Atoi(field)
		if err != nil || k <= 0 || k > math.MaxInt/8/total {
			return fail("cannot read an array of shape (%s)", m[3])
		}
		shape = append(shape, k)
		total *= k
	}
	if len(shape) == 4 {
		shape = shape[1:]
	}
	if len(shape) != 3 {
		return fail("the array has shape (%s), want two or three dimensions", m[3])
	}
	out := make([]*mat.Dense, 0, min(shape[0], 1<<10))
	row := make([]byte, 8*min(shape[2], 1<<16))
	for range shape[0] {
		var data []float64 // grown as it is read: the header may lie
		for left := shape[1] * shape[2]; left > 0; {
			part := row[:8*min(left, len(row)/8)]
			if _, err := io.ReadFull(b, part); err != nil {
				return fail("the array has shape (%s) but the data end early: %w", m[3], err)
			}
			for i := 0; i < len(part); i += 8 {
				data = append(data, math.Float64frombits(binary.LittleEndian.Uint64(part[i:])))
			}
			left -= len(part) / 8
		}
		out = append(out, mat.NewDense(shape[1], shape[2], data))
	}
	return out, nil
}
