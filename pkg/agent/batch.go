package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// envOutputDir names the directory of the output and error files of batch jobs.
const envOutputDir = "FLUX_OUTPUT_DIR"

// batchScript is the script of flux batch. Each line is one for a shell: a job of
// its own, or in raw mode what the user wrote.
func (a *agent) batchScript() []byte {
	lead := &a.plan.Lead
	if lead.Script != "" {
		return a.scriptText(lead.Script)
	}
	if lead.BatchRaw {
		return a.scriptText(lead.Command)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!%s\n", a.scriptShell())
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

// batchWords submit the script and wait for it. The job's number is the only thing
// that flux batch prints; the output of the script is in a file.
func (a *agent) batchWords(ctx context.Context) ([]string, error) {
	dir, err := os.MkdirTemp("", "minicluster-batch-")
	if err != nil {
		return nil, fmt.Errorf("making a place for the batch script: %w", err)
	}
	file := filepath.Join(dir, "flux-job.batch")
	if err := os.WriteFile(file, a.batchScript(), 0o755); err != nil {
		return nil, fmt.Errorf("writing the batch script: %w", err)
	}
	flags, err := a.submitFlags(ctx)
	if err != nil {
		return nil, err
	}
	program := batchProgram
	if a.plan.Logging.Quiet {
		program = strings.Replace(program, `echo "$id"`, "true", 1)
	}
	return append(append([]string{shell, "-c", program, "batch", file}, flags...), "--flags", "waitable"), nil
}

// batchProgram submits a script with the options that follow it, and ends as the
// job does.
const batchProgram = `file=$1; shift; id=$(flux batch "$@" "$file") && echo "$id" && exec flux job status "$id"`
