// Command lynxhare infers the rates at which hares and lynx were born, ate and
// were eaten around Hudson Bay, from the pelts that were sold, and forecasts
// both animals.
//
//	go run ./examples/lynxhare
//
// It writes populations.png (the counts, and bands that new counts would lie
// in), cycle.png, trace.png and corner.png to the folder -out, and prints the
// summary of the run.
//
// The model is that of Carpenter, "Predator-prey population dynamics" (2018),
// and the counts are those of Hewitt, "The Conservation of the Wild Life of
// Canada" (1921), as tabulated by Howard (2009).
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/sampler"
)

// firstYear is the year of the first row of pelts.
const firstYear = 1900

// pelts are the hares and lynx trapped each year, in thousands.
var pelts = [][2]float64{
	{30.0, 4.0}, {47.2, 6.1}, {70.2, 9.8}, {77.4, 35.2}, {36.3, 59.4}, {20.6, 41.7}, {18.1, 19.0},
	{21.4, 13.0}, {22.0, 8.3}, {25.4, 9.1}, {27.1, 7.4}, {40.3, 8.0}, {57.0, 12.3}, {76.6, 19.5},
	{52.3, 45.7}, {19.5, 51.1}, {11.2, 29.7}, {7.6, 15.8}, {14.6, 9.7}, {16.2, 10.1}, {24.7, 8.6},
}

func main() { show.Main(run) }

func run(ctx context.Context, f *show.Flags) error {
	src := rand.NewPCG(f.Seed, 0)
	settings := &sampler.Settings{Src: src, Progress: func(p sampler.Progress) {
		f.Progress("iteration %d of %d, %d divergences", p.Done, p.Total, p.Divergences)
	}}
	if f.Quick {
		settings.Warmup, settings.Draws = 300, 300
	}
	start := time.Now()
	res, err := infer(ctx, settings)
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	future, err := predict(res, src)
	if err != nil {
		return err
	}
	f.Done()
	files, err := draw(f, res, future)
	if err != nil {
		return err
	}
	summary := res.Summary()
	f.Print("%v\n", summary)
	f.Print("The cycle takes %.1f years (90 %%: %.1f to %.1f).\n", future.period[1], future.period[0], future.period[2])
	f.Print("The pictures are %s.\n", strings.Join(files, ", "))
	return f.Figures(figures(summary, future, seconds))
}

// infer draws from the posterior. It has other modes, with cycles of five years
// that fit badly; NUTS starts where the best of a few quick climbs arrive.
func infer(ctx context.Context, settings *sampler.Settings) (*sampler.Result, error) {
	lik, err := newCounts(pelts)
	if err != nil {
		return nil, err
	}
	post, err := posterior.New(priors, lik)
	if err != nil {
		return nil, err
	}
	settings.Names = names
	return sampler.Run(ctx, post, &sampler.NUTS{}, settings)
}

// figures are what -json prints.
func figures(s *sampler.Summary, future *forecast, seconds float64) map[string]any {
	params := make(map[string]map[string]float64)
	for _, p := range s.Params {
		params[p.Name] = map[string]float64{
			"mean": p.Mean, "sd": p.SD, "q5": p.Q5, "q95": p.Q95, "ess_bulk": p.ESSBulk, "rhat": p.RHat,
		}
	}
	return map[string]any{
		"parameters":   params,
		"converged":    s.Converged(),
		"warnings":     append([]string{}, s.Warnings...),
		"period_years": future.period[1],
		"coverage_90":  fmt.Sprintf("%d of %d counts", future.inside, 2*len(pelts)),
		"seconds":      seconds,
	}
}
