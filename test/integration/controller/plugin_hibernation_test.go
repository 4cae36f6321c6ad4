package controller_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/plugin"
)

// plugin runs a command of the kubectl plugin in the namespace of the test.
func (f *fixture) plugin(args ...string) (stdout, stderr string, err error) {
	f.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	cmd := plugin.NewCommand(streams)
	cmd.SetArgs(append([]string{"--kubeconfig=" + f.Cluster.Kubeconfig(), "--namespace=" + f.namespace}, args...))
	err = cmd.ExecuteContext(f.Context())
	return out.String(), errOut.String(), err
}

// TestPluginHibernates checks suspend and resume of the kubectl plugin with each cause of a hibernation.
func TestPluginHibernates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agents.Of("night").Saves(savedState(3, 1, 2))
	f.createReady("night", 2, maxSize(4), archived(&v1alpha2.Hibernation{ScaleToZero: true}))

	out, progress, err := f.plugin("suspend", "night", "--timeout=3m")
	require.NoError(t, err)
	assert.Equal(t, "minicluster/night: suspended\n", out)
	assert.Contains(t, progress, "3 pending jobs and 1 held job are kept in /state/archive.tar")
	f.withoutJob("night")
	out, _, err = f.plugin("status", "night")
	require.NoError(t, err)
	assert.Contains(t, out, "(Suspend); 3 pending and 1 held jobs, 18234412 bytes in /state/archive.tar, the jobs need size 2")
	out, _, err = f.plugin("resume", "night", "--size=3", "--timeout=3m")
	require.NoError(t, err)
	assert.Equal(t, "minicluster/night: resumed\nminicluster/night: Ready\n", out)
	f.waitFor("night", f.ready(3))

	f.setSize("night", 0)
	f.waitFor("night", hibernated(), has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonHibernated))
	_, _, err = f.plugin("resume", "night", "--timeout=3m")
	require.NoError(t, err)
	f.waitFor("night", f.ready(2))
}
