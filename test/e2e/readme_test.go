package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"minicluster.internal/operator/test/framework/node"
)

// typed is a command of a text, and the output that the text shows; "" if it shows none.
type typed struct{ command, answer string }

// console returns the commands of a text in order.
func console(text string) []typed {
	var all []typed
	inside := false
	for line := range strings.Lines(text) {
		command, begins := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = strings.TrimSpace(line) == "```console"
		case !inside:
		case begins:
			all = append(all, typed{command: strings.TrimSuffix(command, "\n")})
		case len(all) == 0:
		case strings.HasSuffix(all[len(all)-1].command, `\`):
			all[len(all)-1].command += "\n" + strings.TrimSuffix(line, "\n")
		default:
			all[len(all)-1].answer += line
		}
	}
	return all
}

// terminal runs commands as an administrator of a cluster.
type terminal struct {
	dir string
	env []string
}

func newTerminal(kube *node.Node, dir string) terminal {
	return terminal{dir, append(os.Environ(),
		"PATH="+filepath.Dir(kube.KubectlPath())+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+kube.Kubeconfig(), "KUBECACHEDIR="+filepath.Join(kube.Dir(), "terminal-cache"), "KUBERC=off",
	)}
}

func (o terminal) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	cmd.Dir, cmd.Env = o.dir, o.env
	return cmd
}

// run returns the whole output of a command.
func (o terminal) run(ctx context.Context, line string) (string, error) {
	var output bytes.Buffer
	cmd := o.command(ctx, line)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("%s: %w: %s", line, err, output.String())
	}
	return output.String(), nil
}
