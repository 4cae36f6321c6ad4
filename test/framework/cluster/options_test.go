package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

func TestDefaults(t *testing.T) {
	for asked, want := range map[int]int{0: DefaultNodes, 1: 1, 500: 500, -1: 0} {
		assert.Equal(t, want, Options{Nodes: asked}.withDefaults().Nodes)
	}
	o := Options{}.withDefaults()
	assert.Equal(t, "64", o.NodeCapacity.Cpu().String())
	assert.NotNil(t, o.Log)
}

func TestStateDir(t *testing.T) {
	dir, temporary, err := Options{}.stateDir()
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	assert.True(t, temporary)
	assert.DirExists(t, dir)

	given := filepath.Join(t.TempDir(), "a", "b")
	dir, temporary, err = Options{Dir: given}.stateDir()
	require.NoError(t, err)
	assert.False(t, temporary)
	assert.Equal(t, given, dir)
	assert.DirExists(t, dir)
}

func TestPortOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	port, err := portOf(path)
	require.NoError(t, err)
	assert.Zero(t, port, "a new cluster has none yet")

	require.NoError(t, os.WriteFile(path, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:20001"}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`), 0o600))
	port, err = portOf(path)
	require.NoError(t, err)
	assert.Equal(t, 20001, port)

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = portOf(path)
	assert.Error(t, err)
}

func TestControlPlaneArgs(t *testing.T) {
	kube := &Cluster{dir: "/state", options: Options{
		Port:                  20001,
		Audit:                 true,
		APIServerArgs:         []string{"--v=1"},
		ControllerManagerArgs: []string{"--v=2", "--horizontal-pod-autoscaler-sync-period=1s"},
		SchedulerArgs:         []string{"--v=3"},
	}}
	assert.Equal(t, []string{
		"--dir=/state", "--port=20001", "--audit=true",
		"--apiserver-arg=--v=1",
		"--controller-manager-arg=--v=2", "--controller-manager-arg=--horizontal-pod-autoscaler-sync-period=1s",
		"--scheduler-arg=--v=3",
	}, kube.controlPlaneArgs())
}

func TestUsable(t *testing.T) {
	node := func(status corev1.ConditionStatus, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{
			Spec:   corev1.NodeSpec{Taints: taints},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}},
		}
	}
	assert.True(t, usable(node(corev1.ConditionTrue)))
	assert.True(t, usable(node(corev1.ConditionTrue, corev1.Taint{Key: "costly", Effect: corev1.TaintEffectPreferNoSchedule})))
	assert.False(t, usable(node(corev1.ConditionTrue, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})))
	assert.False(t, usable(node(corev1.ConditionUnknown)))
	assert.False(t, usable(&corev1.Node{}))
}

func TestIdentityNeedsTheAuthority(t *testing.T) {
	kube := &Cluster{dir: t.TempDir(), config: &rest.Config{}}
	_, err := kube.ConfigFor("jane")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = kube.KubeconfigFor("jane")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestServiceAccountUser(t *testing.T) {
	assert.Equal(t, "system:serviceaccount:minicluster-system:minicluster-controller", ServiceAccountUser("minicluster-system", "minicluster-controller"))
}
