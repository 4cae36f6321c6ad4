package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// commandWords are the words of the user's command: those of plain words
// themselves, otherwise those of a shell that understands the rest. A script is a
// program of its own.
func (a *agent) commandWords() []string {
	lead := &a.plan.Lead
	if lead.Script != "" {
		return []string{a.marker(markerScript)}
	}
	return shellWords(lead.Command)
}

// shellWords runs a text as a shell would: plain words are a program and its
// arguments.
func shellWords(command string) []string {
	if words, plain := splitWords(command); plain && len(words) > 0 {
		return words
	}
	return []string{shell, "-c", command}
}

// expandWords are the words that a text is in a shell with this environment.
// Plain ones need no shell.
func expandWords(ctx context.Context, text string, env []string) ([]string, error) {
	if words, plain := splitWords(text); plain {
		return words, nil
	}
	cmd := exec.CommandContext(ctx, shell, "-c", `printf '%s\0' `+text)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("splitting %q into words: %w", text, err)
	}
	words := strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00")
	return words, nil
}

// scriptText is a script that the system can execute: one that names no interpreter
// is for the shell that images have.
func (a *agent) scriptText(script string) []byte {
	if strings.HasPrefix(script, "#!") {
		return []byte(script)
	}
	return []byte("#!" + a.scriptShell() + "\n" + script)
}

// scriptShell is bash where the image has it, since flux-operator runs scripts with
// it.
func (a *agent) scriptShell() string {
	const bash = "/bin/bash"
	if _, err := os.Stat(bash); err == nil {
		return bash
	}
	return shell
}

// nodeFlags ask for the nodes and tasks of the spec. Size is that at creation.
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

// submitFlags are the options of flux submit and flux batch.
func (a *agent) submitFlags(ctx context.Context) ([]string, error) {
	flags := nodeFlags(a.plan)
	if text := a.plan.Lead.OptionFlags; text != "" {
		words, err := expandWords(ctx, text, a.environ)
		if err != nil {
			return nil, fmt.Errorf("flux.optionFlags: %w", err)
		}
		flags = append(flags, words...)
	}
	if a.plan.Logging.Debug {
		flags = append(flags, "-vvv")
	}
	return flags, nil
}
