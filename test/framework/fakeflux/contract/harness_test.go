package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/test/framework/cluster/process"
)

// flux is a program under test.
type flux struct {
	dir  string // where it is
	real bool
}

// patience is the timeout of conditions that must become true: the real Flux on a busy machine is slow.
const patience = 2 * time.Minute

var buildFake = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fakeflux")
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", filepath.Join(dir, "flux"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build fakeflux: %w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := buildFake(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// versionOf returns the minor version of flux-core, 0.x, in the output of flux version.
var versionOf = regexp.MustCompile(`(?m)^commands:\s+0\.(\d+)`)

// contractVersion is the version of Flux that fakeflux implements. Older versions differ in some cases: 0.49 has no
// option -S of flux start and creates no directories.
const contractVersion = 88

// each runs a test with fakeflux and, if one is installed that is not older, with the real Flux.
func each(t *testing.T, test func(t *testing.T, f flux)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		dir, err := buildFake()
		require.NoError(t, err)
		test(t, flux{dir: dir})
	})
	path, err := exec.LookPath("flux")
	if err != nil {
		return
	}
	out, err := exec.CommandContext(t.Context(), path, "version").Output()
	if err != nil || strings.Contains(string(out), "fake") {
		return
	}
	t.Run("real", func(t *testing.T) {
		found := versionOf.FindSubmatch(out)
		require.NotNil(t, found, "flux version: %s", out)
		if minor, err := strconv.Atoi(string(found[1])); err == nil && minor < contractVersion {
			t.Skipf("the contract applies to Flux 0.%d, and this is 0.%d", contractVersion, minor)
		}
		test(t, flux{dir: filepath.Dir(path), real: true})
	})
}

// result is the result of a command.
type result struct {
	code        int
	out, errors string
}

// command returns a flux command with arguments and additional variables.
func (f flux) command(env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(context.Background(), filepath.Join(f.dir, "flux"), args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "FLUX_") {
			c.Env = append(c.Env, e)
		}
	}
	c.Env = append(c.Env, "PATH="+f.dir+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	c.Env = append(c.Env, env...)
	return c
}

func (f flux) run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return finish(t, f.command(env, args...))
}

func finish(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.WaitDelay = time.Second
	timer := time.AfterFunc(patience, func() {
		if c.Process != nil {
			_ = c.Process.Kill()
		}
	})
	defer timer.Stop()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		assert.NoError(t, err) // not require: it also runs in other goroutines
		return result{code: -1, errors: err.Error()}
	}
	return result{code: exitCode(c.ProcessState), out: out.String(), errors: errs.String()}
}

// exitCode returns the exit code as a shell reports it.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// instance is a Flux instance of several brokers on the loopback interface.
type instance struct {
	flux
	dir  string
	size int
	port int
}

// newInstance writes the files of an instance of size hosts of two cores. The text is appended to its broker.toml.
func newInstance(t *testing.T, f flux, size int, text string) *instance {
	t.Helper()
	// Not t.TempDir, because the path of a socket is limited.
	dir, err := os.MkdirTemp("", "flux")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := process.FreePort(t.Context())
	require.NoError(t, err)
	i := &instance{flux: f, dir: dir, size: size, port: port}
	require.NoError(t, os.Mkdir(i.path("state"), 0o700))
	r := f.run(t, nil, "keygen", i.path("curve.cert"))
	require.Zero(t, r.code, r.errors)
	r = f.run(t, nil, "R", "encode", fmt.Sprintf("--hosts=c-[0-%d]", size-1), "--cores=0-1")
	require.Zero(t, r.code, r.errors)
	i.write(t, "R", r.out)
	i.write(t, "broker.toml", i.config(text))
	return i
}

func (i *instance) config(text string) string {
	return fmt.Sprintf(`
[access]
allow-guest-user = true
allow-root-owner = true
[resource]
path = "%[1]s/R"
noverify = true
[bootstrap]
curve_cert = "%[1]s/curve.cert"
default_port = %[2]d
default_bind = "tcp://127.0.0.1:%%p"
default_connect = "tcp://127.0.0.1:%%p"
hosts = [ { host = "c-[0-%[3]d]" } ]
%[4]s
`, i.dir, i.port, i.size-1, text)
}

func (i *instance) path(name string) string { return filepath.Join(i.dir, name) }

func (i *instance) uri(rank int) string { return fmt.Sprintf("local://%s/run-%d/local", i.dir, rank) }

func (i *instance) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(i.path(name), []byte(text), 0o600))
}

// options returns the options of a broker of the instance.
func (i *instance) options(rank int, more ...string) []string {
	return append([]string{
		"--config-path", i.path("broker.toml"), fmt.Sprintf("-Shostname=c-%d", rank),
		"-Srundir=" + i.path(fmt.Sprintf("run-%d", rank)), "-Sstatedir=" + i.path("state"),
		"-Slocal-uri=" + i.uri(rank), "-Slog-stderr-level=6", "-Slog-stderr-mode=local",
	}, more...)
}

// broker is a running broker.
type broker struct {
	t    *testing.T
	rank int
	cmd  *exec.Cmd
	log  *safeBuffer
	done chan struct{}
}

// safeBuffer may be written and read concurrently.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs the broker of a rank, which ends with the test.
func (i *instance) start(t *testing.T, rank int, more ...string) *broker {
	t.Helper()
	b := &broker{t: t, rank: rank, log: &safeBuffer{}, done: make(chan struct{})}
	b.cmd = i.command(nil, append([]string{"broker"}, i.options(rank, more...)...)...)
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	b.cmd.WaitDelay = time.Second
	require.NoError(t, b.cmd.Start())
	go func() {
		defer close(b.done)
		_ = b.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.done
		if t.Failed() {
			t.Logf("broker %d:\n%s", rank, b.log)
		}
	})
	return b
}

func (b *broker) signal(s syscall.Signal) {
	b.t.Helper()
	require.NoError(b.t, b.cmd.Process.Signal(s))
}

// exit waits for the end of the broker and returns its exit code.
func (b *broker) exit() int {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(patience):
		require.FailNow(b.t, "the broker does not end", "rank %d\n%s", b.rank, b.log)
	}
	return exitCode(b.cmd.ProcessState)
}

// says waits for a text in the output of the broker or its program.
func (b *broker) says(text string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return strings.Contains(b.log.String(), text) },
		patience, 20*time.Millisecond, "rank %d does not print %q", b.rank, text)
}

// at runs a flux command against the broker of a rank.
func (i *instance) at(t *testing.T, rank int, args ...string) result {
	t.Helper()
	return i.run(t, []string{"FLUX_URI=" + i.uri(rank)}, args...)
}

// out returns the output of a successful command on rank 0.
func (i *instance) out(t *testing.T, args ...string) string {
	t.Helper()
	r := i.at(t, 0, args...)
	require.Zero(t, r.code, "flux %s: %s", strings.Join(args, " "), r.errors)
	return strings.TrimSpace(r.out)
}

// eventually waits until a command prints the wanted output.
func (i *instance) eventually(t *testing.T, want string, args ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		r := i.at(t, 0, args...)
		return r.code == 0 && strings.TrimSpace(r.out) == want
	}, patience, 100*time.Millisecond, "flux %s: want %q", strings.Join(args, " "), want)
}

// nodes waits until a number of nodes, with these names, are in a state.
func (i *instance) nodes(t *testing.T, state, want string) {
	t.Helper()
	i.eventually(t, want, "resource", "list", "-n", "-s", state, "-o", "{nodelist}")
}
