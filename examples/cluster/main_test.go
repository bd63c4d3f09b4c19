package main

import (
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/go-inverse/inverse/sbi"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

// TestPipeline has the rows of a campaign on one machine from pipelines with
// one shard, several, and more than there are simulations.
func TestPipeline(t *testing.T) {
	for _, shards := range []int{1, 7, 300} {
		folder := t.TempDir()
		names, err := simulate(t.Context(), folder, 5, 200, shards)
		if err != nil {
			t.Fatal(err)
		}
		table, _, err := join(t.Context(), folder, names)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := sameAsLocal(t.Context(), table, 5); err != nil || !same || table.Len() != 200 {
			t.Errorf("%d shards: %d rows, the same as on this machine: %v, %v", shards, table.Len(), same, err)
		}
		if table.Count(sbi.OK) == 200 {
			t.Error("no simulation had too many reactions, which 1 in 8 has")
		}
	}
}
