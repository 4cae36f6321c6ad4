package v1alpha2_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"

	apply "minicluster.internal/operator/pkg/generated/applyconfiguration/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/generated/clientset/versioned/fake"
)

// TestFakeClientsetMerges checks that the fake clientset and the Extract functions know from the generated schema
// that conditions are merged by type.
func TestFakeClientsetMerges(t *testing.T) {
	miniclusters := fake.NewClientset().FluxFrameworkV1alpha2().MiniClusters("default")
	write := func(manager, condition string) {
		status := apply.MiniClusterStatus().WithConditions(metav1apply.Condition().
			WithType(condition).WithStatus(metav1.ConditionTrue).WithReason("Test").WithMessage("").WithLastTransitionTime(metav1.Now()))
		_, err := miniclusters.ApplyStatus(t.Context(), apply.MiniCluster("flux", "default").WithStatus(status), metav1.ApplyOptions{FieldManager: manager})
		require.NoError(t, err)
	}
	spec := apply.MiniClusterSpec().WithSize(2).WithContainers(apply.MiniClusterContainer().
		WithSecurityContext(apply.SecurityContext().WithPrivileged(true).WithAddCapabilities("SYS_PTRACE")))
	_, err := miniclusters.Apply(t.Context(), apply.MiniCluster("flux", "default").WithSpec(spec), metav1.ApplyOptions{FieldManager: "user"})
	require.NoError(t, err)
	write("one", "Ready")
	write("two", "Accepted")

	mc, err := miniclusters.Get(t.Context(), "flux", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Len(t, mc.Status.Conditions, 2)
	assert.True(t, *mc.Spec.Containers[0].SecurityContext.Privileged)
	extracted, err := apply.ExtractMiniCluster(mc, "user")
	require.NoError(t, err)
	assert.Equal(t, int32(2), *extracted.Spec.Size)
	assert.Nil(t, extracted.Status)
}
