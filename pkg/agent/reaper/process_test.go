package reaper

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// envInit makes the test binary an init process for the shell script in it.
const envInit = "PROCESS_TEST_INIT"

// patience is the timeout of conditions that must become true, also on a busy machine.
const patience = time.Minute

func TestMain(m *testing.M) {
	if script := os.Getenv(envInit); script != "" {
		os.Exit(initFor(script))
	}
	os.Exit(m.Run())
}

// initFor runs a script, waits for it and until all orphans are reaped, and returns
// the script's exit code.
func initFor(script string) int {
	t, err := NewTable(context.Background())
	if err != nil {
		return 100
	}
	p, err := t.Start(Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return 101
	}
	<-p.Done()
	deadline := time.Now().Add(patience)
	for len(zombies()) > 0 || len(t.Adopted()) > 0 {
		if time.Now().After(deadline) {
			return 102
		}
		time.Sleep(10 * time.Millisecond)
	}
	return p.Status().Code()
}

// zombies returns the children that have ended and were not reaped.
func zombies() []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			out = append(out, dir)
		}
	}
	return out
}

func TestReapsOrphans(t *testing.T) {
	// The shell in between makes each of them an orphan.
	const script = "for i in 1 2 3 4 5 6 7 8; do sh -c 'sleep 0.2 & exit 0'; done; exit 9"
	for name, prefix := range map[string][]string{
		"as a subreaper":       nil,
		"as the first process": {"unshare", "--pid", "--fork", "--mount-proc"},
	} {
		t.Run(name, func(t *testing.T) {
			if prefix != nil && exec.CommandContext(t.Context(), prefix[0], append(prefix[1:], "true")...).Run() != nil {
				t.Skip("no right to make a PID namespace")
			}
			words := append(slices.Clone(prefix), os.Args[0])
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			cmd.Env = append(os.Environ(), envInit+"="+script)
			out, err := cmd.CombinedOutput()
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed, "%s", out)
			assert.Equal(t, 9, failed.ExitCode())
		})
	}
}

func newTable(t *testing.T) *Table {
	t.Helper()
	table, err := NewTable(t.Context())
	require.NoError(t, err)
	return table
}

func sh(t *testing.T, table *Table, script string) *Process {
	t.Helper()
	p, err := table.Start(Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ()})
	require.NoError(t, err)
	return p
}

func TestStatus(t *testing.T) {
	table := newTable(t)
	for script, want := range map[string]struct {
		code int
		text string
	}{
		"exit 0":      {0, "exit code 0"},
		"exit 42":     {42, "exit code 42"},
		"kill -9 $$":  {137, "signal: killed"},
		"kill -15 $$": {143, "signal: terminated"},
	} {
		p := sh(t, table, script)
		<-p.Done()
		assert.Equal(t, want.code, p.Status().Code(), script)
		assert.Equal(t, want.text, p.Status().String(), script)
	}
	_, err := table.Start(Command{Path: "/nosuch"})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestStop(t *testing.T) {
	table := newTable(t)
	file := filepath.Join(t.TempDir(), "ready")
	started := func(script string) *Process {
		require.NoError(t, os.RemoveAll(file))
		p := sh(t, table, script+"; touch "+file+"; while :; do sleep 0.05; done")
		require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, patience, 5*time.Millisecond)
		return p
	}
	assert.Equal(t, 3, started("trap 'exit 3' TERM").Stop(t.Context(), time.Minute).Code())
	assert.Equal(t, 137, started("trap '' TERM").Stop(t.Context(), 50*time.Millisecond).Code())

	suspended := started("trap 'exit 3' TERM")
	require.NoError(t, syscall.Kill(suspended.PID, syscall.SIGSTOP))
	assert.Equal(t, 3, suspended.Stop(t.Context(), time.Minute).Code(), "it continues to handle the signal")

	gone := sh(t, table, "exit 0")
	<-gone.Done()
	gone.Signal(syscall.SIGKILL) // without effect
	assert.Equal(t, 0, gone.Stop(t.Context(), time.Minute).Code())
}

// TestStopGroup checks that a shell that ends at once does not hide the program that it started.
func TestStopGroup(t *testing.T) {
	table := newTable(t)
	for name, test := range map[string]struct {
		program string
		timeout time.Duration
		want    string
	}{
		"takes its time": {"trap 'sleep 0.2; echo saved >FILE; exit 0' TERM", time.Minute, "saved\n"},
		"is killed":      {"trap '' TERM", 100 * time.Millisecond, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			script := strings.ReplaceAll(test.program, "FILE", file) + "; touch " + file + "; while :; do sleep 0.05; done"
			p, err := table.Start(Command{Path: "/bin/sh", Args: []string{"-c", "sh -c \"$SCRIPT\"; exit 3"}, Env: append(os.Environ(), "SCRIPT="+script), Group: true})
			require.NoError(t, err)
			require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, patience, 5*time.Millisecond)
			assert.Equal(t, 143, p.Stop(t.Context(), test.timeout).Code(), "the shell ends at once")
			require.Eventually(t, func() bool { return !GroupExists(p.PID) }, patience, 5*time.Millisecond)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(text))
		})
	}
}

func TestHoldLeavesChildrenToOthers(t *testing.T) {
	table := newTable(t)
	release := table.Hold()
	p := sh(t, table, "exit 5")
	for range 50 {
		require.NoError(t, exec.CommandContext(t.Context(), "/bin/true").Run())
	}
	select {
	case <-p.Done():
		require.Fail(t, "it was reaped during Hold")
	default:
	}
	release()
	<-p.Done()
	assert.Equal(t, 5, p.Status().Code())
}

func TestAdopted(t *testing.T) {
	table := newTable(t)
	before := table.Adopted() // of other tests
	file := filepath.Join(t.TempDir(), "pid")
	p := sh(t, table, "sleep 100 & echo $! >"+file)
	<-p.Done()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	assert.Contains(t, table.Adopted(), pid)
	assert.NotContains(t, before, pid)
	assert.True(t, table.SignalAdopted(pid, syscall.SIGKILL))
	assert.Eventually(t, func() bool { return !slices.Contains(table.Adopted(), pid) && len(zombies()) == 0 }, patience, 5*time.Millisecond)
	assert.False(t, table.SignalAdopted(pid, syscall.SIGKILL), "it has ended")
	assert.False(t, table.SignalAdopted(os.Getppid(), 0), "it is not a child")
}

func TestKillAdopted(t *testing.T) {
	table := newTable(t)
	p := sh(t, table, "setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1001' & exit 0")
	<-p.Done()
	require.Eventually(t, func() bool { return len(table.Adopted()) > 0 }, time.Minute, time.Millisecond)
	table.KillAdopted(time.Minute)
	assert.Empty(t, table.Adopted())
}
