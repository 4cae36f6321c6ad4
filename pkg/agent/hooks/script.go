package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"minicluster.internal/operator/pkg/agent/shellsplit"
)

// script is the shell script around the text of a hook. It saves the exported variables and the working directory of
// the text.
type script struct {
	// file contains the text.
	file string
	// save is a command that calls SaveState.
	save []string
	// variables are set for the text, and not exported.
	variables map[string]string
	// strict ends the text at the first command that fails.
	strict bool
}

// ownPrefix begins the names of the variables and functions of the script.
const ownPrefix = "minicluster_"

// args returns the arguments of the shell.
//
// The text is sourced, so that nothing in it can break the script. The state is saved after the text, and by a trap if
// the text calls exit. A text that replaces the trap and exits, or that replaces the shell (exec), leaves no state.
func (h *script) args() []string {
	save := make([]string, 0, len(h.save))
	for _, word := range h.save {
		save = append(save, shellsplit.Quote(word))
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.variables)) {
		fmt.Fprintf(&text, "%s=%s\n", name, shellsplit.Quote(h.variables[name]))
	}
	fmt.Fprintf(&text, `minicluster_save() { if test -z "$minicluster_saved"; then minicluster_saved=1; %s; fi; }
minicluster_saved=
trap minicluster_save EXIT
`, strings.Join(save, " "))
	if h.strict {
		text.WriteString("set -e\n")
	}
	fmt.Fprintf(&text, `. %s
minicluster_code=$?
set +e
minicluster_save
exit $minicluster_code
`, shellsplit.Quote(h.file))
	return []string{"-c", text.String()}
}
