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
	regexp.MustCompile(`(?m)(?:^|[;&|({]|\b(?:then|do|else|if|while))\s*((?:source|shopt|declare|typeset|pushd|popd|let|mapfile|readarray|select|coproc) |function \w+|export -f |printf -v |read -[aed]|trap [^\n;]* (?:ERR|DEBUG|RETURN)\b|\(\()`),
	regexp.MustCompile(`\bfor \(\(`),
	regexp.MustCompile(`\bset -\w*o pipefail\b`),
	regexp.MustCompile(`\{\w+\.\.\w+\}`),
	regexp.MustCompile(`(?:^|[ \t/])\{\w[^\s{}$;]*,[^\s{}$;]*\}`),
	regexp.MustCompile(`\$\{!?\w+(?:\[|\^|,|/|:\d|@)`),
	regexp.MustCompile(`\$\{!\w+`),
	regexp.MustCompile(`\$'`),
	regexp.MustCompile(`(?m)^\s*\w+\+?=\(`),
	regexp.MustCompile(`(?m)^\s*\w+\+=`),
	regexp.MustCompile(`<<<|[<>]\(|&>|\|&`),
	regexp.MustCompile(`\$\{?(?:RANDOM|BASH_SOURCE|BASH_VERSION|PIPESTATUS|SECONDS)\b`),
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

// warnShell adds constructs of bash in hooks, scripts and commands, and programs of other languages in hooks.
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
	if h := c.Commands; h != nil {
		scripts["commands.script"] = h.Script
	}
	scripts["command"] = c.Command
	for _, name := range slices.Sorted(maps.Keys(scripts)) {
		if interpreter(scripts[name]) != "" || callsBash.MatchString(scripts[name]) {
			continue
		}
		match := findBashism(quotedText.ReplaceAllString(scripts[name], "''"))
		mode := fluxconfig.Mode(mc)
		switch {
		case match == "":
		case name == "command" && c == &mc.Spec.Containers[max(mc.FluxContainerIndex(), 0)] && (mode == plan.ModeSubmit || mode == plan.ModeLauncher):
			add(at.Child(name), "%q is a construct of bash, and /bin/sh runs the command: use commands.script", match)
		default:
			add(at.Child(name), "%q is a construct of bash: it fails where the image has no bash", match)
		}
	}
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
