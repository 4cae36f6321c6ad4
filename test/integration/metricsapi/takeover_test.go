package metricsapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	externalAPI = "v1beta1.external.metrics.k8s.io"
	// keda is the Service of another server of external metrics.
	keda = `{"spec":{"service":{"namespace":"keda","name":"keda-operator-metrics-apiserver","port":443}}}`
)

// takeover is a second owner of APIServices.
type takeover struct {
	*fixture
	apis dynamic.ResourceInterface
	// scrape reads the metrics of the process.
	scrape func(context.Context) (string, error)
}

func newTakeover(t *testing.T) *takeover {
	t.Helper()
	f := newFixture(t)
	client, err := dynamic.NewForConfig(f.Cluster.Config())
	require.NoError(t, err)
	accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
	_, err = accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "scraper"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = f.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: f.Namespace + "-scraper"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "minicluster-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "scraper", Namespace: f.Namespace}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	made, err := accounts.CreateToken(t.Context(), "scraper", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	direct, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + running.Listener.Addr().String(), BearerToken: made.Status.Token, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	require.NoError(t, err)
	return &takeover{
		fixture: f, apis: client.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}),
		scrape: func(ctx context.Context) (string, error) { return raw(ctx, direct, "/metrics") },
	}
}

// registered waits until the process reports whether an API is registered.
func (f *takeover) registered(api string, want int) {
	f.Helper()
	line := fmt.Sprintf("minicluster_metrics_api_registered{api=%q} %d\n", api, want)
	f.Eventually(line, func(ctx context.Context) (string, error) {
		text, err := f.scrape(ctx)
		if err != nil || strings.Contains(text, line) {
			return complaint(err), nil
		}
		return "it is not at /metrics", nil
	})
}

// TestTakeover checks that another server that takes over one API ends that API only. It is not parallel, because
// other tests use that API.
func TestTakeover(t *testing.T) {
	f := newTakeover(t)
	f.Create("lasting", 1)
	f.agent("lasting").Say("flux_nodes_up 7")
	custom := f.custom("v1beta2", "miniclusters.flux-framework.org/lasting/node_up_count")
	external := "/apis/external.metrics.k8s.io/v1beta1/namespaces/" + f.Namespace + "/node_up_count"
	f.value(custom, `"value":"7"`)
	f.value(external, `"value":"7"`)
	f.registered("external.metrics.k8s.io/v1beta1", 1)

	_, err := f.apis.Patch(t.Context(), externalAPI, types.MergePatchType, []byte(keda), metav1.PatchOptions{FieldManager: "keda"})
	require.NoError(t, err)
	f.registered("external.metrics.k8s.io/v1beta1", 0)
	f.registered("custom.metrics.k8s.io/v1beta2", 1)
	f.Eventually("the other server is asked", func(ctx context.Context) (string, error) {
		_, err := raw(ctx, f.Kube, external)
		if !apierrors.IsServiceUnavailable(err) {
			return "error: " + complaint(err), nil
		}
		return "", nil
	})
	f.agent("lasting").Say("flux_nodes_up 8")
	f.value(custom, `"value":"8"`)
	taken, err := f.apis.Get(t.Context(), externalAPI, metav1.GetOptions{})
	require.NoError(t, err)
	text, err := json.Marshal(taken.Object["spec"])
	require.NoError(t, err)
	require.Contains(t, string(text), "keda-operator-metrics-apiserver", "it is not changed")

	require.NoError(t, f.apis.Delete(t.Context(), externalAPI, metav1.DeleteOptions{}))
	f.registered("external.metrics.k8s.io/v1beta1", 1)
	f.value(external, `"value":"8"`)
}

// TestDeletedServingSecret checks that requests succeed while the Secret with the certificate is deleted and restored.
func TestDeletedServingSecret(t *testing.T) {
	f := newTakeover(t)
	f.Create("served", 1)
	f.agent("served").Say("flux_nodes_up 3")
	custom := f.custom("v1beta2", "miniclusters.flux-framework.org/served/node_up_count")
	f.value(custom, `"value":"3"`)
	secrets := f.Kube.CoreV1().Secrets(running.Namespace)
	before, err := secrets.Get(t.Context(), running.SecretName, metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, secrets.Delete(t.Context(), running.SecretName, metav1.DeleteOptions{}))
	f.Eventually("the Secret is restored", func(ctx context.Context) (string, error) {
		if _, err := raw(ctx, f.Kube, custom); err != nil {
			require.NoError(t, err, "no request fails")
		}
		after, err := secrets.Get(ctx, running.SecretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "it does not exist", nil
		}
		if err == nil {
			require.NotEqual(t, before.UID, after.UID)
			require.Equal(t, before.Data, after.Data, "the certificate in use")
		}
		return "", err
	})
	_, err = raw(t.Context(), f.Kube, custom)
	require.NoError(t, err)
}
