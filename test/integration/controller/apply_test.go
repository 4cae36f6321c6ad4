package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// applied returns a document of a user's file; lines are added to its spec.
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

// apply applies a document with kubectl and returns its output, including errors.
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

// TestApplyWithoutSize checks that a document without size creates a cluster of the smallest size, which can be
// scaled, and that another apply does not change the size.
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

// TestApplyWithSizeLeftOut checks that the cluster keeps its scaled size when an apply removes the size from the
// document.
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

// TestServerSideApplyAfterRejection checks that a server-side apply of an allowed size works after a rejected one.
func TestServerSideApplyAfterRejection(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply(applied("size: 3"), "--server-side")
	f.waitFor("work", f.ready(3))
	f.apply(applied("size: 9"), "--server-side")
	f.waitFor("work", f.ready(6), unowned)
	out := f.apply(applied("size: 4"), "--server-side")
	assert.Contains(t, out, "serverside-applied")
	f.waitFor("work", f.ready(4))
	f.scale("work", 9)
	f.waitFor("work", f.ready(6), unowned)
	out = f.apply(applied("size: 2"), "--server-side", "--force-conflicts")
	assert.Contains(t, out, "serverside-applied")
	f.waitFor("work", f.ready(2))
}

// unowned checks that the controller owns no field outside the status.
func unowned(mc *v1alpha2.MiniCluster) string {
	for _, entry := range mc.ManagedFields {
		if entry.Manager == v1alpha2.ManagedBy && entry.Subresource == "" {
			return "the controller owns fields: " + entry.FieldsV1.GetRawString()
		}
	}
	return ""
}

// TestFirstServerSideApply checks that the first server-side apply of another size is no conflict with the controller
// after it has written the size of a client-side apply.
func TestFirstServerSideApply(t *testing.T) {
	type write struct {
		line string
		size int32
	}
	for name, writes := range map[string][]write{
		"no write of the controller": {{"size: 3", 3}},
		"without size":               {{"minSize: 2", 2}},
		"below the minimum":          {{"size: 3", 3}, {"size: 0", 3}},
		"above the maximum":          {{"size: 3", 3}, {"size: 9", 6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, w := range writes {
				require.Regexp(t, "^minicluster.* (created|configured)", f.apply(applied(w.line)))
				f.waitFor("work", f.ready(w.size), specSize(w.size), unowned)
			}
			assert.Contains(t, f.apply(applied("size: 4"), "--server-side"), "serverside-applied")
			f.waitFor("work", f.ready(4))
		})
	}
}
