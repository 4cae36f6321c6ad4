package initial

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

func TestNodeFlags(t *testing.T) {
	for _, test := range []struct {
		size, tasks int32
		want        string
	}{
		{2, 0, "-N2"}, {4, 1, "-n1"}, {4, 3, "-n3"}, {4, 4, "-N4 -n4"}, {4, 8, "-N4 -n8"}, {1, 1, "-N1 -n1"},
	} {
		assert.Equal(t, test.want, strings.Join(nodeFlags(&plan.Plan{Size: test.size, Lead: plan.Program{Tasks: test.tasks}}), " "))
	}
}

func TestProgramWords(t *testing.T) {
	const env = "WORD=from the environment"
	for _, test := range []struct {
		name string
		lead plan.Program
		log  plan.Logging
		want []string
	}{
		{"submit", plan.Program{Mode: plan.ModeSubmit, Command: "a 'b c'", Tasks: 1}, plan.Logging{},
			[]string{"flux", "submit", "-n1", "--quiet", "--watch", "a", "b c"}},
		{"submit in a shell", plan.Program{Mode: plan.ModeSubmit, Command: "a && b", Tasks: 2}, plan.Logging{Debug: true},
			[]string{"flux", "submit", "-N2", "-n2", "-vvv", "--quiet", "--watch", "/bin/sh", "-c", "a && b"}},
		{"options", plan.Program{Mode: plan.ModeSubmit, Command: "a", Tasks: 1, OptionFlags: `-o mpi=none --env="X=$WORD" '-c 2'`}, plan.Logging{},
			[]string{"flux", "submit", "-n1", "-o", "mpi=none", "--env=X=from the environment", "-c 2", "--quiet", "--watch", "a"}},
		{"submit command", plan.Program{Mode: plan.ModeSubmit, Command: "a", Tasks: 1, SubmitCommand: "flux  run -v"}, plan.Logging{},
			[]string{"flux", "run", "-v", "-n1", "--quiet", "--watch", "a"}},
		{"launcher", plan.Program{Mode: plan.ModeLauncher, Command: "a b", Prefix: "nice -n 5"}, plan.Logging{}, []string{"nice", "-n", "5", "a", "b"}},
		{"launcher in a shell", plan.Program{Mode: plan.ModeLauncher, Command: "a; b"}, plan.Logging{}, []string{"/bin/sh", "-c", "a; b"}},
		{"script", plan.Program{Mode: plan.ModeLauncher, Command: "a", Script: "b"}, plan.Logging{}, []string{"/opt/minicluster/run/script"}},
		{"none", plan.Program{Mode: plan.ModeNone, Command: "a"}, plan.Logging{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &runner{Pod: &pod.Pod{Root: "/", Environ: []string{env}, Plan: &plan.Plan{Size: 2, Lead: test.lead, Logging: test.log}}}
			words, err := r.programWords(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.want, words)
		})
	}
	r := &runner{Pod: &pod.Pod{Root: "/", Plan: &plan.Plan{Lead: plan.Program{Mode: plan.ModeSubmit, OptionFlags: "'"}}}}
	_, err := r.programWords(t.Context())
	assert.ErrorContains(t, err, "flux.optionFlags")
}

func TestBatchScript(t *testing.T) {
	r := &runner{Pod: &pod.Pod{Plan: &plan.Plan{Lead: plan.Program{
		Mode: plan.ModeBatch, Tasks: 1, Logs: "/logs",
		Command: "echo 'a  b'\n\n# a comment\nsh -c 'exit 3'\necho $((1 + 1))\n",
	}}}}
	script := string(r.batchScript())
	assert.Equal(t, []string{
		`flux submit --flags waitable --error="${FLUX_OUTPUT_DIR}"/job-0.err --output="${FLUX_OUTPUT_DIR}"/job-0.out echo 'a  b'`,
		`minicluster_check 1`,
		`# a comment`,
		`flux submit --flags waitable --error="${FLUX_OUTPUT_DIR}"/job-3.err --output="${FLUX_OUTPUT_DIR}"/job-3.out sh -c 'exit 3'`,
		`minicluster_check 4`,
		`flux submit --flags waitable --error="${FLUX_OUTPUT_DIR}"/job-4.err --output="${FLUX_OUTPUT_DIR}"/job-4.out echo $((1 + 1))`,
		`minicluster_check 5`,
		`flux queue idle`, `flux jobs -a`, `flux job wait --all || minicluster_code=$?`, `exit $minicluster_code`,
	}, strings.Split(strings.TrimSpace(script), "\n")[9:])
}
