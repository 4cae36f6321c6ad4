package api_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
)

// TestDefaults checks that only the layout of the pods depends on the version of a document.
func TestDefaults(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha1", "metadata: {name: old}\nspec: {containers: [{command: hostname}]}")
	n.create("v1alpha1", "metadata: {name: old-elsewhere}\nspec: {flux: {installRoot: /opt/conda}, containers: [{command: hostname}]}")
	n.create("v1alpha2", "metadata: {name: new}\nspec: {containers: [{command: hostname}]}")
	n.create("v1alpha2", "metadata: {name: new-given}\nspec: {flux: {}, containers: [{command: hostname}]}")

	common := map[string]any{
		"tasks": int64(1), "deadlineSeconds": int64(31500000), "interactive": false, "cleanup": false,
		"containers": []any{map[string]any{"command": "hostname"}},
	}
	for name, flux := range map[string]map[string]any{
		"old":           {"installRoot": "/usr", "connectTimeout": "5s", "logLevel": int64(6)},
		"old-elsewhere": {"installRoot": "/opt/conda", "connectTimeout": "5s", "logLevel": int64(6)},
		"new":           nil,
		"new-given":     {"connectTimeout": "5s", "logLevel": int64(6)},
	} {
		want := map[string]any{}
		for key, value := range common {
			want[key] = value
		}
		if flux != nil {
			want["flux"] = flux
		}
		// The stored object applies, whichever version reads it.
		for _, version := range versions() {
			assert.Equal(t, want, n.get(version, name).Object["spec"], "%s through %s", name, version)
		}
	}
}

// TestMergePatchThroughOldVersion checks that a write of the main resource stores the defaults of its version.
// Therefore the controller fixes the layout at creation.
func TestMergePatchThroughOldVersion(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha2", minimal)
	n.patch("v1alpha1", "flux", "spec: {size: 2}")
	mc := n.get("v1alpha2", "flux")
	assert.Equal(t, int64(2), field(t, mc, "spec.size"))
	assert.Equal(t, "/usr", field(t, mc, "spec.flux.installRoot"))
}

// sized is a MiniCluster with a size. Without a size, /scale does not exist until the controller has written the
// size.
const sized = "metadata: {name: flux}\nspec: {size: 1, containers: [{command: hostname}]}"

// TestScale checks that /scale is the same through both versions, and writes only the size.
func TestScale(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha2", sized)
	n.patch("v1alpha2", "flux", "status: {size: 3, selector: hpa-selector=flux}", "status")
	before := n.get("v1alpha2", "flux")
	for i, version := range versions() {
		size := int64(4 + i)
		scale, err := n.miniclusters(version).Get(n.Context(), "flux", metav1.GetOptions{}, "scale")
		require.NoError(t, err)
		assert.Equal(t, "Scale", scale.GetKind())
		assert.Equal(t, "autoscaling/v1", scale.GetAPIVersion())
		assert.Equal(t, int64(3), field(t, scale, "status.replicas"))
		assert.Equal(t, "hpa-selector=flux", field(t, scale, "status.selector"))

		scale.Object["spec"] = map[string]any{"replicas": size}
		_, err = n.miniclusters(version).Update(n.Context(), scale, metav1.UpdateOptions{}, "scale")
		require.NoError(t, err)
		after := n.get("v1alpha2", "flux")
		assert.Equal(t, size, field(t, after, "spec.size"))
		after.Object["spec"].(map[string]any)["size"] = field(t, before, "spec.size")
		assert.Equal(t, before.Object["spec"], after.Object["spec"], "/scale of %s changes the size only", version)
	}
}

// TestClientset checks the generated client's own scale methods.
func TestClientset(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha1", sized)
	client, err := clientset.NewForConfig(n.kube.Config())
	require.NoError(t, err)
	miniclusters := client.FluxFrameworkV1alpha2().MiniClusters(n.name)
	scale, err := miniclusters.GetScale(n.Context(), "flux", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, autoscalingv1.ScaleSpec{Replicas: 1}, scale.Spec)
	scale.Spec.Replicas = 2
	_, err = miniclusters.UpdateScale(n.Context(), "flux", scale, metav1.UpdateOptions{})
	require.NoError(t, err)
	mc, err := miniclusters.Get(n.Context(), "flux", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, int32(2), mc.RequestedSize())
}

// TestStatus checks that spec and status are written separately, and that no part of the status is required of a
// client that writes another part.
func TestStatus(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha2", minimal+"\nstatus: {size: 7}")
	// The default of the schema shows clients that no controller has seen the spec.
	assert.Equal(t, map[string]any{"observedGeneration": int64(-1)}, field(t, n.get("v1alpha2", "flux"), "status"), "creating sets no status")

	n.patch("v1alpha1", "flux", `
spec: {size: 9}
status: {conditions: [{type: Ready, status: "True", reason: Ready, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]}`, "status")
	mc := n.get("v1alpha2", "flux")
	assert.Nil(t, field(t, mc, "spec.size"), "writing the status sets no spec")
	assert.Len(t, field(t, mc, "status.conditions"), 1)

	n.patch("v1alpha2", "flux", "status: {size: 5}")
	assert.Nil(t, field(t, n.get("v1alpha2", "flux"), "status.size"), "writing the spec sets no status")

	condition := `{type: Ready, status: "True", reason: Ready, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}`
	err := n.tryPatch("v1alpha2", "flux", "status: {conditions: ["+condition+", "+condition+"]}", "status")
	assert.True(t, apierrors.IsInvalid(err), "there is one condition of a type: %v", err)
}

// TestSecurityContext checks that Kubernetes' own fields and that of v1alpha1 can be combined.
func TestSecurityContext(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("v1alpha1", `
metadata: {name: flux}
spec:
  containers:
  - securityContext: {privileged: true, addCapabilities: [SYS_PTRACE], capabilities: {add: [NET_ADMIN]}, runAsUser: 0}
    resources: {limits: {cpu: 2, memory: 1Gi, vendor.example/gpu: "1"}, requests: {cpu: 500m}}`)
	client, err := clientset.NewForConfig(n.kube.Config())
	require.NoError(t, err)
	mc, err := client.FluxFrameworkV1alpha2().MiniClusters(n.name).Get(n.Context(), "flux", metav1.GetOptions{})
	require.NoError(t, err)
	context := mc.Spec.Containers[0].SecurityContext
	require.NotNil(t, context)
	assert.True(t, *context.Privileged)
	assert.Equal(t, int64(0), *context.RunAsUser)
	assert.EqualValues(t, "SYS_PTRACE", context.AddCapabilities[0])
	assert.EqualValues(t, "NET_ADMIN", context.Capabilities.Add[0])
	limits := mc.Spec.Containers[0].Resources.Limits
	assert.Equal(t, int64(2), limits.Cpu().Value())
	assert.Equal(t, int64(1<<30), limits.Memory().Value())
}
