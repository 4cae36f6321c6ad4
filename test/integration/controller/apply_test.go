package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// applied is a document as users keep it in a file; lines are added to its spec.
func applied(lines ...string) string {
	const document = `apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: work}
spec:
  maxSize: 6
  interactive: true
  containers:
    - image: flux:1
`
	return document + "  " + strings.Join(lines, "\n  ") + "\n"
}

// apply applies a document with kubectl and returns what it prints, errors too.
func (f *fixture) apply(document string, flags ...string) string {
	f.Helper()
	file := filepath.Join(f.TempDir(), "minicluster.yaml")
	require.NoError(f, os.WriteFile(file, []byte(document), 0o600))
	out, err := f.cluster.Kubectl(f.Context(), append([]string{"apply", "-n", f.namespace, "-f", file}, flags...)...)
	if err != nil {
		return out + err.Error()
	}
	return out
}

// scale changes the size through the scale subresource, as kubectl scale and autoscalers do.
func (f *fixture) scale(name string, size int) {
	f.Helper()
	_, err := f.cluster.Kubectl(f.Context(), "scale", "minicluster/"+name, "-n", f.namespace, fmt.Sprintf("--replicas=%d", size))
	require.NoError(f, err)
}

// TestApplyWithoutSize: a document without size becomes a cluster of the smallest size, can be scaled, and leaves the
// size alone when it is applied again.
func TestApplyWithoutSize(t *testing.T) {
	for name, flags := range map[string][]string{"client side": nil, "server side": {"--server-side"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.apply(applied("minSize: 2"), flags...)
			f.waitFor("work", f.ready(2))
			f.scale("work", 5)
			f.waitFor("work", f.ready(5))
			f.apply(applied("minSize: 2", "cleanup: true"), flags...)
			mc := f.waitFor("work", f.ready(5))
			assert.True(t, mc.Spec.Cleanup)
		})
	}
}

// TestApplyWithSizeLeftOut: a size that an apply takes out of the document stays as it was scaled.
func TestApplyWithSizeLeftOut(t *testing.T) {
	for name, flags := range map[string][]string{"client side": nil, "server side": {"--server-side"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.apply(applied("size: 3"), flags...)
			f.waitFor("work", f.ready(3))
			f.scale("work", 5)
			f.waitFor("work", f.ready(5))
			f.apply(applied(), flags...)
			mc := f.waitFor("work", f.ready(5))
			require.NotNil(t, mc.Spec.Size)
			assert.EqualValues(t, 5, *mc.Spec.Size)
		})
	}
}

// TestServerSideApplyAfterRejection: after a size that was rejected, a server-side apply of an allowed one works.
func TestServerSideApplyAfterRejection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply(applied("size: 3"), "--server-side")
	f.waitFor("work", f.ready(3))
	f.apply(applied("size: 9"), "--server-side")
	f.waitFor("work", f.ready(6))
	out := f.apply(applied("size: 4"), "--server-side")
	assert.Contains(t, out, "serverside-applied")
	f.waitFor("work", f.ready(4))
	f.scale("work", 9)
	f.waitFor("work", f.ready(6))
	out = f.apply(applied("size: 2"), "--server-side", "--force-conflicts")
	assert.Contains(t, out, "serverside-applied")
	f.waitFor("work", f.ready(2))
}
