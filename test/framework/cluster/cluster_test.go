package cluster_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

func TestStart(t *testing.T) {
	kube := suite.Cluster(t)
	nodes, err := kube.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, nodes.Items, cluster.DefaultNodes)
	assert.Equal(t, "64", nodes.Items[0].Status.Allocatable.Cpu().String())
	assert.Len(t, kube.Processes(), 2)

	server, err := url.Parse(kube.Config().Host)
	require.NoError(t, err)
	assert.True(t, net.ParseIP(server.Hostname()).IsLoopback())

	version, err := kube.Kubectl(t.Context(), "version")
	require.NoError(t, err)
	assert.NotContains(t, version, "v0.0.0", "client and server report their versions")
}

// The controller is tested as an ordinary user with the rights that RBAC grants.
func TestConfigFor(t *testing.T) {
	kube := suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	user := cluster.ServiceAccountUser(namespace, "controller")
	config, err := kube.ConfigFor(user, "system:serviceaccounts")
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)

	self, err := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	assert.True(t, apierrors.IsForbidden(err), "got %v, %v", self, err)

	_, err = kube.Client().RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "controller"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "controller"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	await(t, func() bool {
		_, err := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, "the binding works for the certificate's name")
}

func TestKubeconfigFor(t *testing.T) {
	kube := suite.Cluster(t)
	path, err := kube.KubeconfigFor("system:jane/doe", "system:masters")
	require.NoError(t, err)
	assert.Equal(t, kube.Dir(), filepath.Dir(path), "the file is in the cluster's directory, whatever the name")
	who, err := kube.Kubectl(t.Context(), "--kubeconfig", path, "auth", "whoami", "--output=jsonpath={.status.userInfo.username}")
	require.NoError(t, err)
	assert.Equal(t, "system:jane/doe", who)
}

func TestKubectlReportsWhatItComplainsAbout(t *testing.T) {
	kube := suite.Cluster(t)
	_, err := kube.Kubectl(t.Context(), "get", "nothing")
	assert.ErrorContains(t, err, `the server doesn't have a resource type "nothing"`)
}

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`

func TestApply(t *testing.T) {
	kube := suite.Cluster(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "crd.yaml"), []byte(widgets), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [crd.yaml]"), 0o600))
	require.NoError(t, kube.Apply(t.Context(), dir))

	namespace := clustertest.Namespace(t, kube)
	_, err := kube.KubectlInput(t.Context(), strings.NewReader(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"}}`),
		"apply", "--namespace", namespace, "--filename=-")
	require.NoError(t, err, "the new type can be used at once")

	require.NoError(t, kube.Apply(t.Context(), filepath.Join(dir, "crd.yaml")), "again, as a file")
	assert.Error(t, kube.Apply(t.Context(), filepath.Join(dir, "missing.yaml")))
}

func TestAudit(t *testing.T) {
	kube := suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	config, err := kube.ConfigFor("auditor", "system:masters")
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	log, err := kube.Audit()
	require.NoError(t, err)

	maps := client.CoreV1().ConfigMaps(namespace)
	created, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = maps.Create(t.Context(), created, metav1.CreateOptions{})
	require.Error(t, err)
	watch, err := maps.Watch(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	_, err = client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	want := map[string]int{"create configmaps": 2, "watch configmaps": 1, "create selfsubjectaccessreviews": 1}
	counts, err := log.Counts("auditor")
	require.NoError(t, err)
	assert.Equal(t, want, counts, "requests are there as soon as they are answered")

	watch.Stop()
	require.NoError(t, maps.Delete(t.Context(), "m", metav1.DeleteOptions{}))
	want["delete configmaps"] = 1
	total, err := kube.RequestCounts("auditor")
	require.NoError(t, err)
	assert.Equal(t, want, total)
}

// The controller has to survive a restart of the control plane.
func TestControlPlaneComesBack(t *testing.T) {
	ownCluster(t)
	kube := start(t, cluster.Options{Nodes: 1})
	other := start(t, cluster.Options{Nodes: -1})
	assert.NotEqual(t, kube.Config().Host, other.Config().Host, "clusters run concurrently")
	job := newElasticJob(t, kube, 2)
	before := job.pods(t)

	require.NoError(t, kube.StopControlPlane())
	require.Error(t, kube.StopControlPlane(), "it is already stopped")
	_, err := kube.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.Error(t, err)

	require.NoError(t, kube.StartControlPlane(t.Context()))
	assert.Equal(t, before, job.pods(t), "nothing is lost, and the old client finds the server again")
	job.resize(t, 3)
	job.awaitReady(t, 3)
}

func TestStopLeavesNothing(t *testing.T) {
	ownCluster(t)
	kube := start(t, cluster.Options{Nodes: -1})
	processes := kube.Processes()
	require.NoError(t, kube.Stop())
	require.NoError(t, kube.Stop(), "it may be stopped again")
	assert.NoDirExists(t, kube.Dir())
	assert.Empty(t, kube.Processes())
	for _, p := range processes {
		process, err := os.FindProcess(p.PID)
		require.NoError(t, err)
		assert.ErrorIs(t, process.Signal(syscall.Signal(0)), os.ErrProcessDone, "%s has ended", p.Name)
	}
}

func TestDirectoryKeepsACluster(t *testing.T) {
	ownCluster(t)
	options := cluster.Options{Dir: t.TempDir(), Nodes: 1}
	first := start(t, options)
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	_, err := first.Client().CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(t.Context(), kept, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, first.Stop())

	second := start(t, options)
	assert.Equal(t, first.Config().Host, second.Config().Host)
	_, err = second.Client().CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(t.Context(), kept.Name, metav1.GetOptions{})
	assert.NoError(t, err)
}

func TestStartReportsAControlPlaneThatDoesNotStart(t *testing.T) {
	ownCluster(t)
	_, err := cluster.Start(t.Context(), cluster.Options{APIServerArgs: []string{"--nonsense"}})
	assert.ErrorContains(t, err, "unknown flag: --nonsense")
}

// ownCluster starts a separate cluster for tests that break it. They run concurrently, because most of a start is
// waiting.
func ownCluster(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Kubernetes cluster, which -short excludes")
	}
	t.Parallel()
}

func start(t *testing.T, options cluster.Options) *cluster.Cluster {
	t.Helper()
	kube, err := cluster.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kube.Stop()) })
	return kube
}
