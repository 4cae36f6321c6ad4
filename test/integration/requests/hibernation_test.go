package requests_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// TestHibernation counts the requests of a hibernation. A MiniCluster that hibernates, or that was not started, costs
// none, and only its status when the spec changes.
func TestHibernation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	agents.Of("winter").Saves(control.HibernateState{Pending: 7, Demand: 3, Bytes: 1000, Location: "/state/archive.tar", Checksum: "c0ffee"})
	f.create("winter", 2, 4, func(mc *v1alpha2.MiniCluster) { mc.Spec.Archive = &v1alpha2.FluxArchive{Path: "/state/archive.tar"} })
	f.settle("winter", 2)
	hibernated := user.Has(v1alpha2.ConditionHibernated, metav1.ConditionTrue, v1alpha2.ReasonHibernated)
	f.Patch("winter", map[string]any{"spec": map[string]any{"suspend": true}})
	f.WaitFor("winter", hibernated)
	f.WaitForEvent("winter", "Hibernated")
	f.awaitSilence()
	patch := func(spec map[string]any) func() { return func() { f.Patch("winter", map[string]any{"spec": spec}) } }
	for _, step := range []struct {
		name string
		do   func()
		want counts
	}{
		{"another size", patch(map[string]any{"size": 3}), counts{statusWrite: 1}},
		{"another maximum", patch(map[string]any{"maxSize": 8}), counts{statusWrite: 1}},
		{"a label", func() { f.label("winter") }, counts{}},
	} {
		log := f.Audit()
		step.do()
		f.WaitFor("winter", hibernated)
		f.assertCounted(log, step.want, step.name)
	}

	log := f.Audit()
	f.create("later", 2, 4, func(mc *v1alpha2.MiniCluster) { mc.Spec.Suspend = true })
	f.WaitFor("later", user.Has(v1alpha2.ConditionHibernated, metav1.ConditionFalse, v1alpha2.ReasonNotStarted))
	f.assertCounted(log, counts{statusWrite: 1}, "not started")
}
