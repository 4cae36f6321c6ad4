package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// TestLinesRealFlux checks that each line of a job in submit mode is in the log of the lead while the job runs, with
// all options: the job waits for a file that the test creates when it has seen the line.
func TestLinesRealFlux(t *testing.T) {
	const waiting = `while ! test -e $SHARED/continue; do sleep 0.05; done; `
	inFluxNet(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			lead      plan.Program
			hook      string
			debug     bool
			seen, log []string
			code      int
		}{
			"a job": {
				lead: plan.Program{Command: "echo first; echo error >&2; " + waiting + "echo second; exit 3"},
				seen: []string{"first\n", "error\n"}, log: []string{"second\n"}, code: 3,
			},
			"a prefix, and options": {
				lead: plan.Program{Command: "echo first; " + waiting + "kill -9 $$", Prefix: "env X=y", OptionFlags: "--label-io --urgency=17 --setattr=a=b -o verbose=0"},
				seen: []string{"0: first\n"}, code: 137,
			},
			"several jobs": {
				lead: plan.Program{Command: "echo first; " + waiting + "echo second", OptionFlags: "--cc=1-2"},
				seen: []string{"first\n"}, log: []string{"first\n", "second\n", "second\n"},
			},
			"a command of the user, and events": {
				lead:  plan.Program{Command: "echo first; " + waiting + "echo second", SubmitCommand: "flux submit"},
				debug: true,
				seen:  []string{"first\n", "alloc", "exec.shell.init"}, log: []string{"second\n", "finish"},
			},
			"no terminals": {
				lead: plan.Program{Command: "echo first; echo error >&2; exit 3"}, hook: "mount --bind /dev/null /dev/ptmx",
				log: []string{"first\n", "error\n"}, code: 3,
			},
			"an error": {
				lead: plan.Program{Command: "true", OptionFlags: "--no-such-option"},
				log:  []string{"flux submit: error: unrecognized arguments: --no-such-option\n"}, code: 2,
			},
		} {
			t.Run(name, func(t *testing.T) {
				c := newFluxCluster(t, 1, 60)
				c.plan.Lead, c.plan.Logging.Debug, c.plan.Hooks.Init = test.lead, test.debug, test.hook
				c.plan.Lead.Mode, c.plan.Lead.Tasks = plan.ModeSubmit, 1
				c.start(0)
				for _, text := range test.seen {
					c.eventually(text, func() bool { return strings.Contains(c.read("log-0"), text) })
				}
				require.NoError(t, os.WriteFile(filepath.Join(c.dir, "continue"), nil, 0o644))
				assert.Equal(t, test.code, c.wait(0))
				log := c.read("log-0")
				for _, text := range append(test.seen, test.log...) {
					assert.Contains(t, log, text)
					log = strings.Replace(log, text, "", 1)
				}
				assert.NotContains(t, log, "\r")
			})
		}
	})
}
