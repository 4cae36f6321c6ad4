package app

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// A process whose context ends while it acquires the lease releases the lease, and does not work: another process may
// lead at once.
func TestNoWorkAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	kube := fake.NewClientset()
	kube.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		cancel()
		return false, nil, nil
	})
	o := NewOptions()
	o.LeaderElection.ResourceNamespace = "system"
	e, err := newElector(o, kube, "this process")
	require.NoError(t, err)
	var works atomic.Int32
	require.NoError(t, e.lead(ctx, func(context.Context) error {
		works.Add(1)
		return nil
	}))
	assert.Zero(t, works.Load())
	lease, err := kube.CoordinationV1().Leases("system").Get(t.Context(), o.LeaderElection.ResourceName, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Empty(t, *lease.Spec.HolderIdentity, "the lease is released")
}
