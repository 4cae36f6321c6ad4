package controller

import (
	"context"

	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/controller/messages"
)

// restoreSource determines the archive of another MiniCluster that a new one starts from. It waits while the other one
// runs: its jobs would run twice. Later the path is recorded, and the other MiniCluster may be deleted.
func (c *Controller) restoreSource(ctx context.Context, s *syncState) error {
	from := s.mc.Spec.RestoreFrom
	if from == nil || s.job != nil || s.hibernated != nil || s.fixed.RestoreFrom != "" {
		return nil
	}
	other, err := s.read.miniCluster(ctx, cache.NewObjectName(s.key.Namespace, from.Name))
	switch {
	case err != nil:
		return err
	case other == nil:
		return waitFor(messages.RestoreFromMissing(from.Name))
	case other.Spec.Archive == nil || other.Spec.Archive.Path == "":
		return waitFor(messages.RestoreFromNoArchive(from.Name))
	case !other.Hibernates() && !other.Status.Finished():
		return waitFor(messages.RestoreFromRuns(from.Name))
	}
	s.fixed.RestoreFrom = other.Spec.Archive.Path
	if h := other.Status.Hibernation; h != nil && h.Location != "" {
		s.fixed.RestoreFrom = h.Location
	}
	return nil
}
