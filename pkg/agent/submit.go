package agent

import (
	"context"
	"fmt"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// programWords are the words of the initial program of a mode, nil for a mode that
// only waits.
func (a *agent) programWords(ctx context.Context) ([]string, error) {
	var words []string
	var err error
	switch a.plan.Lead.Mode {
	case plan.ModeLauncher:
		words = a.commandWords()
	case plan.ModeSubmit:
		words, err = a.submitWords(ctx)
	case plan.ModeBatch:
		words, err = a.batchWords(ctx)
	case plan.ModeNone, plan.ModeDiagnostics:
		return nil, nil
	default:
		return nil, fmt.Errorf("unknown mode %q", a.plan.Lead.Mode)
	}
	if err != nil {
		return nil, err
	}
	if text := a.plan.Lead.Prefix; text != "" {
		prefix, err := expandWords(ctx, text, a.environ)
		if err != nil {
			return nil, fmt.Errorf("commands.prefix: %w", err)
		}
		words = append(prefix, words...)
	}
	return words, nil
}

// submitWords submit the command as a job, and show its output as it comes.
func (a *agent) submitWords(ctx context.Context) ([]string, error) {
	words := []string{"flux", "submit"}
	if text := a.plan.Lead.SubmitCommand; text != "" {
		own, err := expandWords(ctx, text, a.environ)
		if err != nil {
			return nil, fmt.Errorf("flux.submitCommand: %w", err)
		}
		words = own
	}
	flags, err := a.submitFlags(ctx)
	if err != nil {
		return nil, err
	}
	words = append(append(words, flags...), "--quiet", "--watch")
	return append(words, a.commandWords()...), nil
}
