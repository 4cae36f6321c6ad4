package initial

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"minicluster.internal/operator/pkg/agent/shellsplit"
)

// envOutputDir is the variable with the directory of the output and error files of batch jobs.
const envOutputDir = "FLUX_OUTPUT_DIR"

// batchScript returns the script of flux batch. Each line of the command becomes a job; in raw mode the command is the
// script.
func (r *runner) batchScript() []byte {
	lead := &r.Plan.Lead
	if lead.Script != "" {
		return shellsplit.Script(lead.Script)
	}
	if lead.BatchRaw {
		return shellsplit.Script(lead.Command)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!%s\n", shellsplit.ScriptShell())
	for i, line := range strings.Split(lead.Command, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
		case strings.HasPrefix(trimmed, "#"):
			fmt.Fprintln(&b, line)
		default:
			fmt.Fprintf(&b, "flux submit --flags waitable --error=\"${%[1]s}\"/job-%[2]d.err --output=\"${%[1]s}\"/job-%[2]d.out %[3]s\n", envOutputDir, i, line)
		}
	}
	b.WriteString("flux queue idle\nflux jobs -a\nflux job wait --all\n")
	return []byte(b.String())
}

// batchWords returns a command line that submits the script and waits for it. flux batch prints only the job ID; the
// output of the script goes to a file.
func (r *runner) batchWords(ctx context.Context) ([]string, error) {
	dir, err := os.MkdirTemp("", "minicluster-batch-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the batch script: %w", err)
	}
	file := filepath.Join(dir, "flux-job.batch")
	if err := os.WriteFile(file, r.batchScript(), 0o755); err != nil {
		return nil, fmt.Errorf("writing the batch script: %w", err)
	}
	flags, err := r.submitFlags(ctx)
	if err != nil {
		return nil, err
	}
	program := batchProgram
	if r.Plan.Logging.Quiet {
		program = strings.Replace(program, `echo "$id"`, "true", 1)
	}
	return append(append([]string{shellsplit.Shell, "-c", program, "batch", file}, flags...), "--flags", "waitable"), nil
}

// batchProgram submits a script with the options that follow it, and exits with the code of the job.
const batchProgram = `file=$1; shift; id=$(flux batch "$@" "$file") && echo "$id" && exec flux job status "$id"`
