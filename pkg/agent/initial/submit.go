package initial

import (
	"context"
	"fmt"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shellsplit"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// programWords returns the command line of the program of the plan's mode, nil for a mode that only waits.
func (r *runner) programWords(ctx context.Context) ([]string, error) {
	var words []string
	var err error
	switch r.Plan.Lead.Mode {
	case plan.ModeLauncher:
		words = r.commandWords()
	case plan.ModeSubmit:
		words, err = r.submitWords(ctx)
	case plan.ModeBatch:
		words, err = r.batchWords(ctx)
	case plan.ModeNone, plan.ModeDiagnostics:
		return nil, nil
	default:
		return nil, fmt.Errorf("unknown mode %q", r.Plan.Lead.Mode)
	}
	if err != nil {
		return nil, err
	}
	if text := r.Plan.Lead.Prefix; text != "" {
		prefix, err := shellsplit.Expand(ctx, text, r.Environ)
		if err != nil {
			return nil, fmt.Errorf("commands.prefix: %w", err)
		}
		words = append(prefix, words...)
	}
	return words, nil
}

// commandWords returns the words of the user's command. A script is itself a program.
func (r *runner) commandWords() []string {
	if r.Plan.Lead.Script != "" {
		return []string{r.File(pod.FileScript)}
	}
	return shellsplit.Command(r.Plan.Lead.Command)
}

// submitWords returns a command line that submits the command as a job and shows its output. showLines makes it appear
// line by line.
func (r *runner) submitWords(ctx context.Context) ([]string, error) {
	words := []string{"flux", "submit"}
	if text := r.Plan.Lead.SubmitCommand; text != "" {
		var err error
		if words, err = shellsplit.Expand(ctx, text, r.Environ); err != nil {
			return nil, fmt.Errorf("flux.submitCommand: %w", err)
		}
	}
	flags, err := r.submitFlags(ctx)
	if err != nil {
		return nil, err
	}
	words = append(append(words, flags...), "--quiet", "--watch")
	return append(words, r.commandWords()...), nil
}

// submitFlags returns the options of flux submit and flux batch.
func (r *runner) submitFlags(ctx context.Context) ([]string, error) {
	flags := nodeFlags(r.Plan)
	if text := r.Plan.Lead.OptionFlags; text != "" {
		words, err := shellsplit.Expand(ctx, text, r.Environ)
		if err != nil {
			return nil, fmt.Errorf("flux.optionFlags: %w", err)
		}
		flags = append(flags, words...)
	}
	if r.Plan.Logging.Debug {
		flags = append(flags, "-vvv")
	}
	return flags, nil
}

// nodeFlags returns the options for the nodes and tasks of the spec. The size is that at creation.
func nodeFlags(p *plan.Plan) []string {
	nodes := fmt.Sprintf("-N%d", p.Size)
	tasks := fmt.Sprintf("-n%d", p.Lead.Tasks)
	switch {
	case p.Lead.Tasks == 0:
		return []string{nodes}
	case p.Lead.Tasks >= p.Size:
		return []string{nodes, tasks}
	default:
		return []string{tasks}
	}
}
