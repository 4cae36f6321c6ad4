package hardening_test

import (
	"testing"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/faults"
)

// The objects of a deleted MiniCluster are deleted. A controller that sees this before the deletion of the
// MiniCluster does not create them again.
func TestDeletedMiniClusterIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.prepare()
	run.begin(2)
	f.create("deleted", 2, maxSize(4))
	mc := f.settled("deleted", 2, v1alpha2.ReasonWithinBounds)
	run.current("deleted")
	release := run.HoldWatches(faults.Resource("miniclusters"))
	defer release()
	asked := run.Counts()["list miniclusters"]
	f.delete("deleted")
	f.gone(mc)
	// It has synced, and sent a request.
	f.eventually("a question", func() bool { return run.Counts()["list miniclusters"] > asked })
	f.single(mc, "deleted")
}
