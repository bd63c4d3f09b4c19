package sampler

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

func randomDraws(seed uint64, r, c int) *mat.Dense {
	x := make([]float64, r*c)
	rng.FillNormal(x, rng.New(seed, 0))
	return mat.NewDense(r, c, x)
}

func TestCSVRoundTrip(t *testing.T) {
	names := []string{"lp__", "divergent__", "mu", "theta[1]", "L[2,3]"}
	want := randomDraws(1, 7, 5)
	want.Set(0, 2, 1e-300)
	want.Set(1, 2, math.Inf(1))
	want.Set(2, 2, math.Inf(-1))
	var b bytes.Buffer
	if err := WriteCSV(&b, names, want); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\nlp__,divergent__,mu,theta.1,L.2.3\n") {
		t.Errorf("the header is not cmdstan's:\n%s", b.String())
	}
	gotNames, got, err := ReadCSV(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(gotNames, names) || !mat.Equal(got, want) {
		t.Errorf("read back %v\n%v", gotNames, mat.Formatted(got))
	}
}

func TestCSVErrors(t *testing.T) {
	x := randomDraws(1, 2, 2)
	for _, names := range [][]string{nil, {"a"}, {"a", "a"}, {"a[1]", "a.1"}, {"a", ""}, {"a", "b,c"}, {"a", "b\n"}} {
		if err := WriteCSV(new(bytes.Buffer), names, x); err == nil {
			t.Errorf("names %q: no error", names)
		}
	}
	for _, text := range []string{"", "a,b\n", "a,b\n1,2\n3\n", "a,b\n1,x\n", "# only\n# comments"} {
		if _, _, err := ReadCSV(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestNPYRoundTrip(t *testing.T) {
	for _, n := range []int{1, 3} {
		var want []*mat.Dense
		for i := range n {
			want = append(want, randomDraws(uint64(i), 5, 4))
		}
		var b bytes.Buffer
		if err := WriteNPY(&b, want...); err != nil {
			t.Fatal(err)
		}
		if b.Len()%64 != n*5*4*8%64 {
			t.Error("the data are not aligned to 64 bytes")
		}
		got, err := ReadNPY(&b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d chains: read back %v", n, got)
		}
	}
	if err := WriteNPY(new(bytes.Buffer)); err == nil {
		t.Error("no chains: no error")
	}
	if err := WriteNPY(new(bytes.Buffer), randomDraws(1, 2, 2), randomDraws(1, 2, 3)); err == nil {
		t.Error("chains of different shapes: no error")
	}
}

func FuzzReadNPY(f *testing.F) {
	var b bytes.Buffer
	if err := WriteNPY(&b, randomDraws(1, 2, 3)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(bytes.Replace(b.Bytes(), []byte("(2, 3)"), []byte("(2,9999999999)"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := ReadNPY(bytes.NewReader(data))
		if err == nil && len(x) == 0 {
			t.Error("neither draws nor an error")
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	f.Add("# c\nlp__,a.1\n1,2\n# d\n3,4")
	f.Fuzz(func(t *testing.T, text string) {
		names, x, err := ReadCSV(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, c := x.Dims(); c != len(names) {
			t.Errorf("%d names for %d columns", len(names), c)
		}
	})
}
