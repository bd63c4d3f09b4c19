package sbi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// Status says how a simulation went.
type Status uint8

const (
	OK        Status = iota // the data are finite
	NonFinite               // some of the data are NaN or infinite
	Failed                  // the simulator returned an error
	Panicked                // the simulator panicked
	TimedOut                // the simulator took longer than allowed
)

var statusNames = []string{"ok", "nonfinite", "failed", "panicked", "timedout"}

// String returns the word for the status in a file.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

// Row is one simulation.
type Row struct {
	Index  int    // its number in the campaign, from 0
	Seed   uint64 // names its random streams; see [SimulateRow]
	Status Status
	Theta  []float64
	Y      []float64 // NaN where there is none
}

// Table holds simulations in memory, in the order of their numbers.
//
// In a file a table is text. The first line is a comment with the seed of the
// campaign, the second names the columns, and each further line is one
// simulation, in any order:
//
//	# inverse sbi table 1 seed 7
//	index,seed,status,theta1,theta2,y1
//	0,1829304927363,ok,0.25,-1.5,3.75
//	1,7263549302736,failed,0.5,2,NaN
//
// Status is ok, nonfinite, failed, panicked or timedout. Numbers are decimal
// and read back exactly; NaN, +Inf and -Inf are allowed. Of several lines with
// the same index the first counts. A last line without its line feed is what
// an interrupted write leaves behind, and is ignored. Files of one campaign
// written one after another are a file: the two lines may come again.
type Table struct {
	Theta  *mat.Dense // n rows of parameters; nil if n is 0
	Y      *mat.Dense // n rows of data; nil if n is 0
	Index  []int      // the numbers of the rows in the campaign
	Seed   []uint64
	Status []Status
}

// Len returns the number of rows, those of failed simulations included: what
// the table has cost.
func (t *Table) Len() int { return len(t.Index) }

// Count returns the number of rows with the status.
func (t *Table) Count(s Status) int {
	var n int
	for _, v := range t.Status {
		if v == s {
			n++
		}
	}
	return n
}

// Valid returns the rows whose status is OK as a table of their own, which
// shares its memory with t if they are all of them.
//
// What is learned from these rows about the parameters is right for the prior
// restricted to the parameters for which the simulator succeeds, weighted by
// the probability that it does. That is what is wanted of a posterior given
// data, which the simulator has then produced. A learned likelihood or
// likelihood ratio has this probability as a factor, see [Validity].
func (t *Table) Valid() *Table {
	n := t.Count(OK)
	if n == t.Len() {
		return t
	}
	v := new(Table)
	var theta, y []float64
	for i, s := range t.Status {
		if s == OK {
			theta = append(theta, t.Theta.RawRowView(i)...)
			y = append(y, t.Y.RawRowView(i)...)
			v.Index = append(v.Index, t.Index[i])
			v.Seed = append(v.Seed, t.Seed[i])
			v.Status = append(v.Status, OK)
		}
	}
	if n > 0 {
		v.Theta = mat.NewDense(n, len(theta)/n, theta)
		v.Y = mat.NewDense(n, len(y)/n, y)
	}
	return v
}

// Row returns row i, which shares its memory with the table.
func (t *Table) Row(i int) Row {
	return Row{t.Index[i], t.Seed[i], t.Status[i], t.Theta.RawRowView(i), t.Y.RawRowView(i)}
}

const tableMagic = "# inverse sbi table 1 seed "

// TableHeader returns the first two lines of a file of m data and n
// parameters, of which [Row.Append] makes the others.
func TableHeader(seed uint64, m, n int) []byte {
	b := []byte(tableMagic)
	b = strconv.AppendUint(b, seed, 10)
	b = append(b, "\nindex,seed,status"...)
	for j := range n {
		b = append(b, ",theta"...)
		b = strconv.AppendInt(b, int64(j+1), 10)
	}
	for j := range m {
		b = append(b, ",y"...)
		b = strconv.AppendInt(b, int64(j+1), 10)
	}
	return append(b, '\n')
}

// Append appends the row's line of a file to b and returns it.
func (r Row) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(r.Index), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, r.Seed, 10)
	b = append(b, ',')
	b = append(b, r.Status.String()...)
	for _, v := range r.Theta {
		b = append(b, ',')
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	for _, v := range r.Y {
		b = append(b, ',')
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, '\n')
}

// Scanner reads the rows of a file one by one, in the order they stand there
// and in constant memory.
type Scanner struct {
	Seed uint64 // of the campaign

	m, n  int
	names []byte // line 2
	r     *bufio.Reader
	long  []byte
	line  int
	whole int64 // length of the whole lines read
}

// NewScanner reads the header of a table.
func NewScanner(r io.Reader) (*Scanner, error) {
	s := &Scanner{r: bufio.NewReaderSize(r, 1<<16)}
	magic, err := s.next()
	if err != nil {
		return nil, headerError(err)
	}
	text, ok := strings.CutPrefix(string(magic), tableMagic)
	if !ok {
		return nil, fmt.Errorf("sbi: line 1 of a table is %q, want %q and a number", clip(magic), tableMagic)
	}
	if s.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
		return nil, fmt.Errorf("sbi: line 1 of a table: seed: %w", err)
	}
	names, err := s.next()
	if err != nil {
		return nil, headerError(err)
	}
	for _, name := range strings.Split(string(names), ",") {
		switch {
		case strings.HasPrefix(name, "theta"):
			s.n++
		case strings.HasPrefix(name, "y"):
			s.m++
		}
	}
	want := TableHeader(s.Seed, s.m, s.n)
	if want = want[bytes.IndexByte(want, '\n')+1 : len(want)-1]; s.m == 0 || s.n == 0 || !bytes.Equal(names, want) {
		return nil, fmt.Errorf("sbi: line 2 of a table is %q, want index,seed,status, then theta1 and so on, then y1 and so on", clip(names))
	}
	s.names = want
	return s, nil
}

func headerError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("sbi: header of a table: %w", err)
}

func clip(b []byte) []byte { return b[:min(len(b), 80)] }

// Dims returns the number m of data and the number n of parameters.
func (s *Scanner) Dims() (m, n int) { return s.m, s.n }

// next returns the next whole line without its line feed, or io.EOF.
func (s *Scanner) next() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		s.long = append(s.long[:0], line...)
		for err == bufio.ErrBufferFull {
			line, err = s.r.ReadSlice('\n')
			s.long = append(s.long, line...)
		}
		line = s.long
	}
	if err != nil {
		return nil, err // io.EOF also in the middle of a line
	}
	s.line++
	s.whole += int64(len(line))
	return line[:len(line)-1], nil
}

// Scan reads the next row into row, whose slices are used if they have the
// right lengths. It returns io.EOF at the end; any other error names the line,
// and Scan may be called again to go on after it.
func (s *Scanner) Scan(row *Row) error {
	line, err := s.next()
	if err == nil {
		line, err = s.skipHeaders(line)
	}
	if err == io.EOF {
		return err
	}
	if err == nil {
		err = s.parse(row, line)
	}
	if err != nil {
		return fmt.Errorf("sbi: line %d of a table: %w", s.line, err)
	}
	return nil
}

// skipHeaders returns the next line that is not of a header. What stands before
// a header on its line is the last line of a file that was cut off.
func (s *Scanner) skipHeaders(line []byte) ([]byte, error) {
	for {
		k := bytes.LastIndex(line, []byte(tableMagic))
		if k < 0 {
			return line, nil
		}
		if text := string(line[k+len(tableMagic):]); text != strconv.FormatUint(s.Seed, 10) {
			return nil, fmt.Errorf("the header of a campaign with seed %s in a table with seed %d", clip([]byte(text)), s.Seed)
		}
		names, err := s.next()
		switch {
		case err != nil:
			return nil, err
		case bytes.Contains(names, []byte(tableMagic)):
			line = names
			continue
		case !bytes.Equal(names, s.names):
			return nil, fmt.Errorf("the second line of a header is %q, want %q", clip(names), clip(s.names))
		}
		if line, err = s.next(); err != nil {
			return nil, err
		}
	}
}

func (s *Scanner) parse(row *Row, line []byte) error {
	if got, want := bytes.Count(line, []byte{','})+1, 3+s.n+s.m; got != want {
		return fmt.Errorf("%d columns, want %d", got, want)
	}
	field := func() string {
		f, rest, _ := bytes.Cut(line, []byte{','})
		line = rest
		return string(f)
	}
	var err error
	if row.Index, err = strconv.Atoi(field()); err != nil || row.Index < 0 {
		return fmt.Errorf("index is not a whole number from 0")
	}
	if row.Seed, err = strconv.ParseUint(field(), 10, 64); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	word := field()
	k := slices.Index(statusNames, word)
	if k < 0 {
		return fmt.Errorf("status is %q", clip([]byte(word)))
	}
	row.Status = Status(k)
	if len(row.Theta) != s.n || len(row.Y) != s.m {
		row.Theta, row.Y = make([]float64, s.n), make([]float64, s.m)
	}
	for j := range row.Theta {
		if row.Theta[j], err = strconv.ParseFloat(field(), 64); err != nil {
			return fmt.Errorf("theta%d: %w", j+1, err)
		}
	}
	for j := range row.Y {
		if row.Y[j], err = strconv.ParseFloat(field(), 64); err != nil {
			return fmt.Errorf("y%d: %w", j+1, err)
		}
	}
	if row.Status == OK && !finite(row.Y) {
		return errors.New("status is ok, but the data are not finite")
	}
	return nil
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// ReadTable reads a table. See [Table] for the format, and [Scanner] for
// tables that are larger than memory or have lines that cannot be read.
func ReadTable(r io.Reader) (*Table, error) { return readTable(r, math.MaxInt) }

// readTable reads the rows with an index below limit.
func readTable(r io.Reader, limit int) (*Table, error) {
	s, err := NewScanner(r)
	if err != nil {
		return nil, err
	}
	t := new(Table)
	var theta, y []float64
	var row Row
	sorted := true
	for {
		err := s.Scan(&row)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if row.Index >= limit {
			continue
		}
		if k := len(t.Index); k > 0 && row.Index <= t.Index[k-1] {
			sorted = false
		}
		t.Index = append(t.Index, row.Index)
		t.Seed = append(t.Seed, row.Seed)
		t.Status = append(t.Status, row.Status)
		theta = append(theta, row.Theta...)
		y = append(y, row.Y...)
	}
	if n := t.Len(); n > 0 {
		t.Theta = mat.NewDense(n, s.n, theta)
		t.Y = mat.NewDense(n, s.m, y)
	}
	if !sorted {
		t = t.sorted()
	}
	return t, nil
}

// sorted returns t in the order of the indices, the first row of each.
func (t *Table) sorted() *Table {
	order := make([]int, t.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return t.Index[a] - t.Index[b] })
	order = slices.CompactFunc(order, func(a, b int) bool { return t.Index[a] == t.Index[b] })
	_, n := t.Theta.Dims()
	_, m := t.Y.Dims()
	s := newTable(len(order), m, n)
	for k, i := range order {
		s.Index[k], s.Seed[k], s.Status[k] = t.Index[i], t.Seed[i], t.Status[i]
		s.Theta.SetRow(k, t.Theta.RawRowView(i))
		s.Y.SetRow(k, t.Y.RawRowView(i))
	}
	return s
}

func newTable(rows, m, n int) *Table {
	return &Table{
		Theta: mat.NewDense(rows, n, nil), Y: mat.NewDense(rows, m, nil),
		Index: make([]int, rows), Seed: make([]uint64, rows), Status: make([]Status, rows),
	}
}

// Write writes the table to w as a file, with seed as that of the campaign.
func (t *Table) Write(w io.Writer, seed uint64) error {
	if t.Len() == 0 {
		return errors.New("sbi: an empty table cannot be written")
	}
	_, n := t.Theta.Dims()
	_, m := t.Y.Dims()
	buf := TableHeader(seed, m, n)
	for i := range t.Len() {
		buf = t.Row(i).Append(buf)
		if len(buf) > 1<<16 || i == t.Len()-1 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}

// readTableFile reads the rows below limit of the file.
func readTableFile(name string, limit int) (*Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := readTable(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}
