// Package examples holds the programs of the library, one folder each.
package examples

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every example runs in its quick form, prints one JSON object, and leaves a
// picture.
func TestQuick(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, main := range mains {
		name := filepath.Dir(main)
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
			continue // a module of its own, with tests of its own
		}
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			bin := filepath.Join(out, name)
			if msg, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			cmd := exec.Command(bin, "-quick", "-json", "-out", out)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			start := time.Now()
			stdout, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.Bytes())
			}
			t.Logf("%.1f s", time.Since(start).Seconds())
			var figures map[string]any
			if err := json.Unmarshal(stdout, &figures); err != nil || len(figures) == 0 {
				t.Errorf("stdout is not one JSON object: %v\n%s", err, stdout)
			}
			pictures, _ := filepath.Glob(filepath.Join(out, "*.png"))
			if len(pictures) == 0 {
				t.Error("no picture")
			}
			for _, path := range pictures {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := png.Decode(f); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				f.Close()
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.png")
	if err := os.WriteFile(bad, []byte("not a picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-in", bad}, {"-in", "missing.png"}, {"-blur", "-1"}, {"-noise", "0"}, {"surplus"},
	} {
		out := t.TempDir()
		cmd := exec.Command("go", append([]string{"run", "./deblur", "-out", out}, args...)...)
		msg, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(msg), "deblur:") {
			t.Errorf("%v: %v\n%s", args, err, msg)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%v: left %v behind", args, left)
		}
	}
}
