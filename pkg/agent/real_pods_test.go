package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The documents of flux-operator's own tests print what its CI expects, and nothing else.
func TestRealDocumentsOfFluxOperator(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	quiet := func(size string) string { return "size: " + size + "\nlogging: {quiet: true}" }
	for name, test := range map[string]struct{ spec, container, out string }{
		"hello-world":     {quiet("4"), "command: echo hello world", "hello world\n"},
		"post":            {quiet("2"), "command: echo hello world\ncommands: {post: echo hello post}", "hello world\nhello post\n"},
		"minimal-service": {quiet("4") + "\ntasks: 4\nflux: {minimalService: true}", "command: echo hello-world", strings.Repeat("hello-world\n", 4)},
		"batch": {
			quiet("2"), "batch: true\nlogs: /srv/fluxout\ncommands: {post: ls /srv/fluxout; cat /srv/fluxout/job-0.out}\ncommand: |\n  echo hello world 1\n  echo hello world 2",
			"job-0.err\njob-0.out\njob-1.err\njob-1.out\nhello world 1\n",
		},
		"flux-resource-list": {quiet("2") + "\ntasks: 2", "cores: 2\ncommand: flux resource list -no '{state} {nnodes} {ncores}' -s up", "up 2 4\nup 2 4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := realCluster{Document: document("v1alpha2", test.spec, test.container)}.run(t)
			assert.Zero(t, r.Code)
			assert.Equal(t, test.out, r.Stdout)
			assert.Empty(t, r.Stderr)
		})
	}
	t.Run("timed", func(t *testing.T) {
		r := realCluster{Document: document("v1alpha2", "size: 1\nlogging: {quiet: true, timed: true}", "command: echo hello world")}.run(t)
		assert.Zero(t, r.Code)
		assert.Equal(t, "hello world\n", r.Stdout)
		assert.Regexp(t, `^FLUXTIME fluxsubmit wall time \S+\nFLUXTIME fluxstart wall time \S+\n$`, r.Stderr)
	})
	t.Run("debug", func(t *testing.T) {
		r := realCluster{Document: document("v1alpha2", "size: 1\nlogging: {quiet: true, debug: true}", "command: echo hello world")}.run(t)
		assert.Zero(t, r.Code)
		assert.Contains(t, r.Stdout, "hello world\n")
	})
}

// mpiProgram prints the ranks and hosts of its world.
const mpiProgram = `#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
  int rank, size, sum, length;
  char host[MPI_MAX_PROCESSOR_NAME];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Get_processor_name(host, &length);
  printf("%d of %d on %s, sum %d\n", rank, size, host, sum);
  MPI_Finalize();
  return 0;
}
`

// Programs of both MPIs of Debian connect through Flux, in two pods. With the plugin of flux-pmix, Open MPI does so
// through PMIx too. (Debian builds MPICH without PMIx.) UCX is limited to TCP: with its defaults, MPICH sometimes hangs
// in MPI_Finalize in these pods, which share /dev/shm, unlike pods of Kubernetes.
func TestRealMPI(t *testing.T) {
	needRealFlux(t)
	for name, test := range map[string]struct{ mpi, options string }{
		"mpich":        {mpi: "mpich"},
		"openmpi":      {mpi: "openmpi"},
		"openmpi pmix": {mpi: "openmpi", options: "\nflux: {optionFlags: -o pmi=pmix}"},
	} {
		t.Run(name, func(t *testing.T) {
			mpi := test.mpi
			if strings.Contains(test.options, "pmix") && !hasPlugin(t, "shell/plugins/pmix.so") {
				t.Skip("needs the shell plugin of flux-pmix")
			}
			compiler, err := exec.LookPath("mpicc." + mpi)
			if err != nil {
				t.Skip("needs mpicc." + mpi)
			}
			dir := t.TempDir()
			source, program := filepath.Join(dir, "mpi.c"), filepath.Join(dir, "mpi")
			require.NoError(t, os.WriteFile(source, []byte(mpiProgram), 0o644))
			out, err := exec.CommandContext(t.Context(), compiler, "-o", program, source).CombinedOutput()
			require.NoError(t, err, "%s", out)
			r := realCluster{Document: document("v1alpha2", "size: 2\ntasks: 4\nlogging: {quiet: true}"+test.options, "cores: 2\nenvironment: {UCX_TLS: \"tcp,self\"}\ncommand: "+program)}.run(t)
			assert.Zero(t, r.Code)
			assert.ElementsMatch(t, []string{
				"0 of 4 on flux-sample-0, sum 6", "1 of 4 on flux-sample-0, sum 6", "2 of 4 on flux-sample-1, sum 6", "3 of 4 on flux-sample-1, sum 6",
			}, strings.Split(strings.TrimSpace(r.Stdout), "\n"))
		})
	}
}

// hasPlugin reports whether the installed Flux has a plugin of another project.
func hasPlugin(t *testing.T, file string) bool {
	t.Helper()
	program, err := exec.LookPath("flux")
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(filepath.Dir(program), "../lib*/flux", file))
	require.NoError(t, err)
	return len(found) > 0
}

// Broker and jobs have the groups of the pod, in either layout.
func TestRealGroups(t *testing.T) {
	for version, user := range map[string]string{"v1alpha1": "flux", "v1alpha2": "root"} {
		t.Run(version, func(t *testing.T) {
			r := realCluster{
				Groups:   []uint32{2345, 2346},
				Document: document(version, "size: 1\nlogging: {quiet: true}", "command: sh -c 'id -un; id -G'"),
			}.run(t)
			assert.Zero(t, r.Code)
			lines := strings.Split(r.Stdout, "\n")
			require.Len(t, lines, 3)
			assert.Equal(t, user, lines[0])
			assert.Subset(t, strings.Fields(lines[1]), []string{"2345", "2346"})
		})
	}
}

// Any user works, without an entry in passwd and with a read-only image.
func TestRealArbitraryUser(t *testing.T) {
	r := realCluster{
		UID: 123456, ReadOnly: true,
		Document: document("v1alpha2", "size: 2\ntasks: 2\nlogging: {quiet: true}", "command: sh -c 'id -u; test -w $HOME && echo home'"),
	}.run(t)
	assert.Zero(t, r.Code)
	assert.ElementsMatch(t, []string{"123456", "home", "123456", "home"}, strings.Fields(r.Stdout))
}

// Without a required capability, root stays root and reports which one is missing.
func TestRealCapabilities(t *testing.T) {
	r := realCluster{Drop: []int{unix.CAP_KILL, unix.CAP_FOWNER}, Document: document("v1alpha1", "size: 1", "command: id -un")}.run(t)
	assert.Zero(t, r.Code)
	assert.Contains(t, r.Stdout, "root\n")
	assert.Regexp(t, `lacks capabilities.*FOWNER.*KILL`, r.Stderr)
}
