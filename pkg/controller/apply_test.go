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

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

// fakeServices is a client with given answers.
type fakeServices struct {
	existing  *corev1.Service
	createErr error
	getErr    error
	patchErr  error
	// strips: a policy removes the label from what is patched.
	strips  bool
	patches int
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
	patched := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "nginx", ResourceVersion: "200"}}
	if !f.strips {
		patched.Labels = map[string]string{v1alpha2.LabelController: v1alpha2.ManagedBy}
	}
	return patched, f.patchErr
}

// TestCreateOwned creates objects that already exist: owned by the MiniCluster, owned by another object, or owned by
// the MiniCluster and without the label that the caches select by.
func TestCreateOwned(t *testing.T) {
	mc := sample.MiniCluster()
	owned := resources.BuildSidecarService(mc, resources.Sidecar{Name: "nginx", Ports: []int32{80}})
	unlabelled := owned.DeepCopy()
	unlabelled.Labels = nil
	foreign := owned.DeepCopy()
	foreign.OwnerReferences[0].UID = "another"
	exists := apierrors.NewAlreadyExists(gr(services), "nginx")
	request := errors.New("connection refused")

	for _, tc := range []struct {
		name    string
		client  fakeServices
		created bool
		outcome outcome
		patches int
		// unlabeled is what the status reports.
		unlabeled []string
	}{
		{name: "created", created: true, outcome: outcomeDone},
		{name: "request failed", client: fakeServices{createErr: request}, outcome: outcomeFailed},
		{name: "stale cache", client: fakeServices{createErr: exists, existing: owned}, outcome: outcomeStale},
		{name: "foreign object", client: fakeServices{createErr: exists, existing: foreign}, outcome: outcomeNameConflict},
		{name: "label lost", client: fakeServices{createErr: exists, existing: unlabelled}, outcome: outcomeStale, patches: 1},
		{
			name: "label lost, and a policy removes it again", client: fakeServices{createErr: exists, existing: unlabelled, strips: true},
			outcome: outcomeDone, patches: 1, unlabeled: []string{`Service "nginx"`},
		},
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
				labelLost: func(found *corev1.Service) (*corev1.Service, error) {
					return restoreLabel(t.Context(), c, s, client, services, found, nil)
				},
			})
			assert.Equal(t, tc.created, created)
			assert.Equal(t, tc.outcome, classify(err).outcome, err)
			assert.Equal(t, tc.patches, client.patches)
			assert.Equal(t, tc.unlabeled, s.observed.Unlabeled)
			if created {
				assert.Equal(t, "nginx", service.Name)
				assert.Equal(t, "100", c.consistency.writes[s.key][services], "the next sync waits for it")
			}
		})
	}
}

// TestLabelIsRestoredOnce: something that removes the label again decides about it. The
// object is used as it was read.
func TestLabelIsRestoredOnce(t *testing.T) {
	mc := sample.MiniCluster()
	wanted := resources.BuildSidecarService(mc, resources.Sidecar{Name: "nginx", Ports: []int32{80}})
	unlabeled := wanted.DeepCopy()
	delete(unlabeled.Labels, v1alpha2.LabelController)
	client := &fakeServices{createErr: apierrors.NewAlreadyExists(gr(services), "nginx"), existing: unlabeled}
	c := &Controller{consistency: newConsistency(nil)}
	var s *syncState
	create := func() (*corev1.Service, error) {
		s = &syncState{mc: mc}
		service, _, err := createOwned(t.Context(), c, s, client, services, wanted, ownership[*corev1.Service]{
			labelLost: func(found *corev1.Service) (*corev1.Service, error) {
				return restoreLabel(t.Context(), c, s, client, services, found, nil)
			},
		})
		return service, err
	}
	_, err := create()
	assert.Equal(t, outcomeStale, classify(err).outcome, "the cache shows it soon")
	for range 3 {
		service, err := create()
		require.NoError(t, err)
		assert.Equal(t, unlabeled, service)
		assert.Equal(t, []string{`Service "nginx"`}, s.observed.Unlabeled)
		assert.Equal(t, recheckUnlabeled, s.after)
	}
	assert.Equal(t, 1, client.patches)
	c.relabeled.forget(s.key)
	_, err = create()
	assert.Equal(t, outcomeStale, classify(err).outcome)
	assert.Equal(t, 2, client.patches, "of another MiniCluster of the name")
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
