package controller

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/pkg/controller/status"
)

// autoscalerRig is a controller with a MiniCluster.
type autoscalerRig struct {
	t    *testing.T
	kube *fake.Clientset
	c    *Controller
	mc   *v1alpha2.MiniCluster
}

func newAutoscalerRig(t *testing.T) *autoscalerRig {
	t.Helper()
	r := &autoscalerRig{t: t, kube: fake.NewClientset(), mc: newMiniCluster("a", 4)}
	r.mc.Namespace, r.mc.UID, r.mc.Spec.Interactive = "ns", "uid", true
	r.c = &Controller{kube: r.kube, environment: resources.Environment{ServerMinor: 35}}
	return r
}

// sync keeps the autoscaler, and returns what the status says and whether a request was sent.
func (r *autoscalerRig) sync() (observed *status.Autoscaling, requests int) {
	r.t.Helper()
	r.kube.ClearActions()
	s := &syncState{fixed: resources.Fixed{Maximum: 8}, job: &batchv1.Job{}}
	s.setMiniCluster(r.mc)
	require.NoError(r.t, r.c.autoscaling(r.t.Context(), s))
	return s.observed.Autoscaling, len(r.kube.Actions())
}

func (r *autoscalerRig) autoscalers() []autoscalingv2.HorizontalPodAutoscaler {
	r.t.Helper()
	list, err := r.kube.AutoscalingV2().HorizontalPodAutoscalers("ns").List(r.t.Context(), metav1.ListOptions{})
	require.NoError(r.t, err)
	return list.Items
}

// set changes the status of the autoscaler.
func (r *autoscalerRig) set(conditions ...autoscalingv2.HorizontalPodAutoscalerCondition) {
	r.t.Helper()
	hpa := r.autoscalers()[0]
	hpa.Status.Conditions = conditions
	_, err := r.kube.AutoscalingV2().HorizontalPodAutoscalers("ns").UpdateStatus(r.t.Context(), &hpa, metav1.UpdateOptions{})
	require.NoError(r.t, err)
}

func TestNoAutoscaler(t *testing.T) {
	r := newAutoscalerRig(t)
	observed, requests := r.sync()
	assert.Nil(t, observed)
	assert.Zero(t, requests, "a MiniCluster without spec.autoscaling takes no request")
}

func TestAutoscalerIsKept(t *testing.T) {
	r := newAutoscalerRig(t)
	r.mc.Spec.Autoscaling = &v1alpha2.Autoscaling{}
	observed, _ := r.sync()
	assert.Equal(t, v1alpha2.ReasonAutoscalerPending, observed.Reason)
	require.Len(t, r.autoscalers(), 1)

	r.set(autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetObjectMetric", Message: "no broker",
	})
	observed, requests := r.sync()
	assert.Equal(t, 1, requests, "one read while nothing changes")
	assert.False(t, observed.Active)
	assert.Equal(t, v1alpha2.ReasonMetricUnavailable, observed.Reason)
	assert.Equal(t, "the HorizontalPodAutoscaler a does not change the size: FailedGetObjectMetric: no broker", observed.Message)

	r.set(autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue})
	r.mc.Spec.Autoscaling.MaxSize = 5
	observed, _ = r.sync()
	assert.True(t, observed.Active)
	assert.Equal(t, "the HorizontalPodAutoscaler a sets sizes between 1 and 5 (metric Recommended)", observed.Message)
	assert.Equal(t, int32(5), r.autoscalers()[0].Spec.MaxReplicas)

	r.mc.Spec.Autoscaling.Metric = v1alpha2.AutoscalingCPU
	_, _ = r.sync()
	require.Len(t, r.autoscalers(), 1)
	assert.NotNil(t, r.autoscalers()[0].Spec.Metrics[0].Resource)
	assert.Nil(t, r.autoscalers()[0].Spec.Behavior.ScaleUp)

	r.mc.Spec.Autoscaling = nil
	r.mc.Status.Conditions = []metav1.Condition{{Type: v1alpha2.ConditionAutoscaling}}
	observed, _ = r.sync()
	assert.True(t, observed.Removed)
	assert.Empty(t, r.autoscalers())
}

// TestOtherAutoscaler: an autoscaler of a user is named, and the controller neither keeps nor creates a second one.
func TestOtherAutoscaler(t *testing.T) {
	r := newAutoscalerRig(t)
	r.mc.Spec.Autoscaling = &v1alpha2.Autoscaling{}
	_, _ = r.sync()
	require.Len(t, r.autoscalers(), 1)
	other := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "mine"}}
	other.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "flux-framework.org/v1alpha1", Kind: "MiniCluster", Name: "a"}
	_, err := r.kube.AutoscalingV2().HorizontalPodAutoscalers("ns").Create(t.Context(), other, metav1.CreateOptions{})
	require.NoError(t, err)
	r.set(autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "AmbiguousSelector"})
	for range 2 {
		observed, _ := r.sync()
		assert.Equal(t, v1alpha2.ReasonOtherAutoscaler, observed.Reason)
		assert.Contains(t, observed.Message, "the HorizontalPodAutoscaler mine scales this MiniCluster")
		require.Len(t, r.autoscalers(), 1)
		assert.Equal(t, "mine", r.autoscalers()[0].Name)
	}
}

// TestCommandOfGrowingCluster: the condition says that a single command does not use new nodes.
func TestCommandOfGrowingCluster(t *testing.T) {
	mc := newMiniCluster("a", 4)
	mc.Spec.Interactive, mc.Spec.Autoscaling = false, &v1alpha2.Autoscaling{Metric: v1alpha2.AutoscalingRecommended}
	mc.Spec.Containers[0].Command = "lmp"
	hpa := resources.BuildAutoscaler(mc, resources.Fixed{Maximum: 4}, resources.Environment{})
	hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue}}
	assert.Contains(t, autoscalerState(mc, hpa, 4).Message, "does not use nodes that are added")
}

// TestAutoscalerWithoutChoice: the condition names the field that lets the autoscaler change the size: spec.maxSize
// cannot be changed, so it is named only if it is the limit.
func TestAutoscalerWithoutChoice(t *testing.T) {
	for maximum, want := range map[int32]string{
		8: "size: raise spec.autoscaling.maxSize", 4: "size: raise spec.maxSize and, if it is set, spec.autoscaling.maxSize",
	} {
		mc := newMiniCluster("a", 4)
		mc.Spec.Interactive, mc.Spec.Autoscaling = true, &v1alpha2.Autoscaling{MinSize: 4, MaxSize: 4, Metric: v1alpha2.AutoscalingRecommended}
		hpa := resources.BuildAutoscaler(mc, resources.Fixed{Maximum: maximum}, resources.Environment{})
		hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue}}
		message := autoscalerState(mc, hpa, maximum).Message
		assert.True(t, strings.HasSuffix(message, "; it cannot change the "+want), message)
	}
}
