package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

// fakeServices is a client with given answers.
type fakeServices struct {
	existing  *corev1.Service
	createErr error
	getErr    error
	patchErr  error
	patches   int
}

func (f *fakeServices) Create(_ context.Context, service *corev1.Service, _ metav1.CreateOptions) (*corev1.Service, error) {
	if f.createErr != nil {
		return nil, f.createErr
	}
	service = service.DeepCopy()
	service.ResourceVersion = "100"
	return service, nil
}

func (f *fakeServices) Get(context.Context, string, metav1.GetOptions) (*corev1.Service, error) {
	return f.existing, f.getErr
}

func (f *fakeServices) Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*corev1.Service, error) {
	f.patches++
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "200"}}, f.patchErr
}

// TestCreateOwned creates objects that already exist: owned by the MiniCluster, owned by another object, or owned by
// the MiniCluster and without the label that the caches select by.
func TestCreateOwned(t *testing.T) {
	mc := sample.MiniCluster()
	owned := resources.BuildSidecarService(mc, resources.Sidecar{Name: "nginx", Ports: []int32{80}})
	unlabelled := owned.DeepCopy()
	unlabelled.Labels = nil
	foreign := owned.DeepCopy()
	foreign.OwnerReferences = nil
	exists := apierrors.NewAlreadyExists(gr(services), "nginx")
	request := errors.New("connection refused")

	for _, tc := range []struct {
		name    string
		client  fakeServices
		created bool
		outcome outcome
		patches int
	}{
		{name: "created", created: true, outcome: outcomeDone},
		{name: "request failed", client: fakeServices{createErr: request}, outcome: outcomeFailed},
		{name: "stale cache", client: fakeServices{createErr: exists, existing: owned}, outcome: outcomeStale},
		{name: "foreign object", client: fakeServices{createErr: exists, existing: foreign}, outcome: outcomeNameConflict},
		{name: "label lost", client: fakeServices{createErr: exists, existing: unlabelled}, outcome: outcomeStale, patches: 1},
		{
			name:   "label lost, and the object was deleted since",
			client: fakeServices{createErr: exists, existing: unlabelled, patchErr: apierrors.NewNotFound(gr(services), "nginx")}, outcome: outcomeStale, patches: 1,
		},
		{name: "label lost, request failed", client: fakeServices{createErr: exists, existing: unlabelled, patchErr: request}, outcome: outcomeFailed, patches: 1},
		{name: "can't be read", client: fakeServices{createErr: exists, getErr: request}, outcome: outcomeFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Controller{consistency: newConsistency(nil)}
			s := &syncState{mc: mc}
			client := &tc.client
			service, created, err := createOwned(t.Context(), c, s, client, services, owned, ownership[*corev1.Service]{
				labelLost: func(service *corev1.Service) error { return restoreLabel(t.Context(), c, s, client, services, service) },
			})
			assert.Equal(t, tc.created, created)
			assert.Equal(t, tc.outcome, classify(err).outcome, err)
			assert.Equal(t, tc.patches, client.patches)
			if created {
				assert.Equal(t, "nginx", service.Name)
				assert.Equal(t, "100", c.consistency.writes[s.key][services], "the next sync waits for it")
			}
		})
	}
}

func TestPatch(t *testing.T) {
	for _, tc := range []struct {
		name    string
		err     error
		outcome outcome
	}{
		{"patched", nil, outcomeDone},
		{"deleted since it was cached", apierrors.NewNotFound(gr(services), "a"), outcomeStale},
		{"changed since it was cached", conflict(services, "a"), outcomeStale},
		{"request failed", errors.New("connection refused"), outcomeFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Controller{consistency: newConsistency(nil)}
			s := &syncState{}
			_, err := patch(t.Context(), c, s.key, &fakeServices{patchErr: tc.err}, services, "a", types.MergePatchType, map[string]any{})
			assert.Equal(t, tc.outcome, classify(err).outcome, err)
			if tc.err == nil {
				assert.Equal(t, "200", c.consistency.writes[s.key][services], "the next sync waits for it")
			} else {
				assert.Empty(t, c.consistency.writes)
			}
		})
	}
}

func TestRequeueAfterKeepsTheMinimum(t *testing.T) {
	var d delay
	for _, after := range []struct{ add, want time.Duration }{{0, 0}, {5, 5}, {7, 5}, {3, 3}, {-1, 3}} {
		d.requeueAfter(after.add)
		require.Equal(t, after.want, d.after)
	}
}
