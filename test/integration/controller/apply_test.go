package controller_test

import (
	"fmt"
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
	args := append([]string{"apply", "--namespace=" + f.namespace, "--filename=-"}, flags...)
	out, err := f.cluster.KubectlInput(f.Context(), strings.NewReader(document), args...)
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
	out = f.apply(applied("size: 2"), "--server-side")
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

// sequence is what happens to a MiniCluster before the server-side apply of another size.
type sequence []struct {
	// command is that of kubectl, with flags.
	command string
	// line is part of the document that the command gets; empty if it gets none.
	line string
	// size is that of the cluster afterwards.
	size int32
}

// TestServerSideApplyAfterOtherWrites checks that a server-side apply of another size is never a conflict with the
// controller, whatever has written the size before: only with another manager, as for a Deployment.
func TestServerSideApplyAfterOtherWrites(t *testing.T) {
	const (
		apply = "apply --server-side"
		force = "apply --server-side --force-conflicts --field-manager=argocd-controller"
		hpa   = "patch --subresource=scale --field-manager=kube-controller-manager --type=merge --patch="
		edit  = "patch --field-manager=kubectl-edit --type=merge --patch="
	)
	for name, tc := range map[string]struct {
		writes sequence
		// conflict is the manager that an apply of size 4 conflicts with, if any.
		conflict string
	}{
		"client side":                      {writes: sequence{{"apply", "size: 3", 3}}},
		"client side above the maximum":    {writes: sequence{{"apply", "size: 3", 3}, {"apply", "size: 9", 6}}},
		"client side below the minimum":    {writes: sequence{{"apply", "size: 3", 3}, {"apply", "size: 0", 3}}},
		"client side without size":         {writes: sequence{{"apply", "minSize: 2", 2}}},
		"client side, then scaled too far": {writes: sequence{{"apply", "size: 3", 3}, {"scale --replicas=9", "", 6}}},
		"client side of another tool":      {writes: sequence{{"apply --field-manager=argocd-controller", "size: 3", 3}}},
		"client side, size removed":        {writes: sequence{{"apply", "size: 3", 3}, {"apply", "cleanup: true", 3}}},
		"both sides":                       {writes: sequence{{"apply", "size: 3", 3}, {"apply", "size: 9", 6}, {apply, "size: 9", 6}}},

		"server side without size":        {writes: sequence{{apply, "minSize: 2", 2}}},
		"server side, size removed":       {writes: sequence{{apply, "size: 3", 3}, {apply, "cleanup: true", 3}}},
		"the same size above the maximum": {writes: sequence{{apply, "size: 3", 3}, {apply, "size: 9", 6}, {apply, "size: 9", 6}}},

		"created":               {writes: sequence{{"create", "size: 3", 3}}, conflict: `"kubectl-create"`},
		"created without size":  {writes: sequence{{"create --save-config", "minSize: 2", 2}}},
		"replaced":              {writes: sequence{{"create --save-config", "size: 3", 3}, {"replace", "size: 5", 5}}, conflict: `"kubectl-replace"`},
		"replaced without size": {writes: sequence{{apply, "size: 3", 3}, {"replace", "minSize: 2", 3}}},
		"replaced, too far":     {writes: sequence{{"create --save-config", "size: 3", 3}, {"replace", "size: 9", 6}}},
		"edited":                {writes: sequence{{apply, "size: 3", 3}, {edit + `{"spec":{"size":5}}`, "", 5}}, conflict: `"kubectl-edit"`},
		"edited, too far":       {writes: sequence{{apply, "size: 3", 3}, {edit + `{"spec":{"size":9}}`, "", 6}}},

		"scaled":              {writes: sequence{{apply, "size: 3", 3}, {"scale --replicas=5", "", 5}}, conflict: `"kubectl" with subresource "scale"`},
		"scaled too far":      {writes: sequence{{apply, "size: 3", 3}, {"scale --replicas=9", "", 6}}},
		"autoscaled":          {writes: sequence{{apply, "size: 3", 3}, {hpa + `{"spec":{"replicas":5}}`, "", 5}}, conflict: `"kube-controller-manager" with subresource "scale"`},
		"autoscaled, too far": {writes: sequence{{apply, "size: 3", 3}, {hpa + `{"spec":{"replicas":9}}`, "", 6}}},
		"scaled, size removed": {writes: sequence{
			{apply, "size: 3", 3}, {"scale --replicas=5", "", 5}, {apply, "cleanup: true", 5},
		}, conflict: `"kubectl" with subresource "scale"`},

		"another tool that forces":       {writes: sequence{{force, "size: 3", 3}}, conflict: `"argocd-controller"`},
		"another tool above the maximum": {writes: sequence{{force, "size: 3", 3}, {force, "size: 9", 6}}},
		"two appliers, one removes the size": {writes: sequence{
			{apply + " --field-manager=a", "size: 3", 3}, {apply + " --field-manager=b", "size: 3", 3}, {apply + " --field-manager=a", "cleanup: true", 3},
		}, conflict: `"b"`},
		"two appliers, then scaled too far": {writes: sequence{
			{apply + " --field-manager=a", "size: 3", 3}, {apply + " --field-manager=b", "size: 3", 3}, {"scale --replicas=9", "", 6},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, w := range tc.writes {
				f.write(w.command, w.line)
				f.waitFor("work", f.ready(w.size), specSize(w.size), unowned)
			}
			out := f.apply(applied("size: 4"), "--server-side")
			if tc.conflict != "" {
				assert.Contains(t, out, "conflict with "+tc.conflict)
				assert.NotContains(t, out, v1alpha2.ManagedBy)
				out = f.apply(applied("size: 4"), "--server-side", "--force-conflicts")
			}
			assert.Contains(t, out, "serverside-applied")
			f.waitFor("work", f.ready(4))
		})
	}
}

// write runs a command of kubectl that changes the MiniCluster, with a document if line is not empty.
func (f *fixture) write(command, line string) {
	f.Helper()
	args, document := append(strings.Fields(command), "--namespace="+f.namespace), ""
	if line == "" {
		args = append(args, "minicluster/work")
	} else {
		args, document = append(args, "--filename=-"), applied(line)
	}
	_, err := f.cluster.KubectlInput(f.Context(), strings.NewReader(document), args...)
	require.NoError(f, err)
}
