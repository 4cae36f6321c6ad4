package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

// envOtherFlux lists directories of flux commands of other versions than the one on PATH, separated by colons.
const envOtherFlux = "MINICLUSTER_FLUX_OLD"

// fluxVersion returns the version of the flux command in a directory.
func fluxVersion(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "flux"), "version").Output()
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^commands:\s+(\S+)`).FindSubmatch(out)
	require.NotNil(t, found, "%s", out)
	return string(found[1])
}

// eachPair runs a test with the Flux on PATH and each other one, in both orders.
func eachPair(t *testing.T, test func(t *testing.T, one, other string)) {
	current := needRealFlux(t)
	others := filepath.SplitList(os.Getenv(envOtherFlux))
	if len(others) == 0 {
		t.Skip("needs other versions of Flux, in the directories of the variable " + envOtherFlux)
	}
	for _, other := range others {
		for _, pair := range [][2]string{{current, other}, {other, current}} {
			t.Run(fluxVersion(t, pair[0])+" and "+fluxVersion(t, pair[1]), func(t *testing.T) { test(t, pair[0], pair[1]) })
		}
	}
}

// If view and image have different versions of Flux, that of the view is the one that runs, in all commands, and the
// log names both.
func TestRealFluxOfViewAndImage(t *testing.T) {
	eachPair(t, func(t *testing.T, view, image string) {
		const versions = "flux version | sed -n 's/^commands:\\s*//p'"
		r := realCluster{
			ViewFlux: map[int]string{0: view, 1: view}, ImageFlux: image,
			Document: document("v1alpha2", "size: 2\ntasks: 2", "commands: {pre: \""+strings.ReplaceAll(versions, `\`, `\\`)+"\"}\ncommand: sh -c \"flux getattr version; "+versions+"\""),
		}.run(t)
		assert.Zero(t, r.Code)
		assert.Equal(t, strings.Repeat(fluxVersion(t, view)+"\n", 5), r.Stdout, "the hook, and two tasks with two commands")
		assert.Contains(t, r.Stderr, `The image has another version of Flux than the broker" image="`+fluxVersion(t, image)+`"`)
		assert.Contains(t, r.Stderr, `broker="`+fluxVersion(t, view)+`"`)
	})
}

// A follower with another version of Flux than the lead does not join. Its log names both versions, as that of a
// lead of some versions does, and the lead runs without it.
func TestRealFluxOfLeadAndFollower(t *testing.T) {
	eachPair(t, func(t *testing.T, lead, follower string) {
		r := realCluster{
			ViewFlux: map[int]string{0: lead, 1: follower}, ImageFlux: lead,
			Alter: "echo 1 >" + filepath.Join(plan.ConfigDir, plan.FileQuorum),
			Document: document("v1alpha2", "size: 2", "launcher: true\ncommand: |\n"+
				"  for i in $(seq 1000); do ! grep -q 'Restarting the broker' $RESULTS/stderr-1 || break; sleep 0.1; done\n"+
				"  flux resource list -no '{state} {nnodes}' -s free\n  grep 'Restarting the broker' $RESULTS/stderr-1"),
		}.run(t)
		assert.Zero(t, r.Code)
		both := regexp.QuoteMeta("client (" + fluxVersion(t, follower) + ") version mismatched with server (" + fluxVersion(t, lead) + ")")
		assert.Regexp(t, "^free 1\n", r.Stdout)
		assert.Regexp(t, `Restarting the broker.*`+both, r.Stdout, "the log of the follower; its cause has the same text")
	})
}

// Jobs that a cluster saved with one version of Flux run with another one after it has woken, from an archive and from
// the volume with the state. One case is not tested because Flux does not support it: a volume of a later version.
func TestRealFluxChangesInHibernation(t *testing.T) {
	if os.Getenv(envOtherFlux) == "" {
		t.Skip("needs other versions of Flux, in the directories of the variable " + envOtherFlux)
	}
	inFluxNet(t, func(t *testing.T) {
		eachPair(t, func(t *testing.T, before, after string) {
			for _, volume := range []bool{false, true} {
				t.Run(fmt.Sprintf("volume=%v", volume), func(t *testing.T) {
					// An older Flux finds nothing in the content.sqlite of a later one (checkpt_v2). Both have two digits.
					refused := volume && fluxVersion(t, before) > fluxVersion(t, after)
					path := os.Getenv("PATH")
					t.Setenv("PATH", before+":"+path)
					s := newSleeper(t, 1, 1, volume)
					s.online()
					s.hold(1)
					want := sorted(s.submit(2))
					held := s.submit(1, "--urgency=hold")
					s.until(control.PhaseDraining, later())
					s.finish()
					s.until(control.PhaseSaved, later())
					s.remove()

					t.Setenv("PATH", after+":"+path)
					if refused {
						s.refusedFlux("job-1", fluxVersion(t, before), fluxVersion(t, after))
						t.Setenv("PATH", before+":"+path)
						after = before
					}
					s.again(1, 1, volume, "job-1")
					s.eventually("the jobs", func() bool { return len(s.ran()) >= len(want) })
					assert.Equal(t, fluxVersion(t, after), s.run("getattr", "version"))
					assert.Equal(t, want, s.ran())
					s.eventually("their end", func() bool { return s.run("jobs", "-f", "running", "-no", "{id}") == "" })
					assert.Equal(t, sorted(held), sorted(strings.Fields(s.run("jobs", "-no", "{id}"))))
				})
			}
		})
	})
}
