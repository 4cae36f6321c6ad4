package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeGo has a given number of stale packages, and records how it is called.
const fakeGo = `#!/bin/sh
echo "cgo=$CGO_ENABLED $*" >>"$CALLS"
case "$*" in
*.Stale*) i=0; while [ $i -lt $STALE ]; do echo p$i; i=$((i+1)); done ;;
esac
`

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		stale string
		args  []string
		calls []string
		shown string
	}{
		"much to compile": {
			stale: "300", args: []string{"--what=the tests", "--", "-test", "./..."},
			calls: []string{"cgo=0 list -deps -f {{if .Stale}}{{.ImportPath}}{{end}} -test ./...", "cgo=0 list -export -deps -v -f {{/* nothing */}} -test ./..."},
			shown: "compiling the tests: 0 of 300 packages",
		},
		"little to compile": {
			stale: "3", args: []string{"./..."},
			calls: []string{"cgo=0 list -deps -f {{if .Stale}}{{.ImportPath}}{{end}} ./..."},
		},
		"the race detector needs cgo": {
			stale: "0", args: []string{"--", "-race", "./..."},
			calls: []string{"cgo=1 list -deps -f {{if .Stale}}{{.ImportPath}}{{end}} -race ./..."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), []byte(fakeGo), 0o755))
			log := filepath.Join(dir, "calls")
			t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			t.Setenv("CALLS", log)
			t.Setenv("STALE", test.stale)
			t.Setenv("CGO_ENABLED", "0")
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), test.args, &out))
			calls, err := os.ReadFile(log)
			require.NoError(t, err)
			assert.Equal(t, test.calls, strings.Split(strings.TrimSpace(string(calls)), "\n"))
			assert.Contains(t, out.String(), test.shown)
		})
	}
}
