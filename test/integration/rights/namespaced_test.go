package rights_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// installIn applies manifests/namespaced for a namespace, with a kustomization like that of a user.
func installIn(t *testing.T, kube *cluster.Cluster, namespace string) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	manifests, err := filepath.Rel(dir, filepath.Join(root, "manifests", "namespaced"))
	require.NoError(t, err)
	text := fmt.Sprintf("resources: [%s]\nnamespace: %s\nimages: [{name: minicluster, newName: registry.example/minicluster, newTag: v1.2.3}]\n",
		manifests, namespace)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	require.NoError(t, kube.Apply(t.Context(), dir))
}

// TestNamespaced checks that a controller with a Role and no other right manages its namespaces, and sends no
// requests about others.
func TestNamespaced(t *testing.T) {
	kube := suite.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	own, other, elsewhere := newScene(t, kube), newScene(t, kube), newScene(t, kube)
	installIn(t, kube, own.namespace)
	name := cluster.ServiceAccountUser(own.namespace, "minicluster-controller")

	deployment, err := kube.Client().AppsV1().Deployments(own.namespace).Get(ctx, "minicluster-controller", metav1.GetOptions{})
	require.NoError(t, err)
	assertWorksInItsOwn(t, deployment)
	bindings, err := kube.Client().RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	for _, binding := range bindings.Items {
		for _, subject := range binding.Subjects {
			assert.False(t, subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == own.namespace, binding.Name)
		}
	}
	role, err := kube.Client().RbacV1().Roles(own.namespace).Get(ctx, "minicluster-controller", metav1.GetOptions{})
	require.NoError(t, err)
	everywhere, err := kube.Client().RbacV1().ClusterRoles().Get(ctx, "minicluster-controller", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, everywhere.Rules, role.Rules)
	require.NoError(t, allow(ctx, kube, name, other.namespace, role.Rules), "as the documentation says for further namespaces")

	log, err := kube.Audit()
	require.NoError(t, err)
	startControllerIn(t, kube, ownPod(ctx, t, own), own.namespace, name, nil, own.namespace, other.namespace)
	_, err = elsewhere.make(ctx, user.New("work", 1))
	require.NoError(t, err)
	for _, s := range []*scene{own, other} {
		require.NoError(t, resized(ctx, s))
		require.NoError(t, sharedService(ctx, s))
		job, err := s.kube.BatchV1().Jobs(s.namespace).Get(ctx, "work", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "registry.example/minicluster:v1.2.3", job.Spec.Template.Spec.InitContainers[0].Image, "that of the Deployment")
		assert.Equal(t, corev1.PullIfNotPresent, job.Spec.Template.Spec.InitContainers[0].ImagePullPolicy)
		_, err = s.make(ctx, user.New("stored", 1, withVolume))
		require.NoError(t, err)
		for condition, words := range map[string]string{v1alpha2.ConditionAccepted: "existingVolumes", v1alpha2.ConditionReady: "--namespaces"} {
			require.NoError(t, s.has(ctx, "stored", condition, v1alpha2.ReasonVolumesNotAllowed, words))
		}
		stored, err := s.miniclusters().Get(ctx, "stored", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Empty(t, stored.Finalizers, "it can be deleted")
	}
	require.NoError(t, unseen(ctx, elsewhere))

	requests, err := log.Requests(name)
	require.NoError(t, err)
	for _, r := range requests {
		assert.False(t, isForbidden(r), "%+v", r)
		if r.Resource != "" {
			assert.Contains(t, []string{own.namespace, other.namespace}, r.Namespace, "%+v", r)
		}
		if r.Resource == "leases" {
			assert.Equal(t, own.namespace, r.Namespace)
		}
	}
	require.NoError(t, volumesStay(ctx, own))
}

// ownPod returns a pod of the Deployment of the controller.
func ownPod(ctx context.Context, t *testing.T, s *scene) types.NamespacedName {
	t.Helper()
	var name string
	require.NoError(t, until(ctx, "a pod of the Deployment", func(ctx context.Context) (string, error) {
		pods, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=minicluster-controller"})
		if err != nil || len(pods.Items) == 0 {
			return "there is none", err
		}
		name = pods.Items[0].Name
		return "", nil
	}))
	return types.NamespacedName{Namespace: s.namespace, Name: name}
}

// volumesStay deletes a MiniCluster for which a controller with more rights has created volumes: they stay.
func volumesStay(ctx context.Context, s *scene) error {
	finalizer := []byte(`{"metadata":{"finalizers":["` + v1alpha2.FinalizerVolumes + `"]}}`)
	if _, err := s.miniclusters().Patch(ctx, "stored", types.MergePatchType, finalizer, metav1.PatchOptions{}); err != nil {
		return err
	}
	if err := s.miniclusters().Delete(ctx, "stored", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := s.event(ctx, "stored", "VolumesNotDeleted"); err != nil {
		return err
	}
	return s.miniClusterGone(ctx, "stored")
}

// assertWorksInItsOwn checks the command line of the controller's pods.
func assertWorksInItsOwn(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	container := deployment.Spec.Template.Spec.Containers[0]
	assert.Contains(t, container.Args, "--namespaces=$(POD_NAMESPACE)")
	i := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "POD_NAMESPACE" })
	require.GreaterOrEqual(t, i, 0)
	assert.Equal(t, "metadata.namespace", container.Env[i].ValueFrom.FieldRef.FieldPath)
}
