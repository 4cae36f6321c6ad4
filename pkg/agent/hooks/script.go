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
	// variablesFile passes variables that are not exported, and functions, from hook to hook, if bash runs them.
	variablesFile string
	// strict ends the text at the first command that fails.
	strict bool
}

// ownPrefix begins the names of the variables and functions of the script.
const ownPrefix = "minicluster_"

// keepVariables restores the variables and functions of the previous hook, and defines a function that prints those of
// this one, without exported variables and those of bash itself. The options of shopt come first, because functions
// may contain patterns that bash only reads with extglob. A variable that the agent has exported since then keeps the
// value of the agent. It is text for bash, which other shells cannot parse.
const keepVariables = `minicluster_file=
if [ -n "${BASH_VERSION-}" ]; then
minicluster_file=%s
eval '. "$minicluster_file" 2>/dev/null
minicluster_keep() {
shopt -p
shopt -u nocasematch
local IFS=$'"'\n'"' minicluster_name
local minicluster_exported=$IFS$(compgen -e)$IFS
for minicluster_name in $(compgen -v); do
case $minicluster_name in
BASH*|COMP_*|DIRSTACK|EPOCH*|EUID|FUNCNAME|GROUPS|HISTCMD|HOSTNAME|HOSTTYPE|IFS|LINENO|MACHTYPE|MAILCHECK|OPTARG|OPTERR|\
OPTIND|OSTYPE|PATH|PIPESTATUS|PPID|PS?|RANDOM|SECONDS|SHELL|SHELLOPTS|SRANDOM|TERM|UID|_|minicluster_*) continue ;;
esac
case $minicluster_exported in
*$IFS$minicluster_name$IFS*) ;;
*) builtin printf "[[ \${%%s+x} ]] || " "$minicluster_name"; declare -p "$minicluster_name" ;;
esac
done
declare -f
}'
fi
`

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
	fmt.Fprintf(&text, keepVariables, shellsplit.Quote(h.variablesFile))
	for _, name := range slices.Sorted(maps.Keys(h.variables)) {
		fmt.Fprintf(&text, "%s=%s\n", name, shellsplit.Quote(h.variables[name]))
	}
	fmt.Fprintf(&text, `minicluster_ulimit=$(ulimit -Sa; ulimit -Ha)
minicluster_save() {
{ set +eux; } 2>/dev/null
if [ -n "$minicluster_saved" ]; then return; fi
minicluster_saved=1
if [ -n "$minicluster_file" ]; then minicluster_keep >|"$minicluster_file"; fi 2>/dev/null
%s "$([ "$(ulimit -Sa; ulimit -Ha)" = "$minicluster_ulimit" ] || echo limited)"
}
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
command exit $minicluster_code
`, shellsplit.Quote(h.file))
	return []string{"-c", text.String()}
}
