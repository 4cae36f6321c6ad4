package resources

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
)

// bashisms match constructs of bash that sh does not support.
var bashisms = []*regexp.Regexp{
	regexp.MustCompile(`\[\[ `),
	regexp.MustCompile(`\[ [^]\n]* == `),
	// Words at the beginning of a command.
	regexp.MustCompile(`(?m)(?:^|[;&|({]|\b(?:then|do|else|if|while))\s*((?:source|shopt|declare|typeset|pushd|popd|let|mapfile|readarray|select|coproc|disown|time) |function \w+|export -[fn] |test \S+ == |export \w+=\(|printf -v |read -[aednstu]|wait -n|set -\w*E|trap [^\n;]* (?:ERR|DEBUG|RETURN)\b|\(\()`),
	regexp.MustCompile(`\bfor \(\(`),
	regexp.MustCompile(`\$\(\([^()\n]*(?:\+\+|--)[^()\n]*\)\)`),
	regexp.MustCompile(`\bset -\w*o pipefail\b`),
	regexp.MustCompile(`\{\w+\.\.\w+\}`),
	regexp.MustCompile(`(?:^|[ \t/])\{\w[^\s{}$;]*,[^\s{}$;]*\}`),
	regexp.MustCompile(`\$\{!?\w+(?:\[|\^|,|/|:\d|@)`),
	regexp.MustCompile(`\$\{!\w+`),
	regexp.MustCompile(`\$'`),
	regexp.MustCompile(`(?m)^\s*\w+\+?=\(`),
	regexp.MustCompile(`(?m)^\s*\w+\+=`),
	regexp.MustCompile(`<<<|[<>]\(|&>|\|&|;;?&|\$\(< *[^\s()]+ *\)|>& *[^-$"\d&\s]`),
	regexp.MustCompile(`\$(?:RANDOM|BASH_SOURCE|BASH_VERSION|PIPESTATUS|SECONDS|E?UID|OSTYPE)\b|\$\{(?:RANDOM|BASH_SOURCE|BASH_VERSION|PIPESTATUS|SECONDS|E?UID|OSTYPE)\}`),
}

// findBashism returns the first construct of bash in a script, and "" if there is none.
func findBashism(script string) string {
	found, begin := "", len(script)
	for _, expression := range bashisms {
		if at := expression.FindStringSubmatchIndex(script); at != nil && at[0] < begin {
			match := script[at[0]:at[1]]
			if len(at) > 2 {
				match = script[at[2]:at[3]]
			}
			found, begin = strings.TrimSpace(match), at[0]
		}
	}
	return found
}

// quotedText matches texts in single quotes and comments, which a shell does not execute.
var quotedText = regexp.MustCompile(`(?ms)'[^']*'|^\s*#[^\n]*`)

// warnShell adds constructs of bash in hooks, scripts and commands, programs of other languages in hooks, and quotes
// that are not closed.
func warnShell(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, at *field.Path, add warn) {
	scripts := map[string]string{"preCommand": c.PreCommand}
	if h := c.Commands; h != nil {
		maps.Copy(scripts, map[string]string{
			"commands.init": h.Init, "commands.pre": h.Pre, "commands.brokerPre": h.BrokerPre, "commands.workerPre": h.WorkerPre,
			"commands.servicePre": h.ServicePre, "commands.post": h.Post,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if program := interpreter(scripts[name]); program != "" && !strings.HasSuffix(program, "sh") {
			add(at.Child(name), "a shell runs hooks, not %s: call a script of the image instead", program)
			delete(scripts, name)
		}
	}
	if h := c.Commands; h != nil && (interpreter(h.Script) == "" || strings.HasSuffix(interpreter(h.Script), "sh")) {
		scripts["commands.script"] = h.Script
	}
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if !warnQuotes(scripts[name], at.Child(name), add) && interpreter(scripts[name]) == "" {
			if match := findBashism(executed(scripts[name])); match != "" {
				add(at.Child(name), bashOnly, match)
			}
		}
	}
	warnCommand(mc, c, at.Child("command"), add)
}

const bashOnly = "%q is a construct of bash: it fails where the image has no bash"

// warnCommand adds what the shell that runs the command of a container of the cluster does not understand.
func warnCommand(mc *v1alpha2.MiniCluster, c *v1alpha2.MiniClusterContainer, at *field.Path, add warn) {
	flux := mc.FluxContainerIndex()
	if flux < 0 || c != &mc.Spec.Containers[flux] {
		warnShellCommand(c.Command, false, at, add)
		return
	}
	mode := fluxconfig.Mode(mc)
	switch {
	case c.Batch && c.BatchRaw && interpreter(c.Command) != "":
	case c.Batch && !c.BatchRaw:
		if !warnQuotes(c.Command, at, add) && !warnInterpreter(c.Command, false, at, add) {
			warnBatch(c, at, add)
		}
	default:
		warnShellCommand(c.Command, mode == plan.ModeSubmit || mode == plan.ModeLauncher, at, add)
	}
}

// warnShellCommand is warnCommand for a command that a shell runs: /bin/sh, or bash where the image has it.
func warnShellCommand(command string, sh bool, at *field.Path, add warn) {
	if warnQuotes(command, at, add) || callsBash.MatchString(command) || warnInterpreter(command, sh, at, add) {
		return
	}
	switch match := findBashism(executed(command)); {
	case background.MatchString(lineEnds.ReplaceAllString(executed(command), "")):
		add(at, "ends with &, so that the shell, and with it the program, ends at once: remove the &")
	case match == "":
	case sh:
		add(at, "%q is a construct of bash, and /bin/sh runs the command: use commands.script", match)
	default:
		add(at, bashOnly, match)
	}
}

// background matches a command whose last part runs in the background.
var background = regexp.MustCompile(`[^&;|>\\]&\s*$`)

// lineEnds matches comments after a command.
var lineEnds = regexp.MustCompile(`[ \t]#[^\n]*`)

// warnServiceCommand is warnCommand for a container of the services pod, which runs no script: /bin/sh runs its
// command.
func warnServiceCommand(command string, at *field.Path, add warn) {
	const fix = "call a script of the image, or of a ConfigMap, instead"
	if warnQuotes(command, at, add) || callsBash.MatchString(command) {
		return
	}
	program, match := interpreter(command), findBashism(executed(command))
	switch {
	case program != "" && !strings.HasSuffix(program, "sh"):
		add(at, "/bin/sh runs the command, and not %s, which its first line names: "+fix, program)
	case match != "":
		add(at, "%q is a construct of bash, and /bin/sh runs the command: "+fix, match)
	}
}

// warnInterpreter adds a first line that names another program than the shell that runs the command, and reports
// whether there is one.
func warnInterpreter(command string, sh bool, at *field.Path, add warn) bool {
	program := interpreter(command)
	other := program != "" && (!strings.HasSuffix(program, "sh") || sh && program == "bash" && findBashism(executed(command)) != "")
	if other {
		add(at, "a shell runs the command, and not %s, which its first line names: use commands.script", program)
	}
	return other
}

// warnQuotes adds a quote that is not closed, and reports whether there is one.
func warnQuotes(script string, at *field.Path, add warn) bool {
	open := readShell(withoutHereDocuments(script)).open
	if open != 0 {
		add(at, "the quote %c is not closed, so the shell runs nothing of the text: close it", open)
	}
	return open != 0
}

// executed returns the parts of a script that the shell executes.
func executed(script string) string {
	return quotedText.ReplaceAllString(withoutHereDocuments(script), "''")
}

// callsBash matches a command that runs bash itself.
var callsBash = regexp.MustCompile(`^\s*(exec )?(/\S*/)?(env )?bash `)

// interpreter returns the program in the first line of a script (#!), and "" if it names none.
func interpreter(script string) string {
	line, _, _ := strings.Cut(script, "\n")
	line, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return ""
	}
	for _, word := range strings.Fields(line) {
		if name := path.Base(word); name != "env" && !strings.HasPrefix(name, "-") {
			return name
		}
	}
	return ""
}
