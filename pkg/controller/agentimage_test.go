package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"minicluster.internal/operator/pkg/controller/resources"
)

// TestFindAgentImage checks that the agent has the image of the controller's container unless a flag names another.
func TestFindAgentImage(t *testing.T) {
	container := func(name, image string) corev1.Container {
		return corev1.Container{Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent}
	}
	own := types.NamespacedName{Namespace: "minicluster-system", Name: "own"}
	for name, tc := range map[string]struct {
		configured resources.AgentImage
		pod        types.NamespacedName
		containers []corev1.Container
		want       resources.AgentImage
		err        string
	}{
		"own image": {
			pod:        own,
			containers: []corev1.Container{container("proxy", "mesh:1"), container("controller", "registry.example/minicluster:v1")},
			want:       resources.AgentImage{Image: "registry.example/minicluster:v1", PullPolicy: corev1.PullIfNotPresent},
		},
		"own image, another pull policy": {
			configured: resources.AgentImage{PullPolicy: corev1.PullAlways, PullSecrets: []string{"registry"}},
			pod:        own,
			containers: []corev1.Container{container("manager", "registry.example/minicluster:v1")},
			want:       resources.AgentImage{Image: "registry.example/minicluster:v1", PullPolicy: corev1.PullAlways, PullSecrets: []string{"registry"}},
		},
		"flag":            {configured: resources.AgentImage{Image: "other:1"}, pod: own, want: resources.AgentImage{Image: "other:1"}},
		"outside a pod":   {want: resources.AgentImage{Image: resources.DefaultAgentImage}},
		"which container": {pod: own, containers: []corev1.Container{container("a", "a"), container("b", "b")}, err: "none of its 2 containers has the name controller"},
		"another pod":     {pod: types.NamespacedName{Namespace: "minicluster-system", Name: "other"}, err: "set --agent-image"},
	} {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: own.Namespace, Name: own.Name}, Spec: corev1.PodSpec{Containers: tc.containers},
			})
			c := &Controller{kube: kube, pod: tc.pod, environment: resources.Environment{Agent: tc.configured}}
			got, err := c.findAgentImage(t.Context())
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

// TestFindAgentImageRetries checks that the controller waits for an API server with a problem, and ends without the
// right.
func TestFindAgentImageRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := fake.NewClientset()
		answers := []error{errors.New("busy"), apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "own", errors.New("no role"))}
		kube.PrependReactor("get", "pods", func(ktesting.Action) (bool, runtime.Object, error) {
			err := answers[0]
			answers = answers[1:]
			return true, nil, err
		})
		c := &Controller{kube: kube, pod: types.NamespacedName{Namespace: "minicluster-system", Name: "own"}}
		_, err := c.findAgentImage(t.Context())
		require.ErrorContains(t, err, "no role")
		assert.Empty(t, answers)

		kube.PrependReactor("get", "pods", func(ktesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("busy") })
		ctx, cancel := context.WithTimeout(t.Context(), 3*versionRetry)
		defer cancel()
		_, err = c.findAgentImage(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
