package hardening_test

import (
	"github.com/stretchr/testify/assert"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// agents simulate the agents of the pods, for hibernations.
var agents user.Agents

const archivePath = "/state/archive.tar"

func prepareArchived(f *fixture, name string) {
	agents.Of(name).Saves(control.HibernateState{Pending: 7, Demand: 3, Bytes: 1000, Location: archivePath, Checksum: "c0ffee"})
	f.create(name, 2, maxSize(4), func(mc *v1alpha2.MiniCluster) { mc.Spec.Archive = &v1alpha2.FluxArchive{Path: archivePath} })
	f.settled(name, 2, v1alpha2.ReasonWithinBounds)
}

func setSuspend(f *fixture, name string, suspend bool) {
	f.Patch(name, map[string]any{"spec": map[string]any{"suspend": suspend}})
}

func hibernate(f *fixture, name string, _ int) { setSuspend(f, name, true) }

// checkHibernated checks that the only Job was deleted after the ConfigMap had recorded what was saved.
func checkHibernated(f *fixture, name string, _ int) {
	mc := f.hibernated(name)
	f.single(mc, "hibernated")
	f.first(f.T, "the record", func(o metav1.Object) bool {
		configMap, ok := o.(*corev1.ConfigMap)
		return ok && owned(configMap, mc) && configMap.Annotations[v1alpha2.AnnotationHibernation] != ""
	})
}

// hibernated waits until a MiniCluster hibernates, and returns it.
func (f *fixture) hibernated(name string) *v1alpha2.MiniCluster {
	f.Helper()
	var mc *v1alpha2.MiniCluster
	f.wait(f.T, name+" to hibernate", func() string {
		mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
		job := get[*batchv1.Job](f.world, "Job", name)
		saved := mc.Status.Hibernation != nil && mc.Status.Hibernation.Jobs != nil && mc.Status.Hibernation.Jobs.Pending == 7
		if job == nil && mc.Status.ObservedGeneration == mc.Generation && saved &&
			is(&mc.Status, v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated) {
			return ""
		}
		return describe(mc, job)
	})
	return mc
}

func prepareHibernated(f *fixture, name string) {
	prepareArchived(f, name)
	setSuspend(f, name, true)
	f.hibernated(name)
}

func wake(f *fixture, name string, _ int) {
	f.Patch(name, map[string]any{"spec": map[string]any{"suspend": false, "maxSize": 8, "size": 5}})
}

// checkWoken checks that one other Job was created, with what was saved and the same certificate.
func checkWoken(f *fixture, name string, _ int) {
	mc := f.settled(name, 5, v1alpha2.ReasonWithinBounds)
	assert.Nil(f, mc.Status.Hibernation)
	assert.EqualValues(f, 8, mc.Status.MaximumSize)
	for kind, n := range map[string]int{"Job": 2, "Secret": 1, "ConfigMap": 1, "Service": 1} {
		f.created(kind, mc, n, "woken")
	}
	assert.Equal(f, mc.Status.JobID, string(get[*batchv1.Job](f.world, "Job", name).UID))
}
