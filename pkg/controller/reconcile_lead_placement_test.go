package controller

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// TestLeadPlacement: a Job is created only if the API server applies spec.lead, or rejects its pods anyway.
func TestLeadPlacement(t *testing.T) {
	t.Parallel()
	selector := map[string]string{"kind": "on-demand"}
	for name, tc := range map[string]struct {
		lead     *v1alpha2.Lead
		policy   bool
		err      error
		want     string
		retry    bool
		requests int
	}{
		"no field":         {},
		"policy":           {lead: &v1alpha2.Lead{NodeSelector: selector}, policy: true, requests: 1},
		"no policy":        {lead: &v1alpha2.Lead{NodeSelector: selector}, want: "manifests/lead-placement", requests: 1},
		"pod not admitted": {lead: &v1alpha2.Lead{NodeSelector: selector}, err: apierrors.NewForbidden(schema.GroupResource{}, "p", nil), requests: 1},
		"no answer":        {lead: &v1alpha2.Lead{NodeSelector: selector}, err: errors.New("connection refused"), retry: true, requests: 1},
		"too busy":         {lead: &v1alpha2.Lead{NodeSelector: selector}, err: apierrors.NewTooManyRequests("busy", 1), retry: true, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s := &Controller{kube: fake.NewClientset()}, &syncState{}
			requests := 0
			c.kube.(*fake.Clientset).PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
				create := action.(clienttesting.CreateActionImpl)
				assert.Equal(t, []string{"All"}, create.CreateOptions.DryRun)
				pod := create.Object.(*corev1.Pod).DeepCopy()
				assert.Equal(t, "0", pod.Labels["batch.kubernetes.io/job-completion-index"])
				if requests++; tc.policy {
					pod.Spec.NodeSelector = selector
				}
				return true, pod, tc.err
			})
			mc := newMiniCluster("a", 4)
			mc.Spec.Lead = tc.lead
			s.setMiniCluster(mc)
			job, err := resources.BuildJob(s.mc, resources.NewFixed(s.mc), resources.Environment{}, 2)
			require.NoError(t, err)
			err = c.leadPlacement(t.Context(), s, job)
			assert.Equal(t, tc.requests, requests)
			if tc.retry {
				require.ErrorContains(t, err, "spec.lead")
				assert.Equal(t, outcomeFailed, classify(err).outcome)
				return
			}
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			var e *syncError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, v1alpha2.ReasonNoLeadPolicy, e.reason)
			assert.Equal(t, outcomeRejected, e.outcome, "it is retried")
		})
	}
}

// TestCacheOfMisplacedLead: what the cache keeps of a lead says whether it was created with spec.lead.
func TestCacheOfMisplacedLead(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{}
	pod.Annotations = map[string]string{v1alpha2.AnnotationLeadNodeSelector: "kind=on-demand"}
	for _, placed := range []bool{false, true} {
		if placed {
			pod.Spec.NodeSelector = map[string]string{"kind": "on-demand"}
		}
		kept, err := leadOnly(pod)
		require.NoError(t, err)
		assert.Equal(t, placed, resources.LeadPlaced(kept.(*corev1.Pod)))
	}
}

// TestTrialOfRejectedLead: a policy may reject the lead alone, with which the Job controller begins.
func TestTrialOfRejectedLead(t *testing.T) {
	t.Parallel()
	job, err := resources.BuildJob(newMiniCluster("a", 4), resources.NewFixed(newMiniCluster("a", 4)), resources.Environment{}, 2)
	require.NoError(t, err)
	kube := fake.NewClientset(job)
	kube.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		pod := action.(clienttesting.CreateActionImpl).Object.(*corev1.Pod)
		if pod.Labels["batch.kubernetes.io/job-completion-index"] == "0" {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, pod.GenerateName, nil)
		}
		return true, pod, nil
	})
	c, s := &Controller{kube: kube}, &syncState{job: job}
	assert.True(t, apierrors.IsForbidden(c.dryRunPod(t.Context(), s, false)))
	assert.NoError(t, c.dryRunPod(t.Context(), s, true))
}
