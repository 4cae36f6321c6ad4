package initial

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

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
	fmt.Fprintf(&b, "#!%s\n%s", shellsplit.ScriptShell(), batchHead)
	for i, line := range strings.Split(lead.Command, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
		case strings.HasPrefix(trimmed, "#"):
			fmt.Fprintln(&b, line)
		default:
			fmt.Fprintf(&b, "flux submit --flags waitable --error=\"${%[1]s}\"/job-%[2]d.err --output=\"${%[1]s}\"/job-%[2]d.out %[3]s\nminicluster_check %[4]d\n",
				envOutputDir, i, line, i+1)
		}
	}
	b.WriteString(batchTail)
	return []byte(b.String())
}

// batchHead and batchTail surround the jobs of a batch script. If flux submit rejects a line, the script continues
// with the next line and fails at the end, as it does if a job fails.
const (
	batchHead = `minicluster_code=0
minicluster_check() {
  minicluster_status=$?
  if test $minicluster_status != 0; then
    echo "line $1 of the command failed with exit code $minicluster_status" >&2
    minicluster_code=$minicluster_status
  fi
}
`
	batchTail = `flux queue idle
flux jobs -a
flux job wait --all || minicluster_code=$?
exit $minicluster_code
`
)

// fileBatch is the name of the pod file with the batch script.
const fileBatch = "flux-job.batch"

// batchWords returns a command line that submits the script and waits for it. flux batch prints only the job ID; the
// output of the script goes to a file in the working directory, or, if that is not writable, in the one of the jobs.
func (r *runner) batchWords(ctx context.Context) ([]string, error) {
	if err := r.WriteFile(fileBatch, r.batchScript(), 0o755); err != nil {
		return nil, err
	}
	flags, err := r.submitFlags(ctx)
	if err != nil {
		return nil, err
	}
	output := "flux-" // the job ID follows
	if slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "--output") }) {
		output = ""
	} else if unix.Access(".", unix.W_OK|unix.X_OK) != nil {
		dir := r.Getenv(envOutputDir)
		output = filepath.Join(dir, output)
		flags = append(flags, "--output="+output+"{{id}}.out")
	}
	program := batchProgram
	if r.Plan.Logging.Quiet {
		program = batchQuietly
	}
	words := append([]string{shellsplit.Shell, "-c", program, "batch", r.File(fileBatch), output}, flags...)
	return append(words, "--flags", "waitable"), nil
}

const (
	// batchQuietly submits a script with the options that follow it, and exits with the code of the job.
	batchQuietly = `file=$1; shift 2; id=$(flux batch "$@" "$file") && exec flux job status "$id"`
	// batchProgram also prints the job ID and why a job failed. $2 is the beginning of the name of the file with its
	// output.
	batchProgram = `file=$1 output=$2; shift 2
id=$(flux batch "$@" "$file") || exit
echo "$id"
flux job status "$id" 2>/dev/null && exit
code=$?
flux job attach "$id" >&2
output=$output$id.out
if test -r "$output"; then
  echo "the batch job failed; the end of its output in $output:" >&2
  tail -n 20 "$output" >&2
fi
exit $code`
)
