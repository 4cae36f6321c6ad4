package initial

import (
	"context"
	"fmt"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agent/jobrecords"
	"minicluster.internal/operator/pkg/agent/shutdown"
	"minicluster.internal/operator/pkg/flux"
)

// recordJobs appends the records of the jobs that have ended to the file of the plan. Running jobs were canceled before
// the archive was written.
func (r *runner) recordJobs(ctx context.Context, s *shutdown.Shutdown) {
	file := r.Plan.Archive.JobRecords
	if file == "" {
		return
	}
	// The broker needs time to stop, too.
	ctx, cancel := context.WithTimeout(ctx, s.Remaining(s.Reserve()/4))
	defer cancel()
	number, err := r.appendRecords(ctx, r.Path(file))
	if err != nil {
		klog.FromContext(ctx).Error(err, "Failed to record the jobs", "file", file)
		r.TerminationMessage(fmt.Sprintf("the jobs were not recorded in %s: %v", file, err))
		return
	}
	klog.FromContext(ctx).Info("Recorded jobs that have ended", "file", file, "jobs", number)
}

func (r *runner) appendRecords(ctx context.Context, file string) (int, error) {
	client, err := flux.Dial(ctx, r.fluxURI())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return jobrecords.Append(ctx, client, file, r.Plan.Namespace, r.Plan.Name)
}
