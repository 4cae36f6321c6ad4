package agent

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// nastyCommands are commands with all constructs that were ever lost on the way through a script. The output does not
// depend on how they run.
var nastyCommands = []string{
	"echo hello",
	"echo 'a  b'",
	`echo "a  b"`,
	`echo a\ \ b`,
	`echo "it's"`,
	`echo 'say "hi"'`,
	`echo "say \"hi\""`,
	`echo '$HOME'`,
	`echo "\$HOME"`,
	`echo \$HOME`,
	`X=1; echo "$X"`,
	`X=1 sh -c 'echo $X'`,
	"echo `echo inner`",
	"echo $(echo inner)",
	"echo $((6 * 7))",
	`echo 'back\slash'`,
	`printf '%s\n' 'back\\slash'`,
	`printf '%s|' a "" b`,
	"printf 'two\nlines\n'",
	"printf 'no newline'",
	"echo one\necho two",
	"echo one\n\n# a comment\necho two\n",
	"echo one; echo two",
	"echo one && echo two",
	"false || echo two",
	"echo ONE | tr A-Z a-z",
	"echo lost > /dev/null; echo kept",
	"(echo in a subshell)",
	"{ echo in a group; }",
	"if true; then echo yes; fi",
	"for i in 1 2 3; do echo $i; done",
	"cat <<END\nhere $((1 + 1))\nEND\n",
	"echo ünïcödé ☃ 🚀",
	"echo 'ünï' | cat",
	"echo '*' '?' '[a]'",
	"echo a=b --flag=x -n",
	"echo '#' no#comment",
	"echo '%s %d 100%'",
	"echo '!' '~' '{a,b}'",
	"echo '; rm -rf nothing' '&' '|' '<' '>'",
	"echo a \\\n  b",
	"exec echo replaced",
	"echo 'tab\there'",
	`sh -c "sh -c \"echo '\\\$deep'\""`,
}

// printed returns what a command prints in a shell.
func printed(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).Output()
	require.NoError(t, err, "%q", command)
	return string(out)
}

func TestNastyCommands(t *testing.T) {
	require.GreaterOrEqual(t, len(nastyCommands), 40)
	for i, command := range nastyCommands {
		if testing.Short() && i%8 != 0 {
			continue // slow
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			want := printed(t, command)
			p := newPod(t)
			p.plan.Logging.Quiet = true
			for _, mode := range []plan.Mode{plan.ModeLauncher, plan.ModeSubmit} {
				p.plan.Lead.Mode, p.plan.Lead.Command, p.plan.Lead.Script = mode, command, ""
				assert.Equal(t, 0, p.run("run"))
				assert.Equal(t, want, p.stdout.String(), "%s %q", mode, command)
				p.plan.Lead.Command, p.plan.Lead.Script = "", command
				assert.Equal(t, 0, p.run("run"))
				assert.Equal(t, want, p.stdout.String(), "%s, as a script: %q", mode, command)
			}
			p.plan.Lead = plan.Program{Mode: plan.ModeBatch, BatchRaw: true, Command: command, Tasks: 1}
			assert.Equal(t, 0, p.run("run"))
			assert.Empty(t, p.stdout.String())
			assert.Equal(t, want, p.read("flux.log.batch"), "batch: %q", command)

			p.plan.Sidecars = []plan.Sidecar{{Name: "x", Command: command}}
			assert.Equal(t, 0, p.run("sidecar", "--container", "x"))
			assert.Equal(t, want, p.stdout.String(), "sidecar: %q", command)

			p.plan.Lead = plan.Program{Mode: plan.ModeNone}
			p.plan.Hooks = plan.Hooks{Post: command, Init: command}
			p.plan.Logging.Quiet = false
			p.env = append(p.env, "FAKE_BROKER="+p.path("broker.sh"))
			p.write("broker.sh", "exit 0")
			assert.Equal(t, 0, p.run("run"))
			assert.Equal(t, want+want, p.stdout.String(), "hook: %q", command)
		})
	}
}

func TestScriptHonoursItsInterpreter(t *testing.T) {
	p := newPod(t)
	p.plan.Lead.Mode = plan.ModeLauncher
	p.plan.Lead.Script = "#!/usr/bin/env -S awk -f\nBEGIN { print \"awk\" }\n"
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, "awk\n", p.stdout.String())
}

func TestBatch(t *testing.T) {
	p := newPod(t)
	p.plan.Lead = plan.Program{
		Mode: plan.ModeBatch, Tasks: 1, Logs: "/logs",
		Command: "echo 'a  b'\n\n# a comment\nsh -c 'exit 3'\necho $((1 + 1))\n",
	}
	assert.Equal(t, 0, p.run("run"))
	assert.Equal(t, "f123\n", p.stdout.String(), "the job's number")
	assert.DirExists(t, p.path("logs"))

	p.plan.Lead = plan.Program{Mode: plan.ModeBatch, Tasks: 1, BatchRaw: true, Command: "exit 4"}
	assert.Equal(t, 4, p.run("run"), "the script's own code")
}
