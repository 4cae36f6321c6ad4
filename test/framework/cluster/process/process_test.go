package process

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func startShell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Command{
		Name:  "shell",
		Path:  "/bin/sh",
		Args:  []string{"-c", script},
		Log:   filepath.Join(t.TempDir(), "log"),
		Lines: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Stop()) })
	return p
}

func TestWaitForLine(t *testing.T) {
	p := startShell(t, "echo something; echo serving; exec sleep 100")
	require.NoError(t, p.WaitForLine(t.Context(), "serving"))
	require.NoError(t, p.Stop())
	require.NoError(t, p.Stop(), "a process can be stopped again")
}

func TestProcessThatEndsInsteadSaysWhy(t *testing.T) {
	p := startShell(t, "echo no certificates >&2; exit 3")
	err := p.WaitForLine(t.Context(), "serving")
	require.ErrorContains(t, err, "no certificates")
	require.ErrorContains(t, err, "exit status 3")
}

func TestWaitForLineGivesUp(t *testing.T) {
	p := startShell(t, "exec sleep 100")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := p.WaitForLine(ctx, "serving")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, p.log)
}

func TestDuring(t *testing.T) {
	p := startShell(t, "read line; echo no nodes >&2; exit 1")
	// The shell's input is empty, so it ends at once, and the function is canceled.
	err := p.During(t.Context(), func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
	require.ErrorContains(t, err, "no nodes")

	p = startShell(t, "exec sleep 100")
	require.ErrorIs(t, p.During(t.Context(), func(context.Context) error { return os.ErrClosed }), os.ErrClosed)
	assert.NoError(t, p.During(t.Context(), func(context.Context) error { return nil }))
}

func TestStartReportsAMissingProgram(t *testing.T) {
	_, err := Start(Command{Name: "localkube", Path: "/nonexistent", Log: filepath.Join(t.TempDir(), "log"), Lines: true})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(path, []byte("1\n2\n3\n"), 0o600))
	assert.Equal(t, "2\n3", lastLines(path, 2))
	assert.Equal(t, "1\n2\n3", lastLines(path, 10))
	assert.Contains(t, lastLines(path+"x", 10), "no such file")
	require.NoError(t, os.WriteFile(path, []byte("1\nno space left\npanic: no log\n\ngoroutine 1\n"), 0o600))
	assert.Equal(t, "no space left\npanic: no log", lastLines(path, 2))
}

func TestEnterComesBeforeTheProgram(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	entered := false
	p, err := Start(Command{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "echo here"}, Log: log, Lines: true, Enter: func() error {
		entered = true
		return nil
	}})
	require.NoError(t, err)
	assert.True(t, entered)
	require.NoError(t, p.WaitForLine(t.Context(), "here"))
	<-p.Ended()

	_, err = Start(Command{Name: "shell", Path: "/bin/sh", Log: log, Enter: func() error { return os.ErrPermission }})
	require.ErrorIs(t, err, os.ErrPermission)
	assert.ErrorContains(t, err, "shell")
}

func TestFilesAreInherited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	p, err := Start(Command{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "echo hello >&3"}, Log: path + ".log", Files: []*os.File{file}})
	require.NoError(t, err)
	<-p.Ended()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "hello\n", string(content))
}

func TestRunFrom(t *testing.T) {
	var out strings.Builder
	cmd := exec.Command("/bin/echo", "hello")
	cmd.Stdout = &out
	require.NoError(t, RunFrom(func() error { return nil }, cmd))
	assert.Equal(t, "hello\n", out.String())
	assert.ErrorIs(t, RunFrom(func() error { return os.ErrPermission }, exec.Command("/bin/true")), os.ErrPermission)
}
