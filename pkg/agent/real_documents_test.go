package agent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

// A document of 2023: hooks in bash that export variables, an option for an MPI, a working directory of root. It does
// not use anything of this operator.
func TestRealDocumentOf2023(t *testing.T) {
	r := realCluster{
		Document: `
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata:
  name: flux-sample
spec:
  size: 1
  logging:
    strict: false
  flux:
    optionFlags: "-ompi=openmpi@5"
  containers:
    - image: ubuntu
      workingDir: /opt/work
      commands:
        init: export FROM_INIT=1
        pre: |
          source /etc/profile.d/spack.sh
          if [[ ! -e /opt/work/lammps.sif ]]; then
            echo HOOK-PULLED
          fi
          export PATH=$PATH:/opt/app/bin
      command: sh -c 'id -un; env | grep -E "OMPI_MCA|FROM_|SPACK" | sort; echo x > log.lammps; app'
`,
		Image: map[string]string{
			"/etc/profile.d/spack.sh": "export SPACK_ROOT=/opt/spack\n", "/opt/app/bin/app": "#!/bin/sh\necho APP\n", "/opt/work/data": "",
		},
		Dir: "/opt/work",
	}.run(t)
	assert.Zero(t, r.Code)
	lines := strings.Split(r.Stdout, "\n")
	assert.Contains(t, lines, "HOOK-PULLED")
	assert.Contains(t, lines, "flux")
	assert.Contains(t, lines, "FROM_INIT=1")
	assert.Contains(t, lines, "SPACK_ROOT=/opt/spack")
	assert.Contains(t, lines, "APP")
	assert.Regexp(t, `(?m)^OMPI_MCA_btl_vader_backing_directory=/`, r.Stdout, "from the lua.d of Flux")
	assert.NotContains(t, r.Stderr, "ermission denied")
}

// document returns a MiniCluster of v1alpha2 with one container, or of v1alpha1 if the image contains Flux.
func document(version, spec, container string) string {
	indent := func(text, by string) string {
		return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
	}
	return "apiVersion: flux-framework.org/" + version + "\nkind: MiniCluster\nmetadata:\n  name: flux-sample\nspec:\n  " + indent(spec, "  ") +
		"\n  containers:\n    - image: ubuntu\n      " + indent(container, "      ") + "\n"
}

// The lines of the broker are those of tutorials. Without them, the output contains only what the application prints.
func TestRealLogs(t *testing.T) {
	const command = "command: |\n  printf 'one\\n'; printf two >&2; printf '<6>broker.info[0]: three\\n' >&2"
	r := realCluster{Document: document("v1alpha2", "size: 1", "launcher: true\n"+command)}.run(t)
	assert.Zero(t, r.Code)
	assert.Equal(t, "one\n", r.Stdout)
	assert.Regexp(t, `(?m)^broker\.info\[0\]: .*quorum-full: quorum->run`, r.Stderr)
	assert.NotRegexp(t, `(?m)^<[0-7]>`, r.Stderr)
	assert.Contains(t, r.Stderr, "two<6>broker.info[0]: three\n", "the program's own bytes")

	r = realCluster{Document: document("v1alpha2", "size: 1\nlogging: {quiet: true}", "launcher: true\n"+command)}.run(t)
	assert.Zero(t, r.Code)
	assert.Equal(t, "one\n", r.Stdout)
	assert.Equal(t, "two<6>broker.info[0]: three\n", r.Stderr)
}

// If a broker rejects its configuration, Flux's own message is reported.
func TestRealBrokerConfig(t *testing.T) {
	for _, quiet := range []string{"false", "true"} {
		r := realCluster{Document: document("v1alpha2", "size: 1\nlogging: {quiet: "+quiet+"}\nflux:\n  brokerConfig: |\n    [bootstrap]\n"+
			"    curve_cert = \"/mnt/flux/nowhere/curve.cert\"\n    hosts = [{host=\"flux-sample-0\"}]", "command: true")}.run(t)
		assert.Equal(t, plan.ExitSpec, r.Code)
		assert.Contains(t, r.Termination, "/mnt/flux/nowhere/curve.cert: No such file or directory", "quiet: %s", quiet)
	}
}

// Documents use paths of files below the view, where some versions of flux-operator have them.
func TestRealBrokerConfigOfFluxOperator(t *testing.T) {
	r := realCluster{Document: document("v1alpha2", `
size: 1
flux:
  brokerConfig: |
    [bootstrap]
    curve_cert = "/mnt/flux/view/curve/curve.cert"
    default_port = 8050
    default_bind = "tcp://eth0:%p"
    default_connect = "tcp://%h.flux-sample.default.svc.cluster.local:%p"
    hosts = [{host="flux-sample-0"}]
    [resource]
    path = "/mnt/flux/view/etc/flux/system/R"
    noverify = true
`, "cores: 3\nlauncher: true\ncommand: flux resource list -no '{ncores}' -s free")}.run(t)
	assert.Zero(t, r.Code)
	assert.Equal(t, "3\n", r.Stdout)
}

// Flux commands from outside find the broker in either layout, and the broker uses the R of a hook.
func TestRealClient(t *testing.T) {
	wait := "launcher: true\ncommand: touch $RESULTS/started; until test -e $RESULTS/exec; do sleep 0.1; done"
	list := []string{"flux", "resource", "list", "-no", "{ncores} {state}", "-s", "free"}
	for name, c := range map[string]realCluster{
		"view": {Document: document("v1alpha2", "size: 1", wait+"\ncommands:\n  pre: flux R encode --hosts=$hosts --cores=0-6 > ${viewroot}/etc/flux/system/R\ncores: 2")},
		"disabled view": {Document: document("v1alpha2", "size: 1\nflux: {container: {disable: true}}",
			wait+"\ncommands:\n  brokerPre: flux R encode --hosts=$hosts --cores=0-6 > /tmp/R.$$ && mv /tmp/R.$$ ${viewroot}/etc/flux/system/R\ncores: 2")},
		"system": {Document: document("v1alpha1", "size: 1", wait+"\ncommands:\n  pre: flux R encode --hosts=${hosts} --cores=0-6 > /etc/flux/system/R\ncores: 2")},
	} {
		t.Run(name, func(t *testing.T) {
			c.Exec = [][]string{list, {"sh", "-c", "flux run id -un; flux batch -n1 --wrap flux getattr size >/dev/null && echo batch"}}
			r := c.run(t)
			assert.Zero(t, r.Code)
			assert.Equal(t, "7 free\n0", r.Exec[0])
			user := "root"
			if name == "system" {
				user = "flux"
			}
			assert.Equal(t, user+"\nbatch\n0", r.Exec[1])
		})
	}
}

// Options are split into words as in a shell, and each error is reported once.
func TestRealCommands(t *testing.T) {
	r := realCluster{Document: document("v1alpha2", `
size: 1
logging: {quiet: true}
flux:
  optionFlags: |
    $UNSET --env=A=x
    --env="B=$HOOK y"
`, "commands: {prefix: $UNSET env C=z, pre: export HOOK=exported}\ncommand: sh -c 'echo $A-$B-$C'")}.run(t)
	assert.Zero(t, r.Code)
	assert.Equal(t, "x-exported y-z\n", r.Stdout)

	r = realCluster{Document: document("v1alpha2", "size: 1\nflux: {optionFlags: \"$UNSET 'open\"}", "command: true")}.run(t)
	assert.Equal(t, plan.ExitSpec, r.Code, "it fails in every pod")
	assert.Contains(t, r.Termination, "flux.optionFlags")
}

// A batch script runs even if neither the working directory nor /tmp is writable, and reports what failed.
func TestRealBatch(t *testing.T) {
	const container = "batch: true\nlogs: /run/logs\n"
	for name, test := range map[string]struct {
		command string
		code    int
		says    []string
	}{
		"well":    {"command: |\n  echo a\n  sh -c 'echo $FLUX_TASK_RANK'", 0, nil},
		"fails":   {"command: |\n  true\n  sh -c 'exit 6'", 1, []string{"exited with exit code 6"}},
		"refused": {"command: |\n  true\n  --nosuch x\n  true", 2, []string{"unrecognized arguments: --nosuch", "line 2 of the command failed with exit code 2"}},
		"raw":     {"batchRaw: true\ncommand: |\n  echo why it failed >&2\n  exit 5", 5, []string{"why it failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := realCluster{UID: 1234, Alter: "mkdir -m 777 /run/logs", Env: []string{"TMPDIR=/proc"}, Document: document("v1alpha2", "size: 1", container+test.command)}.run(t)
			assert.Equal(t, test.code, r.Code)
			for _, text := range test.says {
				assert.Contains(t, r.Stderr, text)
			}
		})
	}
}
