package contract

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Behavior that the agent depends on.

// With the log mode local, each line of a broker has a severity as a prefix.
func TestLogPrefix(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		i := newInstance(t, f, 1, "")
		r := finish(t, f.command(nil, append([]string{"broker"}, i.options(0, "sh", "-c", "echo program >&2")...)...))
		assert.Zero(t, r.code)
		assert.Regexp(t, `(?m)^<6>broker\.info\[0\]: \S`, r.errors)
		assert.Regexp(t, `(?m)^program$`, r.errors, "lines of the program have none")
	})
}

// The initial program inherits only the standard files of its broker.
func TestInheritedFiles(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		file := filepath.Join(t.TempDir(), "file")
		c := f.command(nil, "start", "sh", "-c", "echo inherited >&7")
		c.Args = append([]string{"sh", "-c", `file=$1; shift; exec 7>"$file"; exec "$@"`, "sh", file, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		r := finish(t, c)
		assert.NotZero(t, r.code)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Empty(t, string(text))
	})
}

// The job shell reads its scripts from a directory next to its initrc.
func TestShellScripts(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		if !f.real {
			t.Skip("the stand-in has no job shell with scripts")
		}
		dir := t.TempDir()
		own := f.run(t, nil, "config", "builtin", "shell_initrc").out
		require.NoError(t, os.Mkdir(filepath.Join(dir, "lua.d"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "lua.d", "x.lua"), []byte(`shell.setenv ("FROM_SCRIPT", "yes")`), 0o644))
		initrc := filepath.Join(dir, "initrc.lua")
		require.NoError(t, os.WriteFile(initrc, []byte("source_if_exists (\""+own[:len(own)-1]+"\")\n"), 0o644))
		r := f.run(t, nil, "start", "-Sconf.shell_initrc="+initrc, "flux", "run", "sh", "-c", "echo $FROM_SCRIPT-$OMPI_MCA_btl_vader_backing_directory")
		assert.Equal(t, "yes-\n", r.out, "and not from the one next to Flux's own, which is sourced: %s", r.errors)
	})
}

// A command line that flux submit does not understand is an error of usage.
func TestRefusedSubmit(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		r := f.run(t, nil, "start", "sh", "-c", "flux submit --nosuch true; echo $?")
		assert.Equal(t, "2\n", r.out)
		assert.Contains(t, r.errors, "--nosuch")
	})
}

// Flux appends its directory to PATH: another Flux in PATH comes first.
func TestPath(t *testing.T) {
	each(t, func(t *testing.T, f flux) {
		r := f.run(t, []string{"PATH=/usr/bin:/bin"}, "start", "sh", "-c", "echo $PATH")
		assert.Equal(t, "/usr/bin:/bin:"+f.dir+"\n", r.out)
	})
}
