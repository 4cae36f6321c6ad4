// Package jobs waits for the end of running jobs while a pod stops. It only reads the state of the scheduler: who
// asks the jobs to stop is decided elsewhere.
package jobs

import (
	"context"
	"fmt"
	"time"

	"minicluster.internal/operator/pkg/flux"
)

// interval is how often the scheduler is queried.
const interval = 200 * time.Millisecond

// WaitIdle waits until no job has resources on a rank, or on any rank if it is nil, until ctx ends. It reports whether
// there are such jobs then. user is the user ID to connect as, -1 for that of the process.
func WaitIdle(ctx context.Context, uri string, user int, rank *uint32) (busy bool, err error) {
	client, err := flux.Dial(ctx, uri, flux.AsUser(user))
	if err != nil {
		return false, fmt.Errorf("waiting for jobs: %w", err)
	}
	defer client.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		status, err := client.SchedStatus(ctx)
		if ctx.Err() != nil {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("waiting for jobs: %w", err)
		}
		allocated := status.Allocated.Ranks()
		if allocated.Empty() || (rank != nil && !allocated.Contains(*rank)) {
			return false, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return true, nil
		}
	}
}
