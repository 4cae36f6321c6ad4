package kubebin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeGo replaces the go command, which would take minutes: it records how it is called and creates empty programs,
// or fails like the compiler.
const fakeGo = `#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
env) echo go1.26.0 linux amd64 ;;
list)
  case $2 in
  -m) printf 'v1.37.2\nv0.8.0\n' ;;
  *) printf 'k8s.io/api/core/v1\n\n' ;;
  esac ;;
build)
  echo k8s.io/api/core/v1 >&2
  if [ -n "$BROKEN" ]; then echo "main.go:1:1: broken" >&2; exit 1; fi
  if [ -n "$SLOW" ]; then exec sleep 100; fi
  dir=$4
  shift 7
  for package; do : >"$dir${package##*/}"; done ;;
esac
`

// fakeModule is a repository with a module to build and a go command to build it with.
func fakeModule(t *testing.T) (root string, calls func() []string) {
	t.Helper()
	root = t.TempDir()
	write(t, filepath.Join(root, "test", "kube", "go.mod"), "module m")
	tools := t.TempDir()
	write(t, filepath.Join(tools, "go"), fakeGo)
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	log := filepath.Join(tools, "calls")
	t.Setenv("CALLS", log)
	t.Setenv(DirVariable, "")
	return root, func() []string {
		content, err := os.ReadFile(log)
		require.NoError(t, err)
		require.NoError(t, os.Remove(log))
		return strings.Split(strings.TrimSpace(string(content)), "\n")
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	root, calls := fakeModule(t)
	var log bytes.Buffer
	programs, err := Ensure(t.Context(), root, &log)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, "bin", "localkube"), programs.Localkube)
	assert.FileExists(t, programs.Kwok)
	assert.FileExists(t, programs.Kubectl)
	assert.FileExists(t, programs.MetricsServer)
	assert.Contains(t, log.String(), "built localkube, kwok, kubectl and metrics-server (Kubernetes v1.37.2)")
	first := calls()
	require.Len(t, first, 4)
	assert.Contains(t, first[3], "build -v -o ")
	assert.Contains(t, first[3], "-X k8s.io/component-base/version.gitVersion=v1.37.2")
	assert.Contains(t, first[3], "-X k8s.io/client-go/pkg/version.gitMinor=37")
	assert.Contains(t, first[3], "-X sigs.k8s.io/kwok/pkg/consts.Version=0.8.0")

	_, err = Ensure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 1, "only the Go version is queried")

	require.NoError(t, os.Remove(programs.Kwok))
	_, err = Ensure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 4, "a program is missing")

	linked := filepath.Join(root, "linked")
	require.NoError(t, os.Link(filepath.Join(root, "bin", clusterSet().stamp), linked))
	before, err := os.ReadFile(linked)
	require.NoError(t, err)
	write(t, filepath.Join(root, "test", "kube", "go.mod"), "module m // newer")
	_, err = Ensure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 4, "the sources have changed")
	after, err := os.ReadFile(linked)
	require.NoError(t, err)
	assert.Equal(t, before, after, "a hard link in another folder does not change")
}

func TestEnsureNodeBuildsASetOfItsOwn(t *testing.T) {
	root, calls := fakeModule(t)
	var log bytes.Buffer
	programs, err := EnsureNode(t.Context(), root, &log)
	require.NoError(t, err)
	for _, path := range []string{programs.Init, programs.Kubelet, programs.KubeProxy, programs.CoreDNS, programs.Containerd, programs.Shim, programs.Ctr} {
		assert.FileExists(t, path)
	}
	assert.NoFileExists(t, filepath.Join(root, "bin", "localkube"))
	assert.Contains(t, log.String(), "built nodeinit, coredns, kubelet, kube-proxy, containerd, containerd-shim-runc-v2 and ctr (Kubernetes v1.37.2)")
	calls()

	_, err = Ensure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 4, "the other set is not built yet")
	_, err = EnsureNode(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 1, "this set is built")
}

func TestEnsureReportsWhatTheCompilerSays(t *testing.T) {
	root, calls := fakeModule(t)
	t.Setenv("BROKEN", "yes")
	_, err := Ensure(t.Context(), root, nil)
	assert.ErrorContains(t, err, "main.go:1:1: broken")
	assert.NotContains(t, err.Error(), "k8s.io/api/core/v1")
	calls()

	t.Setenv("BROKEN", "")
	_, err = Ensure(t.Context(), root, nil)
	require.NoError(t, err)
	assert.Len(t, calls(), 4, "a failed build is repeated")
}

func TestEnsureCanBeInterrupted(t *testing.T) {
	root, _ := fakeModule(t)
	t.Setenv("SLOW", "yes")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := Ensure(ctx, root, nil)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestEnsureWaitsForAnotherBuild(t *testing.T) {
	root, _ := fakeModule(t)
	dir := filepath.Join(root, "bin")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	unlock, err := lock(t.Context(), filepath.Join(dir, lockFile), func() {})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	_, err = Ensure(ctx, root, &log)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Contains(t, log.String(), "waiting for another build")

	unlock()
	_, err = Ensure(t.Context(), root, nil)
	assert.NoError(t, err)
}

func TestEnsureTakesProgramsFromElsewhere(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv(DirVariable, elsewhere)
	write(t, filepath.Join(elsewhere, "localkube"), "")
	_, err := Ensure(t.Context(), "/nonexistent", nil)
	assert.ErrorContains(t, err, `["kwok" "kubectl" "metrics-server"]`)

	write(t, filepath.Join(elsewhere, "kwok"), "")
	write(t, filepath.Join(elsewhere, "kubectl"), "")
	write(t, filepath.Join(elsewhere, "metrics-server"), "")
	programs, err := Ensure(t.Context(), "/nonexistent", nil)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(elsewhere, "kubectl"), programs.Kubectl)
}
