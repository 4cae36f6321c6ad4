package resources

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/sample"
)

// placedLead is a lead with all that can be requested.
func placedLead(mc *v1alpha2.MiniCluster) {
	mc.Spec.Lead = &v1alpha2.Lead{
		NodeSelector: map[string]string{"example.com/kind": "on-demand", "disk": ""},
		Tolerations: []corev1.Toleration{
			{Key: "lead", Value: "only", Effect: corev1.TaintEffectNoSchedule},
			{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(30))},
		},
	}
}

func TestLeadAnnotations(t *testing.T) {
	t.Parallel()
	mc := sample.MiniCluster(placedLead)
	assert.True(t, HasLeadPlacement(mc))
	assert.Equal(t, map[string]string{
		v1alpha2.AnnotationLeadNodeSelector: "disk=,example.com/kind=on-demand",
		v1alpha2.AnnotationLeadTolerations:  "lead||only|NoSchedule|,|Exists||NoExecute|30",
	}, leadAnnotations(mc))
	for name, mod := range map[string]func(*v1alpha2.MiniCluster){
		"no lead":    func(mc *v1alpha2.MiniCluster) { mc.Spec.Lead = nil },
		"empty lead": func(mc *v1alpha2.MiniCluster) { mc.Spec.Lead = &v1alpha2.Lead{} },
		"lead elsewhere": func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Flux = &v1alpha2.FluxSpec{Bursting: &v1alpha2.Bursting{LeadBroker: &v1alpha2.LeadBroker{}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mc := sample.MiniCluster(placedLead, mod)
			assert.False(t, HasLeadPlacement(mc))
			assert.Empty(t, leadAnnotations(mc))
		})
	}
}

func TestLeadPlaced(t *testing.T) {
	t.Parallel()
	mc := sample.MiniCluster(placedLead)
	job, err := BuildJob(mc, NewFixed(mc), Environment{}, 2)
	require.NoError(t, err)
	pod := BuildLeadPod(job)
	assert.Equal(t, "0", pod.Labels["batch.kubernetes.io/job-completion-index"])
	assert.NotContains(t, job.Spec.Template.Labels, "batch.kubernetes.io/job-completion-index")
	assert.False(t, LeadPlaced(pod), "without the policy")
	assert.True(t, LeadPlaced(&corev1.Pod{}), "without spec.lead")

	pod.Spec.NodeSelector = mc.Spec.Lead.NodeSelector
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, mc.Spec.Lead.Tolerations...)
	require.True(t, LeadPlaced(pod))
	kept := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{}}}
	CopyLeadPlacement(kept, pod)
	assert.True(t, LeadPlaced(kept))
	for name, change := range map[string]func(*corev1.PodSpec){
		"other value":        func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"example.com/kind": "spot", "disk": ""} },
		"missing label":      func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"example.com/kind": "on-demand"} },
		"missing toleration": func(s *corev1.PodSpec) { s.Tolerations = s.Tolerations[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := pod.DeepCopy()
			change(&changed.Spec)
			assert.False(t, LeadPlaced(changed))
		})
	}
}
