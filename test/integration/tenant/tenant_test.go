package tenant_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

const (
	patience = user.Patience
	tenant   = "tenant"
)

// newTenant returns the clients of a user with the role edit in a new namespace at the level restricted.
func newTenant(t *testing.T) (kube *cluster.Cluster, clients user.Clients) {
	t.Helper()
	kube = suite.Cluster(t)
	namespace := clustertest.Namespace(t, kube)
	user.In(t, kube, namespace).Restrict(t)
	_, err := kube.Client().RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: tenant},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenant}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	config, err := kube.ConfigFor(tenant)
	require.NoError(t, err)
	flux, err := clientset.NewForConfig(config)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	clients = user.Clients{Flux: flux, Kube: client, Namespace: namespace}
	user.Eventually(t, patience, "the role edit to include MiniClusters", func(ctx context.Context) (string, error) {
		_, err := clients.MiniClusters().Create(ctx, user.New("probe", 1), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return err.Error(), nil
		}
		return "", err
	})
	return kube, clients
}

// attempt is a MiniCluster that would give the tenant what the role does not.
type attempt struct {
	mod func(*v1alpha2.MiniCluster)
	// refused is what the API server says, where it refuses the MiniCluster.
	refused string
	// kind, reason and says are a condition that reports the refusal.
	kind, reason string
	says         []string
}

func pod(change func(*v1alpha2.PodSpec)) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Pod = &v1alpha2.PodSpec{}
		change(mc.Spec.Pod)
	}
}

func security(s corev1.SecurityContext) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].SecurityContext = &v1alpha2.SecurityContext{SecurityContext: s}
	}
}

func volume(v v1alpha2.MiniClusterVolume) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		v.Capacity = "1Gi"
		mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{"data": v}
		mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}}
	}
}

// attempts are those of docs/security.md that are MiniClusters.
func attempts() map[string]attempt {
	byPodSecurity := func(mod func(*v1alpha2.MiniCluster), says string) attempt {
		return attempt{mod: mod, kind: v1alpha2.ConditionProgressing, reason: v1alpha2.ReasonPodsRejected, says: []string{"violates PodSecurity", says}}
	}
	notAccepted := func(mod func(*v1alpha2.MiniCluster), reason string, says ...string) attempt {
		return attempt{mod: mod, kind: v1alpha2.ConditionAccepted, reason: reason, says: says}
	}
	return map[string]attempt{
		"directory of the node": byPodSecurity(func(mc *v1alpha2.MiniCluster) {
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"host": {HostPath: "/etc", Path: "/host"}}
		}, "restricted volume types"),
		"privileged":             byPodSecurity(security(corev1.SecurityContext{Privileged: new(true)}), "privileged"),
		"capabilities":           byPodSecurity(security(corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}), "SYS_ADMIN"),
		"root":                   byPodSecurity(security(corev1.SecurityContext{RunAsUser: new(int64(0))}), "runAsUser=0"),
		"network of the host":    byPodSecurity(pod(func(p *v1alpha2.PodSpec) { p.HostNetwork = true }), "hostNetwork=true"),
		"processes of the host":  byPodSecurity(pod(func(p *v1alpha2.PodSpec) { p.HostPID = true }), "hostPID=true"),
		"IPC of the host":        byPodSecurity(pod(func(p *v1alpha2.PodSpec) { p.HostIPC = true }), "hostIPC=true"),
		"node as a volume":       notAccepted(volume(v1alpha2.MiniClusterVolume{Path: "/etc"}), v1alpha2.ReasonHostPathNotAllowed, "--allow-hostpath-volumes"),
		"node as a volume, path": notAccepted(volume(v1alpha2.MiniClusterVolume{Path: "/", StorageClass: "hostpath"}), v1alpha2.ReasonHostPathNotAllowed),
		"volume of a driver": notAccepted(volume(v1alpha2.MiniClusterVolume{
			StorageClass: "any", Driver: "nfs.csi.k8s.io", Secret: "s", Path: "/x", VolumeHandle: "of-others",
		}), v1alpha2.ReasonVolumesNotAllowed, "--persistent-volumes", "claimName"),
		"Secret of another namespace": notAccepted(volume(v1alpha2.MiniClusterVolume{
			StorageClass: "any", Driver: "nfs.csi.k8s.io", Secret: "s", SecretNamespace: "kube-system", Path: "/x",
		}), v1alpha2.ReasonVolumesNotAllowed),
		"labels of another cluster": {mod: pod(func(p *v1alpha2.PodSpec) { p.Labels = map[string]string{v1alpha2.LabelController: "x"} }), refused: "reserved"},
	}
}

// TestAttempts: each attempt is refused, nothing cluster-scoped is created, and no pod exists that Pod Security would
// reject.
func TestAttempts(t *testing.T) {
	t.Parallel()
	kube, clients := newTenant(t)
	created := map[string]attempt{}
	var uids []string
	for title, a := range attempts() {
		name := strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(title))
		mc, err := clients.MiniClusters().Create(t.Context(), user.New(name, 1, a.mod), metav1.CreateOptions{})
		if a.refused != "" {
			require.True(t, apierrors.IsInvalid(err), "%s: %v", title, err)
			assert.ErrorContains(t, err, a.refused, title)
			continue
		}
		require.NoError(t, err, title)
		created[name] = a
		uids = append(uids, string(mc.UID))
	}
	for name, a := range created {
		user.Eventually(t, patience, name, func(ctx context.Context) (string, error) {
			mc, err := clients.MiniClusters().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			return user.HasReason(a.kind, a.reason, a.says...)(mc), nil
		})
	}
	pods, err := clients.Kube.CoreV1().Pods(clients.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, pods.Items)
	// Other tests create volumes, too.
	of := fmt.Sprintf("%s in (%s)", v1alpha2.LabelMiniClusterUID, strings.Join(uids, ","))
	volumes, err := kube.Client().CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{LabelSelector: of})
	require.NoError(t, err)
	assert.Empty(t, volumes.Items)
}

// TestObjectsOfOthers: the controller takes over no object by its name, and deletes no volume of others.
func TestObjectsOfOthers(t *testing.T) {
	t.Parallel()
	kube, clients := newTenant(t)
	admin := kube.Client()
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "work-config"}, Data: map[string]string{"of": "others"}}
	_, err := admin.CoreV1().ConfigMaps(clients.Namespace).Create(t.Context(), foreign, metav1.CreateOptions{})
	require.NoError(t, err)
	clients.Create(t, "work", 1)
	user.Eventually(t, patience, "a name conflict", func(ctx context.Context) (string, error) {
		mc, err := clients.MiniClusters().Get(ctx, "work", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonNameConflict, `ConfigMap "work-config"`)(mc), nil
	})
	found, err := admin.CoreV1().ConfigMaps(clients.Namespace).Get(t.Context(), "work-config", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, foreign.Data, found.Data)
	assert.Empty(t, found.OwnerReferences)

	// A volume with the UID of another MiniCluster stays when a MiniCluster with the finalizer is deleted.
	pv, err := admin.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: clients.Namespace, Labels: map[string]string{v1alpha2.LabelMiniClusterUID: "of-others"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "x.csi.example", VolumeHandle: "v"}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, admin.CoreV1().PersistentVolumes().Delete(context.Background(), pv.Name, metav1.DeleteOptions{}))
	})
	_, err = clients.MiniClusters().Patch(t.Context(), "work", types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":["`+v1alpha2.FinalizerVolumes+`"],"labels":{"`+v1alpha2.LabelMiniClusterUID+`":"of-others"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, clients.MiniClusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	user.Eventually(t, patience, "the MiniCluster to go", func(ctx context.Context) (string, error) {
		if _, err := clients.MiniClusters().Get(ctx, "work", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "it exists", err
		}
		return "", nil
	})
	left, err := admin.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Nil(t, left.DeletionTimestamp)
}

// TestRightsOfTheRole: the role lets the tenant write no status, no volumes, no nodes and nothing in other namespaces.
func TestRightsOfTheRole(t *testing.T) {
	t.Parallel()
	_, clients := newTenant(t)
	mc := clients.Create(t, "work", 1)
	mc.Status.MaximumSize = 1000
	_, err := clients.MiniClusters().UpdateStatus(t.Context(), mc, metav1.UpdateOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = clients.Flux.FluxFrameworkV1alpha2().MiniClusters(user.SystemNamespace).Create(t.Context(), user.New("work", 1), metav1.CreateOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = clients.Kube.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = clients.Kube.CoreV1().Nodes().Patch(t.Context(), "any", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	// What the list allows, since the role allows it anyway.
	_, err = clients.Kube.CoreV1().Secrets(clients.Namespace).List(t.Context(), metav1.ListOptions{})
	assert.NoError(t, err)
}
