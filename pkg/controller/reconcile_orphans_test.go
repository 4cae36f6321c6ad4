package controller

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// restorable are the resources that a backup contains, in the order in which Velero restores them.
var restorable = []cachedResource{secrets, configmaps, pods, services, jobs, miniclusters}

// backup returns copies of all objects of some resources, as Velero restores them: without UIDs, versions, owners and
// status.
func (p *play) backup() map[cachedResource][]apiObject {
	dump := map[cachedResource][]apiObject{}
	for _, r := range restorable {
		for _, o := range p.all(r) {
			o = o.DeepCopyObject().(apiObject)
			o.SetUID("")
			o.SetResourceVersion("")
			o.SetOwnerReferences(nil)
			o.SetFinalizers(nil)
			switch o := o.(type) {
			case *v1alpha2.MiniCluster:
				o.Status = v1alpha2.MiniClusterStatus{}
			case *batchv1.Job:
				o.Status = batchv1.JobStatus{}
			case *corev1.Pod:
				o.Status = corev1.PodStatus{Phase: corev1.PodPending}
			}
			dump[r] = append(dump[r], o)
		}
	}
	return dump
}

// checkOneBroker checks that no rank has two pods, and that nothing is without owner.
func (p *play) checkOneBroker() {
	p.Helper()
	ranks := map[string]string{}
	for _, o := range p.all(pods) {
		rank := o.GetLabels()[v1alpha2.LabelHPASelector] + o.GetLabels()[batchv1.JobCompletionIndexAnnotation]
		if other := ranks[rank]; rank != "" && other != "" {
			p.violated("pods %s and %s have one rank", o.GetName(), other)
		}
		ranks[rank] = o.GetName()
	}
	for _, r := range restorable[:len(restorable)-1] {
		for _, o := range p.all(r) {
			if len(o.GetOwnerReferences()) == 0 {
				p.violated("%s %s has no owner", r, o.GetName())
			}
		}
	}
}

// TestRestoredObjects restores a MiniCluster with all of its objects, or with some, before it or after it.
func TestRestoredObjects(t *testing.T) {
	all := restorable[:len(restorable)-1]
	sets := [][]cachedResource{all, {jobs, secrets}, {jobs, secrets, configmaps}, {configmaps}, {services, pods}, {configmaps, pods}, {services}}
	for _, v := range []variant{{name: "plain"}, {name: "beside", beside: true}} {
		for _, set := range sets {
			for _, first := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s,%v,objects first %t", v.name, set, first), func(t *testing.T) { testRestored(t, v, set, first) })
			}
		}
	}
}

func testRestored(t *testing.T, v variant, set []cachedResource, first bool) {
	p := startPlay(t, nil, v)
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size, mc.Spec.MaxSize, mc.Spec.Volumes = new(int32(2)), 4, nil })
	p.calm()
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(3)) })
	p.calm()
	require.Equal(t, int32(3), p.parallelism("a"))
	before := p.cluster("a").UID
	dump := p.backup()
	p.remove(miniclusters, "a")
	p.calm()
	for _, r := range restorable {
		require.Empty(t, p.all(r), r)
	}
	restoreOne := func(r cachedResource) {
		if r == pods && !slices.Contains(set, jobs) && !first {
			return // nothing shows that they are there
		}
		for _, o := range dump[r] {
			_, err := p.create(r, o)
			require.NoError(t, err)
		}
	}
	if !first {
		restoreOne(miniclusters)
	}
	for _, r := range set {
		restoreOne(r)
	}
	p.runJobs()
	if first {
		restoreOne(miniclusters)
	}
	p.soon()
	require.NotEqual(t, before, p.cluster("a").UID)
	assert.Equal(t, int32(3), p.parallelism("a"))
	ready := p.condition("a", v1alpha2.ConditionReady)
	if slices.Contains(set, jobs) && !slices.Contains(set, secrets) {
		assert.Equal(t, v1alpha2.ReasonCertificateLost, ready.Reason)
	} else {
		assert.Equal(t, v1alpha2.ReasonReady, ready.Reason, ready.Message)
	}
	p.checkOneBroker()
	edit(p.world, miniclusters, "a", func(mc *v1alpha2.MiniCluster) { mc.Spec.Size = new(int32(4)) })
	p.calm()
	assert.Equal(t, int32(4), p.parallelism("a"))
	p.remove(miniclusters, "a")
	p.soon()
	for _, r := range restorable {
		assert.Empty(t, p.all(r), "%s go with the MiniCluster", r)
	}
}

// Nothing is adopted by a MiniCluster that is deleted without its objects.
func TestOrphanedByDeletion(t *testing.T) {
	p := newPlay(t, nil)
	p.calm()
	mc := p.cluster("a")
	p.remove(miniclusters, "a")
	for _, r := range []cachedResource{jobs, configmaps, services, secrets} {
		for _, o := range p.all(r) {
			edit(p.world, r, o.GetName(), func(o apiObject) { o.SetOwnerReferences(nil) })
		}
	}
	for range 10 { // the caches do not show the deletion
		for _, r := range []cachedResource{jobs, configmaps, services} {
			p.see(r, len(p.pending[r]))
		}
		p.work(10)
		p.clock.Step(staleMax)
	}
	p.soon()
	assert.NotNil(t, p.objects[jobs]["a"], "the Job runs on")
	assert.Empty(t, p.objects[jobs]["a"].GetOwnerReferences())
	assert.Zero(t, p.events["Adopted"])
	_, err := p.create(miniclusters, &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: testNamespace}, Spec: mc.Spec})
	require.NoError(t, err)
	job := p.objects[jobs]["a"].GetUID()
	p.soon()
	assert.Equal(t, job, p.objects[jobs]["a"].GetUID(), "a new MiniCluster of this name adopts it")
	assert.True(t, metav1.IsControlledBy(p.objects[jobs]["a"], p.cluster("a")))
	p.checkOneBroker()
}

// Objects of others are no orphans, whatever labels they have.
func TestObjectsOfOthersAreNotAdopted(t *testing.T) {
	mc := &v1alpha2.MiniCluster{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: testNamespace, UID: "1"}}
	ours := resources.BuildSidecarService(mc, resources.Sidecar{Name: "nginx", Ports: []int32{80}})
	ours.OwnerReferences = nil
	require.True(t, resources.IsOrphan(mc, ours))
	for name, change := range map[string]func(*corev1.Service){
		"another owner":              func(s *corev1.Service) { s.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", UID: "2"}} },
		"an earlier owner":           func(s *corev1.Service) { s.OwnerReferences = []metav1.OwnerReference{{Kind: "MiniCluster", UID: "0"}} },
		"another MiniCluster":        func(s *corev1.Service) { s.Labels[v1alpha2.LabelName] = "b" },
		"no label of the controller": func(s *corev1.Service) { delete(s.Labels, v1alpha2.LabelController) },
		"another manager":            func(s *corev1.Service) { s.Labels[v1alpha2.LabelController] = "helm" },
		"being deleted":              func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{} },
	} {
		other := ours.DeepCopy()
		change(other)
		assert.False(t, resources.IsOrphan(mc, other), name)
	}
}
