package supervise

import (
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agent/prepare"
)

func TestOfBroker(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	tee, err := exec.LookPath("tee") // waits, whatever the arguments are
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		words []string
		env   string
		want  bool
	}{
		"a hook's":            {[]string{"sshd", "x"}, "FLUX_URI=local:///run/flux/local", false},
		"a task":              {[]string{"lammps", "x"}, "FLUX_JOB_ID=f1", true},
		"a job's shell":       {[]string{"/usr/libexec/flux/flux-shell", "x"}, "X=1", true},
		"another user's job":  {[]string{"/usr/libexec/flux/flux-imp", "exec"}, "X=1", true},
		"the initial program": {[]string{self, "initial"}, "X=1", true},
		"another agent":       {[]string{self, "sidecar"}, "X=1", false},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), tee)
			cmd.Args, cmd.Env, cmd.Dir = tc.words, []string{"A=FLUX_JOB_ID=", tc.env}, t.TempDir()
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			v := &Supervisor{instance: &prepare.Instance{}}
			// Start returns within execve(2): the process has no environment yet.
			environ := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/environ"
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(environ)
				return err == nil && len(text) > 0
			}, time.Minute, time.Millisecond)
			assert.Equal(t, tc.want, v.ofBroker(cmd.Process.Pid))
			require.NoError(t, stdin.Close())
			require.NoError(t, cmd.Wait())
		})
	}
}

func TestReadStarted(t *testing.T) {
	const path = "/proc/7/environ"
	for name, tc := range map[string]struct {
		answers []string // the last one remains
		err     error
		want    string
		after   time.Duration
	}{
		"at once":              {answers: []string{"A=1"}, want: "A=1"},
		"within execve(2)":     {answers: []string{"", "", "A=1"}, want: "A=1", after: 2 * time.Millisecond},
		"a process that ended": {answers: []string{""}, err: fs.ErrNotExist},
		"none at all":          {answers: []string{""}, after: 21 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, reads := time.Now(), 0
				got, err := readStarted(func(p string) ([]byte, error) {
					assert.Equal(t, path, p)
					reads++
					return []byte(tc.answers[min(reads, len(tc.answers))-1]), tc.err
				}, path)
				assert.ErrorIs(t, err, tc.err)
				assert.Equal(t, tc.want, string(got))
				assert.Equal(t, tc.after, time.Since(begin))
			})
		})
	}
}
