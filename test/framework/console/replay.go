package console

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

var update = flag.Bool("update", false, "write the outputs of commands to the pages")

const (
	// updatePatience is how long a command may take to print what the page shows before the page is updated.
	updatePatience = 20 * time.Second
	pollInterval   = 300 * time.Millisecond
)

// tutorialNamespace is the namespace that tutorials name.
const tutorialNamespace = "flux-operator"

// Replay runs the commands of a page in a namespace of the test.
type Replay struct {
	Cluster   *cluster.Cluster
	Namespace string
	// Root is the repository.
	Root string
	// Page is a Markdown file, from the root.
	Page string
	// Skip has commands that are not run, by their beginning, each with the reason.
	Skip map[string]string
	// Patience is how long a command that only reads is repeated until it prints what the page shows.
	Patience time.Duration

	copied string
}

// Run runs the commands in their order, and fails the test if one prints something else than the page shows.
func (r *Replay) Run(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Root, r.Page))
	require.NoError(t, err)
	dir := r.dir(t)
	compared := 0
	for _, command := range Parse(string(text)) {
		if reason := r.skipped(command.Line); reason != "" {
			t.Logf("%s:%d: not run: %s", r.Page, command.Number, reason)
			continue
		}
		r.compare(t, dir, command)
		if command.Output != "" {
			compared++
		}
	}
	require.Positive(t, compared, "%s shows no output", r.Page)
	t.Logf("%s: %d outputs are as shown", r.Page, compared)
}

// Type runs a command that the page assumes to have been run before.
func (r *Replay) Type(t *testing.T, line string) {
	t.Helper()
	t.Logf("%s: %s", line, r.run(t.Context(), r.dir(t), line))
}

// dir returns a folder with a copy of the examples, in the test's namespace.
func (r *Replay) dir(t *testing.T) string {
	t.Helper()
	if r.copied != "" {
		return r.copied
	}
	dir := t.TempDir()
	r.copied = dir
	examples := filepath.Join(dir, "examples")
	require.NoError(t, os.CopyFS(examples, os.DirFS(filepath.Join(r.Root, "examples"))))
	require.NoError(t, filepath.WalkDir(examples, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "namespace: "+tutorialNamespace, "namespace: "+r.Namespace)), 0o600)
	}))
	return dir
}

func (r *Replay) skipped(line string) string {
	for beginning, reason := range r.Skip {
		if strings.HasPrefix(line, beginning) {
			return reason
		}
	}
	return ""
}

// compare runs a command until it prints what the page shows, or once if it changes something.
func (r *Replay) compare(t *testing.T, dir string, command Command) {
	t.Helper()
	want, last := Normalize(command.Output), ""
	check := func(ctx context.Context) (string, error) {
		got := strings.ReplaceAll(r.run(ctx, dir, command.Line), r.Namespace, tutorialNamespace)
		if command.Output == "" || Normalize(got) == want {
			return "", nil
		}
		if ctx.Err() == nil { // a command that is interrupted prints nothing
			last = got
		}
		return "it prints\n" + last + "\nnormalized\n" + Normalize(last) + "\ninstead of\n" + want, nil
	}
	if *update {
		r.update(t, command, check, &last)
		return
	}
	if Repeatable(command.Line) {
		user.Eventually(t, r.Patience, r.Page+": "+command.Line, check)
		return
	}
	difference, err := check(t.Context())
	require.NoError(t, err)
	require.Empty(t, difference, "%s:%d: %s", r.Page, command.Number, command.Line)
}

// update writes what a command prints to the page, if that is not what the page shows after a while.
func (r *Replay) update(t *testing.T, command Command, check func(context.Context) (string, error), last *string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	difference := ""
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		var err error
		difference, err = check(ctx)
		return difference == "" || !Repeatable(command.Line), err
	})
	if difference == "" || *last == "" {
		return
	}
	t.Logf("%s:%d: updated (%v)", r.Page, command.Number, err)
	path := filepath.Join(r.Root, r.Page)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	shown := strings.TrimRight(command.Output, "\n")
	changed := strings.Replace(string(text), shown, strings.TrimRight(*last, "\n"), 1)
	require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
}

// run returns all that a command prints. Some commands of tutorials fail on purpose, so their exit code is ignored.
func (r *Replay) run(ctx context.Context, dir, line string) string {
	var output bytes.Buffer
	shell := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(line, tutorialNamespace, r.Namespace))
	shell.Dir = dir
	shell.Env = append(os.Environ(),
		"PATH="+filepath.Dir(r.Cluster.KubectlPath())+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+r.Cluster.Kubeconfig(), "KUBECACHEDIR="+filepath.Join(dir, "cache"), "KUBERC=off")
	shell.Stdout, shell.Stderr = &output, &output
	_ = shell.Run()
	return output.String()
}
