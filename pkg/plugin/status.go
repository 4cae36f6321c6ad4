package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// newStatusCommand returns the command that describes a MiniCluster on one screen.
func newStatusCommand(f *factory) *cobra.Command {
	return &cobra.Command{
		Use:   "status NAME",
		Short: "Describe a MiniCluster on one screen: sizes, ranks, jobs, problems",
		Long: `Describe a MiniCluster on one screen: sizes and bounds, what scales it, ranks by
state, jobs, conditions with the problems first, and what to do next. Ranks and
jobs are read from Flux, which needs the right to exec into the lead pod.`,
		Example:           `  kubectl minicluster status sample`,
		Args:              needArguments(1, 1),
		ValidArgsFunction: f.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.session()
			if err != nil {
				return err
			}
			r, err := s.report(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(s.Out, r.text(painterFor(s.Out), screenOf(s.Out)))
			return err
		},
	}
}

// report describes a MiniCluster.
type report struct {
	mc      *v1alpha2.MiniCluster
	lead    *corev1.Pod
	leadErr error
	scalers scalers
	flux    fluxState
}

// fluxState is what Flux says about its ranks and jobs.
type fluxState struct {
	// ranks are the numbers of ranks by state: up, allocated, drained, down.
	ranks map[string]int
	cores map[string]int
	jobs  string
	// err is why Flux was not asked, or did not answer.
	err error
}

// report describes a MiniCluster. It returns an error if the MiniCluster can't be read. Other errors are part of the
// report.
func (s *session) report(ctx context.Context, name string) (*report, error) {
	mc, err := s.miniCluster(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &report{mc: mc, scalers: s.autoscalers(ctx)}
	r.lead, r.leadErr = s.leadPod(ctx, mc, !mc.Status.Finished())
	switch {
	case stopped(mc):
		r.leadErr, r.flux.err = nil, errors.New("it has no pods")
	case r.leadErr != nil:
		r.flux.err = r.leadErr
	case mc.Status.Finished():
		r.flux.err = errors.New("its program has ended, and Flux with it")
	default:
		r.flux = s.fluxState(ctx, r.lead, mc.Name)
	}
	return r, nil
}

// fluxState asks Flux for its resources and jobs.
func (s *session) fluxState(ctx context.Context, lead *corev1.Pod, container string) fluxState {
	text, err := s.fluxOutput(ctx, lead, container, "resource", "list", "--no-header", "--states=all,up,allocated,down", "--format={state} {nnodes} {ncores}")
	if err != nil {
		return fluxState{err: err}
	}
	state := fluxState{ranks: map[string]int{}, cores: map[string]int{}}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		numbers := [2]int{}
		for i := range min(len(fields)-1, 2) {
			if numbers[i], err = strconv.Atoi(fields[i+1]); err != nil {
				return fluxState{err: fmt.Errorf("flux resource list: %q: %w", strings.TrimSpace(line), err)}
			}
		}
		state.ranks[fields[0]], state.cores[fields[0]] = numbers[0], numbers[1]
	}
	text, err = s.fluxOutput(ctx, lead, container, "jobs", "-A", "--stats-only")
	// Without active jobs, the exit code is 1.
	if err != nil && !strings.Contains(text, " completed, ") {
		return fluxState{err: err}
	}
	state.jobs = jobStatistics(text)
	return state
}

// zeroStatistic is a part of the statistics of flux jobs that has nothing to say.
var zeroStatistic = regexp.MustCompile(`^0 `)

// jobStatistics shortens the line of flux jobs --stats-only to what is not 0.
func jobStatistics(line string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.TrimSpace(line), ", ") {
		if !zeroStatistic.MatchString(part) && part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
