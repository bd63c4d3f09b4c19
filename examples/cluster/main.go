// Command cluster runs a campaign of simulations as an Apache Beam pipeline,
// and so on whatever Beam runs on: the cores of this machine, Flink, Spark or
// Dataflow. The simulator is the stochastic Lotka-Volterra system of
// examples/lotkavolterra.
//
//	cd examples/cluster
//	go run . -n 20000 -shards 8
//	go run . -n 20000 -shards 8 -check   # compare with sbi.Simulate
//	go run . -runner flink -endpoint localhost:8099 -out gs://bucket/run   # a cluster's workers
//
// It is a module of its own, so that nothing else needs Beam; it is run and
// tested in its own folder. Beam's own flags
// (-runner, -endpoint, -project, ...) are documented with its Go SDK.
//
// A row of the table is a function of the campaign's seed and its number, and
// sbi.SimulateRow is that function. So the rows do not depend on where they are
// simulated, how often a shard is tried, or how many shards there are: they
// are those of sbi.Simulate on one machine, bit for bit. Each worker writes
// the table of its shard; written one after another, the shards are the table
// of the campaign.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/sbi"
)

var (
	n      = flag.Int("n", 20_000, "`number` of simulations")
	shards = flag.Int("shards", 16, "`number` of pieces that the campaign is cut into")
	out    = flag.String("out", "out", "`folder` for the table and its shards; a path that Beam knows, as gs://..., for workers elsewhere")
	seed   = flag.Uint64("seed", 1, "seed of the campaign")
	quick  = flag.Bool("quick", false, "1000 simulations")
	asJSON = flag.Bool("json", false, "print the figures as one JSON object and nothing else")
	check  = flag.Bool("check", false, "compare the table with that of sbi.Simulate on this machine")
)

func main() {
	flag.Parse()
	beam.Init() // on a worker, this runs the worker and does not return
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// simulator is what every worker runs.
var simulator = new(tasks.Gillespie)

func run(ctx context.Context) error {
	if *quick {
		*n = 1000
	}
	if *n < 1 || *shards < 1 || flag.NArg() > 0 {
		return fmt.Errorf("%d simulations in %d shards with arguments %q, want at least 1, 1 and none", *n, *shards, flag.Args())
	}
	start := time.Now()
	parts, err := simulate(ctx, *out, *seed, *n, *shards)
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	table, name, err := join(ctx, *out, parts)
	if err != nil {
		return err
	}
	if table.Len() != *n {
		return fmt.Errorf("the shards hold %d simulations, want %d", table.Len(), *n)
	}
	figures := map[string]any{"simulations": table.Len(), "valid": table.Count(sbi.OK), "shards": *shards, "seconds": seconds}
	if *check {
		same, err := sameAsLocal(ctx, table, *seed)
		if err != nil {
			return err
		}
		if figures["same_as_local"] = same; !same {
			return fmt.Errorf("the table of the pipeline differs from that of this machine")
		}
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(figures)
	}
	fmt.Printf("%d simulations in %d shards took %.1f s; %d had too many reactions.\n", table.Len(), *shards, seconds, table.Count(sbi.Failed))
	if *check {
		fmt.Println("They are those of sbi.Simulate, bit for bit.")
	}
	fmt.Println("The table is", name)
	return nil
}

// sameAsLocal reports whether the campaign on this machine has the same table.
func sameAsLocal(ctx context.Context, table *sbi.Table, seed uint64) (bool, error) {
	// The campaign's seed is the first draw of Src.
	want, err := sbi.Simulate(ctx, simulator.Prior(), simulator, table.Len(), &sbi.SimulateOptions{Src: constant(seed), Policy: sbi.Record})
	if err != nil {
		return false, err
	}
	a, err := text(table)
	if err != nil {
		return false, err
	}
	b, err := text(want)
	return a == b, err
}

// constant is a source of one number.
type constant uint64

var _ rand.Source = constant(0)

func (c constant) Uint64() uint64 { return uint64(c) }
