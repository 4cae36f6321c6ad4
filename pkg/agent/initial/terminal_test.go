package initial

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"minicluster.internal/operator/pkg/agent/pod"
	"minicluster.internal/operator/pkg/agent/shutdown"
)

// streams are the standard streams of a container, with the ends of their pipes that the container runtime reads.
type streams struct {
	*runner
	stdout, stderr *os.File
}

func newStreams(t *testing.T) *streams {
	t.Helper()
	pipe := func() (from, to *os.File) {
		from, to, err := os.Pipe()
		require.NoError(t, err)
		t.Cleanup(func() { from.Close(); to.Close() })
		require.NoError(t, from.SetReadDeadline(time.Now().Add(2*time.Minute)))
		return from, to
	}
	s := &streams{runner: &runner{Pod: &pod.Pod{}}}
	s.stdout, s.Stdout = pipe()
	s.stderr, s.Stderr = pipe()
	return s
}

// fullLog returns a text that does not fit into the log until a part of it is read.
func (s *streams) fullLog(t *testing.T) string {
	t.Helper()
	_, err := unix.FcntlInt(s.Stdout.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize())
	require.NoError(t, err)
	return strings.Repeat("x", 2*os.Getpagesize())
}

// start starts a shell command with terminals.
func (s *streams) start(t *testing.T, command string) (cmd *exec.Cmd, wait func()) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
	wait = s.showLines(t.Context(), shutdown.Never(0), cmd)
	require.NoError(t, cmd.Start())
	return cmd, wait
}

// next reads a text.
func next(t *testing.T, from io.Reader, text string) {
	t.Helper()
	found := make([]byte, len(text))
	_, err := io.ReadFull(from, found)
	require.NoError(t, err)
	require.Equal(t, text, string(found))
}

// A line of each stream is in the log while the program runs.
func TestShowLines(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	file := filepath.Join(t.TempDir(), "continue")
	require.NoError(t, unix.Mkfifo(file, 0o600))
	cmd, wait := s.start(t, "test -t 1 && echo out; test -t 2 && echo error >&2; read -r line <"+file+"; echo $line")
	next(t, s.stdout, "out\n")
	next(t, s.stderr, "error\n")
	require.NoError(t, os.WriteFile(file, []byte("last\n"), 0o600))
	require.NoError(t, cmd.Wait())
	wait()
	require.NoError(t, s.Stdout.Close())
	rest, err := io.ReadAll(s.stdout)
	require.NoError(t, err)
	assert.Equal(t, "last\n", string(rest))
}

// The output does not change.
func TestShowLinesUnchanged(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("a\tb\r\nc\x00\x03\x04\x1b[1m\xff \u00e9\n\n"), 20000)
	file := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	s := newStreams(t)
	cmd, wait := s.start(t, "cat "+file)
	found := make([]byte, len(text))
	_, err := io.ReadFull(s.stdout, found)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(text, found))
	require.NoError(t, cmd.Wait())
	wait()
	require.NoError(t, s.Stdout.Close())
	rest, err := io.ReadAll(s.stdout)
	require.NoError(t, err)
	assert.Empty(t, rest)
}

// All of the output is in the log when the end of a program is reported, although the log is slower than the timeout.
func TestShowLinesSlowLog(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	text := s.fullLog(t)
	cmd, wait := s.start(t, "printf %s "+text)
	require.NoError(t, cmd.Wait())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait()
	}()
	select {
	case <-ended:
		assert.Fail(t, "the end is reported before the output is written")
	case <-time.After(2 * idleTimeout):
	}
	next(t, s.stdout, text)
	<-ended
}

// A process that the program leaves in the background does not prevent the end, and can still write to the log.
func TestShowLinesBackground(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	file := filepath.Join(t.TempDir(), "continue")
	require.NoError(t, unix.Mkfifo(file, 0o600))
	cmd, wait := s.start(t, "{ read -r line <"+file+"; echo $line; } & echo first")
	require.NoError(t, cmd.Wait())
	wait()
	require.NoError(t, os.WriteFile(file, []byte("second\n"), 0o600))
	next(t, s.stdout, "first\nsecond\n")
}

// A process in the background that writes all the time does not prevent the end either.
func TestShowLinesBusyBackground(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	slowly := time.NewTicker(100 * time.Millisecond)
	defer slowly.Stop()
	go func() {
		for {
			select {
			case <-t.Context().Done():
				return
			case <-slowly.C:
			}
			if _, err := s.stdout.Read(make([]byte, 4096)); err != nil {
				return
			}
		}
	}()
	cmd, wait := s.start(t, "yes & echo $! >&2")
	number, err := bufio.NewReader(s.stderr).ReadString('\n')
	require.NoError(t, err)
	background, err := strconv.Atoi(strings.TrimSpace(number))
	require.NoError(t, err)
	defer func() { assert.NoError(t, unix.Kill(background, unix.SIGKILL)) }()
	require.NoError(t, cmd.Wait())
	wait()
}

// A program whose log is closed gets an error, and does not wait forever.
func TestShowLinesClosed(t *testing.T) {
	t.Parallel()
	s := newStreams(t)
	require.NoError(t, s.stdout.Close())
	cmd, wait := s.start(t, "while echo text; do :; done 2>/dev/null")
	require.NoError(t, cmd.Wait())
	wait()
}

// The same for the standard output of this process, for which the kernel's SIGPIPE would end a Go program.
func TestShowLinesClosedOutput(t *testing.T) {
	if inProcess() {
		s := newStreams(t)
		s.Stdout = os.Stdout
		cmd, wait := s.start(t, "while echo text; do :; done 2>/dev/null")
		require.NoError(t, cmd.Wait())
		wait()
		return
	}
	t.Parallel()
	from, to, err := os.Pipe()
	require.NoError(t, err)
	defer to.Close()
	require.NoError(t, from.Close())
	runInProcess(t, to)
}

// After a request to stop, a log that accepts no output does not keep the agent from saving the instance.
func TestShowLinesStopped(t *testing.T) {
	if !inProcess() {
		t.Parallel()
		runInProcess(t, nil)
		return
	}
	s := newStreams(t)
	stop := shutdown.Listen()
	stop.SetGrace(2 * time.Second)
	require.NoError(t, unix.Kill(os.Getpid(), unix.SIGTERM))
	<-stop.Done()
	cmd := exec.CommandContext(t.Context(), "printf", "%s", s.fullLog(t))
	wait := s.showLines(t.Context(), stop, cmd)
	require.NoError(t, cmd.Run())
	wait()
}

const processVariable = "SHOW_LINES_PROCESS"

// inProcess reports whether this is the process of a test.
func inProcess() bool { return os.Getenv(processVariable) != "" }

// runInProcess runs a test again, in its own process.
func runInProcess(t *testing.T, stdout *os.File) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), processVariable+"=1")
	if stdout != nil {
		cmd.Stdout = stdout
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
}

// A container with a terminal keeps it.
func TestShowLinesTerminal(t *testing.T) {
	t.Parallel()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	own, err := openTerminal(log)
	require.NoError(t, err)
	s := newStreams(t)
	s.Stdout = own.program
	cmd := exec.CommandContext(t.Context(), "true")
	cmd.Stdout = s.Stdout
	s.showLines(t.Context(), shutdown.Never(0), cmd)()
	assert.Same(t, own.program, cmd.Stdout)
	assert.NotNil(t, cmd.Stderr)
	require.NoError(t, own.program.Close())
	<-own.written
	text, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	assert.Empty(t, strings.TrimSpace(string(text)))
}
