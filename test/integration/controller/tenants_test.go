package controller_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/user"
)

// A change of size of one tenant is not delayed by the many creations of another one that wait at the same time.
func TestTenantsTakeTurns(t *testing.T) {
	const many = 40
	quiet, busy := newFixture(t), newFixture(t)
	quiet.createReady("resized", 2, maxSize(4))
	log, err := quiet.cluster.Audit()
	require.NoError(t, err)
	running.halt(t)
	for i := range many {
		busy.create(fmt.Sprintf("mc-%d", i), 1)
	}
	quiet.setSize("resized", 4)
	running.start(t)

	quiet.waitFor("resized", quiet.ready(4))
	busy.eventually("all Jobs of the other tenant", func(ctx context.Context) (string, error) {
		jobs, err := busy.kube.BatchV1().Jobs(busy.namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(jobs.Items) < many {
			return fmt.Sprintf("%d Jobs", len(jobs.Items)), err
		}
		return "", nil
	})
	requests, err := log.Requests(user.Controller)
	require.NoError(t, err)
	before, patched := 0, false
	for _, request := range requests {
		switch {
		case request.Namespace == quiet.namespace && request.Key() == "patch jobs":
			patched = true
		case request.Namespace == busy.namespace && request.Key() == "create jobs" && !patched:
			before++
		}
	}
	require.True(t, patched)
	// A worker may finish a second creation while another one resizes.
	assert.LessOrEqual(t, before, 2*app.NewOptions().Workers, "of %d Jobs created before the resize", many)
}
