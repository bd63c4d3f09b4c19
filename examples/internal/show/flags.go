// Package show gives every example the same flags and the same manners:
// pictures under -out, progress on stderr, figures as JSON on stdout.
package show

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// Flags are the flags that every example takes.
type Flags struct {
	Out   string
	Seed  uint64
	Quick bool
	JSON  bool

	start time.Time
	shown time.Time
}

// Main is the main function of an example. It parses the command line, makes
// the output folder and calls run, whose context ends with an interrupt. An
// error goes to stderr, and ends the program with status 1. An example's own
// flags are registered before.
func Main(run func(ctx context.Context, f *Flags) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	f, err := parse()
	if err == nil {
		err = run(ctx, f)
		f.Done()
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}

// parse registers the common flags, parses the command line and makes the
// output folder.
func parse() (*Flags, error) {
	f := &Flags{start: time.Now()}
	flag.StringVar(&f.Out, "out", "out", "`folder` for the pictures")
	flag.Uint64Var(&f.Seed, "seed", 1, "seed of all random numbers")
	flag.BoolVar(&f.Quick, "quick", false, "a small version that runs in seconds")
	flag.BoolVar(&f.JSON, "json", false, "print the figures as one JSON object and nothing else")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	return f, os.MkdirAll(f.Out, 0o755)
}

// Progress writes a line to stderr, at most five times a second and not in
// the first second, over the line before.
func (f *Flags) Progress(format string, args ...any) {
	now := time.Now()
	if now.Sub(f.start) < time.Second || now.Sub(f.shown) < 200*time.Millisecond {
		return
	}
	f.shown = now
	fmt.Fprintf(os.Stderr, "\r\033[K%4.0fs  "+format, append([]any{now.Sub(f.start).Seconds()}, args...)...)
}

// Done clears the progress line.
func (f *Flags) Done() {
	if !f.shown.IsZero() {
		fmt.Fprint(os.Stderr, "\r\033[K")
		f.shown = time.Time{}
	}
}

// Print writes to stdout unless -json is set.
func (f *Flags) Print(format string, args ...any) {
	if !f.JSON {
		fmt.Printf(format, args...)
	}
}

// Figures writes v as JSON to stdout if -json is set.
func (f *Flags) Figures(v any) error {
	if !f.JSON {
		return nil
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
