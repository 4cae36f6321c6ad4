package resources

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// shellWords are words at the beginning of a line that only a shell understands.
var shellWords = []string{
	"!", "{", "}", "(", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "then", "until", "while", "[[",
	".", ":", "cd", "export", "readonly", "set", "source", "trap", "ulimit", "umask", "unset", "wait",
}

var assignment = regexp.MustCompile(`^\w+=`)

// warnBatch adds lines of a batch command that are no job: the batch script submits each line by itself.
func warnBatch(c *v1alpha2.MiniClusterContainer, path *field.Path, add warn) {
	if !c.Batch || c.BatchRaw || c.Command == "" {
		return
	}
	const fix = ": set batchRaw, and submit the jobs with flux submit"
	for number, line := range strings.Split(c.Command, "\n") {
		text := readShell(line)
		if len(text.words) == 0 {
			continue
		}
		switch first := text.words[0]; {
		case strings.HasSuffix(line, "\\"):
			add(path, "line %d: a job is one line, and this one ends with a backslash: join the lines", number+1)
		case slices.Contains(shellWords, first) || assignment.MatchString(first):
			add(path, "line %d: each line is a job, and %q is no program"+fix, number+1, first)
		case text.operator != 0:
			add(path, "line %d: each line is a job, and %q applies to flux submit and not to the job"+fix, number+1, string(text.operator))
		default:
			continue
		}
		return // further lines have the same cause
	}
}
