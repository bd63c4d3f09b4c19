package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/go-inverse/inverse/sbi"
)

// Shard is a piece of the campaign: simulations From to To-1.
type Shard struct {
	Number, From, To int
}

// SimulateShard is the step of the pipeline: it runs the simulations of a
// shard and writes their table. What it emits is the file's name.
type SimulateShard struct {
	Folder string
	Seed   uint64
	Shards int
}

func init() {
	register.DoFn3x1[context.Context, Shard, func(string), error](&SimulateShard{})
	register.Emitter1[string]()
}

var simulated = beam.NewCounter("cluster", "simulations")

// ProcessElement simulates a shard. A runner may try it again, or twice at a
// time: the rows are the same.
func (f *SimulateShard) ProcessElement(ctx context.Context, s Shard, emit func(string)) error {
	m, n := simulator.Dims()
	table := sbi.TableHeader(f.Seed, m, n)
	pri := simulator.Prior()
	for i := s.From; i < s.To; i++ {
		row, err := sbi.SimulateRow(ctx, pri, simulator, f.Seed, i)
		if ctx.Err() != nil {
			return err // that of a simulation stands in its status
		}
		table = row.Append(table)
		simulated.Inc(ctx, 1)
	}
	name := shardName(f.Folder, s.Number, f.Shards)
	if err := write(ctx, name, table); err != nil {
		return err
	}
	emit(name)
	return nil
}

func shardName(folder string, k, shards int) string {
	return fmt.Sprintf("%s/shard-%05d-of-%05d.csv", strings.TrimSuffix(folder, "/"), k, shards)
}

// simulate runs the pipeline and returns the names of the shards' files.
func simulate(ctx context.Context, folder string, seed uint64, n, shards int) ([]string, error) {
	var pieces []any
	var names []string
	for k := range shards {
		pieces = append(pieces, Shard{k, k * n / shards, (k + 1) * n / shards})
		names = append(names, shardName(folder, k, shards))
	}
	p, s := beam.NewPipelineWithRoot()
	// Reshuffle, or the shards would be fused with their list and run by one
	// worker.
	work := beam.Reshuffle(s, beam.Create(s, pieces...))
	beam.ParDo(s, &SimulateShard{folder, seed, shards}, work)
	return names, beamx.Run(ctx, p)
}

// join writes the shards one after another, which makes them one table, and
// reads it.
func join(ctx context.Context, folder string, names []string) (table *sbi.Table, name string, err error) {
	var all bytes.Buffer
	for _, name := range names {
		fs, err := filesystem.New(ctx, name)
		if err != nil {
			return nil, "", err
		}
		r, err := fs.OpenRead(ctx, name)
		if err == nil {
			_, err = all.ReadFrom(r)
			err = errors.Join(err, r.Close())
		}
		if err = errors.Join(err, fs.Close()); err != nil {
			return nil, "", err
		}
	}
	if table, err = sbi.ReadTable(bytes.NewReader(all.Bytes())); err != nil {
		return nil, "", err
	}
	name = strings.TrimSuffix(folder, "/") + "/table.csv"
	return table, name, write(ctx, name, all.Bytes())
}

// write writes a file where Beam's file systems find it.
func write(ctx context.Context, name string, content []byte) (err error) {
	fs, err := filesystem.New(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	w, err := fs.OpenWrite(ctx, name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return errors.Join(err, w.Close())
}

// text returns the table as it stands in a file, its rows in order.
func text(t *sbi.Table) (string, error) {
	var b strings.Builder
	err := t.Write(&b, 0)
	return b.String(), err
}
