package sampler

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// WriteCSV writes the draws of one chain, a row a draw, as cmdstan does, so
// that ArviZ's from_cmdstan and R's posterior read them: a comment block, a
// line of names, a line a draw. Numbers are written so that they read back
// exactly. An element is named theta[2,3], and written theta.2.3.
//
// Names that end in two underscores, such as lp__, divergent__ or energy__,
// are those of the sampler's own statistics; cmdstan puts them first.
func WriteCSV(w io.Writer, names []string, draws mat.Matrix) error {
	r, c := draws.Dims()
	if len(names) != c {
		return fmt.Errorf("sampler: WriteCSV has %d names for draws of %d columns", len(names), c)
	}
	seen := make(map[string]bool, c)
	header := make([]string, c)
	for j, name := range names {
		header[j] = toStan(name)
		switch {
		case name == "" || strings.ContainsAny(header[j], ",\"\n\r#[]") || strings.TrimSpace(name) != name:
			return fmt.Errorf("sampler: WriteCSV name %d is %q, want letters and digits with indices in brackets", j, name)
		case seen[header[j]]:
			return fmt.Errorf("sampler: WriteCSV has two columns named %q", name)
		}
		seen[header[j]] = true
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# method = sample\n#   sample\n#     num_samples = %d\n#     num_warmup = 0\n#     save_warmup = false\n#     thin = 1\n", r)
	b.WriteString(strings.Join(header, ","))
	b.WriteByte('\n')
	var buf []byte
	for i := range r {
		buf = buf[:0]
		for j := range c {
			if j > 0 {
				buf = append(buf, ',')
			}
			switch x := draws.At(i, j); {
			case math.IsNaN(x):
				buf = append(buf, "nan"...)
			case math.IsInf(x, 0):
				buf = append(buf, strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(x, 'g', -1, 64)), "+")...)
			default:
				buf = strconv.AppendFloat(buf, x, 'g', -1, 64)
			}
		}
		buf = append(buf, '\n')
		b.Write(buf)
	}
	return b.Flush()
}

// ReadCSV reads the draws of one chain as cmdstan and [WriteCSV] write them,
// with the sampler's own statistics among the columns. Comments are skipped.
// The error names the line that cannot be read.
func ReadCSV(r io.Reader) (names []string, draws *mat.Dense, err error) {
	b := bufio.NewReader(r)
	var data []float64
	for line := 1; ; line++ {
		text, err := b.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, nil, fmt.Errorf("sampler: ReadCSV: %w", err)
		}
		last := err == io.EOF
		text = strings.TrimSpace(text)
		switch {
		case text == "" || text[0] == '#':
		case names == nil:
			names = strings.Split(text, ",")
			for i, name := range names {
				names[i] = fromStan(strings.Trim(name, `"`))
			}
		default:
			n := 0
			for field := range strings.SplitSeq(text, ",") {
				x, err := strconv.ParseFloat(field, 64)
				if err != nil && !math.IsInf(x, 0) {
					return nil, nil, fmt.Errorf("sampler: ReadCSV line %d: %q is not a number", line, field)
				}
				data = append(data, x)
				n++
			}
			if n != len(names) {
				return nil, nil, fmt.Errorf("sampler: ReadCSV line %d has %d fields, want %d", line, n, len(names))
			}
		}
		if last {
			break
		}
	}
	if len(data) == 0 {
		return nil, nil, fmt.Errorf("sampler: ReadCSV found no draws")
	}
	return names, mat.NewDense(len(data)/len(names), len(names), data), nil
}

// toStan turns theta[2,3] into theta.2.3.
func toStan(name string) string {
	base, index, ok := strings.Cut(name, "[")
	if !ok || !strings.HasSuffix(index, "]") {
		return name
	}
	return base + "." + strings.ReplaceAll(strings.TrimSuffix(index, "]"), ",", ".")
}

// fromStan turns theta.2.3 into theta[2,3].
func fromStan(name string) string {
	base, index, ok := strings.Cut(name, ".")
	if !ok {
		return name
	}
	return base + "[" + strings.ReplaceAll(index, ".", ",") + "]"
}
