package serving

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/component-base/metrics"
)

var names = []string{"minicluster-metrics.minicluster-system.svc"}

func TestPair(t *testing.T) {
	now := time.Now()
	first, err := newPair(names, nil, now)
	require.NoError(t, err)
	require.NoError(t, first.check(names, now))
	require.Error(t, first.check([]string{"else.svc"}, now))
	require.NoError(t, first.check(names, now.Add(lifetime-renewBefore-time.Hour)))
	require.Error(t, first.check(names, now.Add(lifetime-renewBefore+time.Hour)), "time to renew it")
	require.ErrorContains(t, pair{}.check(names, now), "it is invalid")

	second, err := newPair(names, first.authorities, now.Add(lifetime-renewBefore))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(second.authorities))
	for _, p := range []pair{first, second} {
		both, err := tls.X509KeyPair(p.certificate, p.key)
		require.NoError(t, err)
		_, err = both.Leaf.Verify(x509.VerifyOptions{DNSName: names[0], Roots: roots, CurrentTime: now.Add(lifetime - renewBefore)})
		require.NoError(t, err, "both are trusted while replicas change")
	}
	third, err := newPair(names, second.authorities, now.Add(2*lifetime))
	require.NoError(t, err)
	assert.Equal(t, 1, bytes.Count(third.authorities, []byte("BEGIN")), "an expired authority is no longer trusted")
}

// TestReplicasShareOneCertificate checks that the first replica generates the certificate.
func TestReplicasShareOneCertificate(t *testing.T) {
	kube := fake.NewClientset()
	s := secret{client: kube.CoreV1().Secrets("ns"), name: "serving", names: names}
	pairs := make([]pair, 5)
	var wg sync.WaitGroup
	for i := range pairs {
		wg.Go(func() {
			var err error
			pairs[i], err = s.pair(t.Context(), time.Now(), pair{})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for _, p := range pairs {
		assert.Equal(t, string(pairs[0].certificate), string(p.certificate))
	}
	later, err := s.pair(t.Context(), time.Now().Add(lifetime), pairs[0])
	require.NoError(t, err)
	assert.NotEqual(t, string(pairs[0].certificate), string(later.certificate))
}

func newKeeper(t *testing.T, backend string, objects ...runtime.Object) *Keeper {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, rbacv1.AddToScheme(scheme))
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(scheme, map[schema.GroupVersionResource]string{apiServices: "APIServiceList"}, objects...)
	k := NewKeeper(Options{
		Kube: fake.NewClientset(), Dynamic: client, Backend: Backend{Namespace: "minicluster-system", Name: backend, Port: 443},
		Secret: "serving", Owner: "minicluster-metrics",
		Versions: []schema.GroupVersion{{Group: "custom.metrics.k8s.io", Version: "v1beta2"}},
	})
	require.NoError(t, k.Prepare(t.Context()))
	return k
}

var owner = &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "minicluster-metrics", UID: "role-uid"}}

func (k *Keeper) registered(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	found, err := k.options.Dynamic.Resource(apiServices).Get(t.Context(), "v1beta2.custom.metrics.k8s.io", metav1.GetOptions{})
	require.NoError(t, err)
	return found
}

func TestKeeperRegisters(t *testing.T) {
	k := newKeeper(t, "minicluster-metrics", owner)
	require.NoError(t, k.once(t.Context()))
	made := k.registered(t)
	require.Len(t, made.GetOwnerReferences(), 1)
	assert.Equal(t, "role-uid", string(made.GetOwnerReferences()[0].UID))
	bundle, _, _ := unstructured.NestedString(made.Object, "spec", "caBundle")
	assert.NotEmpty(t, bundle)
	certificate, key := k.CurrentCertKeyContent()
	_, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)

	// Another client damages the Secret.
	require.NoError(t, unstructured.SetNestedField(made.Object, "", "spec", "caBundle"))
	require.NoError(t, unstructured.SetNestedField(made.Object, true, "spec", "insecureSkipTLSVerify"))
	_, err = k.options.Dynamic.Resource(apiServices).Update(t.Context(), made, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, k.once(t.Context()))
	again, _, _ := unstructured.NestedString(k.registered(t).Object, "spec", "caBundle")
	assert.Equal(t, bundle, again)
	_, insecure, _ := unstructured.NestedBool(k.registered(t).Object, "spec", "insecureSkipTLSVerify")
	assert.False(t, insecure)
}

// TestLostAPI checks that an API that another server takes over is not changed, and that the other APIs are not
// affected.
func TestLostAPI(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	k := newKeeper(t, "minicluster-metrics", owner)
	k.observe = newObserver(registry)
	external := schema.GroupVersion{Group: "external.metrics.k8s.io", Version: "v1beta1"}
	k.options.Versions = append(k.options.Versions, external)
	k.registration.versions = k.options.Versions
	require.NoError(t, k.once(t.Context()))
	before := k.registered(t)
	resource := k.options.Dynamic.Resource(apiServices)
	for service, want := range map[string]any{
		"Service monitoring/prometheus-adapter": map[string]any{"namespace": "monitoring", "name": "prometheus-adapter", "port": int64(443)},
		"the API server of Kubernetes":          nil,
	} {
		other := before.DeepCopy()
		if want == nil {
			unstructured.RemoveNestedField(other.Object, "spec", "service")
		} else {
			require.NoError(t, unstructured.SetNestedField(other.Object, want, "spec", "service"))
		}
		_, err := resource.Update(t.Context(), other, metav1.UpdateOptions{})
		require.NoError(t, err)
		require.NoError(t, resource.Delete(t.Context(), "v1beta1.external.metrics.k8s.io", metav1.DeleteOptions{}))
		require.NoError(t, k.once(t.Context()))
		assert.Equal(t, other.Object["spec"], k.registered(t).Object["spec"], "it is not changed")
		_, err = resource.Get(t.Context(), "v1beta1.external.metrics.k8s.io", metav1.GetOptions{})
		require.NoError(t, err, "the other API is registered again")
		lost := k.lost[schema.GroupVersion{Group: "custom.metrics.k8s.io", Version: "v1beta2"}]
		assert.Equal(t, service, lost.Owner)
		assert.ErrorContains(t, lost, "v1beta2.custom.metrics.k8s.io belongs to "+service)
		assert.Equal(t, map[string]float64{"custom.metrics.k8s.io/v1beta2": 0, "external.metrics.k8s.io/v1beta1": 1}, gather(t, registry))
	}
	require.NoError(t, resource.Delete(t.Context(), "v1beta2.custom.metrics.k8s.io", metav1.DeleteOptions{}))
	require.NoError(t, k.once(t.Context()))
	assert.InDelta(t, 1, gather(t, registry)["custom.metrics.k8s.io/v1beta2"], 0, "the other server has been removed")
	assert.Empty(t, k.lost)
}

func gather(t *testing.T, registry metrics.KubeRegistry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return values
}

// TestPrepareConflict checks the error if all APIs belong to other servers.
func TestPrepareConflict(t *testing.T) {
	k := newKeeper(t, "minicluster-metrics", owner)
	require.NoError(t, k.once(t.Context()))
	k.registration.backend.Name = "other"
	conflict := new(ConflictError)
	require.ErrorAs(t, k.Prepare(t.Context()), &conflict)
	assert.Equal(t, "Service minicluster-system/minicluster-metrics", conflict.Owner)
	k.registration.versions = append(k.registration.versions, schema.GroupVersion{Group: "external.metrics.k8s.io", Version: "v1beta1"})
	require.NoError(t, k.Prepare(t.Context()), "the other API is free")
}

// TestObsoleteAPIs checks that an APIService that is no longer served is deleted, unless it belongs to another
// server.
func TestObsoleteAPIs(t *testing.T) {
	k := newKeeper(t, "minicluster-metrics", owner)
	require.NoError(t, k.once(t.Context()))
	k.registration.versions, k.registration.obsolete = nil, k.registration.versions
	k.registration.backend.Name = "other"
	require.NoError(t, k.once(t.Context()))
	k.registered(t)
	k.registration.backend.Name = "minicluster-metrics"
	require.NoError(t, k.once(t.Context()))
	_, err := k.options.Dynamic.Resource(apiServices).Get(t.Context(), "v1beta2.custom.metrics.k8s.io", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
	require.NoError(t, k.once(t.Context()), "there is nothing to delete")
}

// TestDeletedSecret checks that a deleted or damaged Secret is restored with the certificate that all replicas serve.
func TestDeletedSecret(t *testing.T) {
	k := newKeeper(t, "minicluster-metrics", owner)
	require.NoError(t, k.once(t.Context()))
	certificate, _ := k.CurrentCertKeyContent()
	bundle, _, _ := unstructured.NestedString(k.registered(t).Object, "spec", "caBundle")
	secrets := k.options.Kube.CoreV1().Secrets("minicluster-system")
	for name, damage := range map[string]func() error{
		"deleted": func() error { return secrets.Delete(t.Context(), "serving", metav1.DeleteOptions{}) },
		"damaged": func() error {
			found, err := secrets.Get(t.Context(), "serving", metav1.GetOptions{})
			if err != nil {
				return err
			}
			found.Data = nil
			_, err = secrets.Update(t.Context(), found, metav1.UpdateOptions{})
			return err
		},
	} {
		require.NoError(t, damage())
		require.NoError(t, k.once(t.Context()), name)
		found, err := secrets.Get(t.Context(), "serving", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, string(certificate), string(found.Data["tls.crt"]), name)
		now, _ := k.CurrentCertKeyContent()
		assert.Equal(t, string(certificate), string(now), name)
		trusted, _, _ := unstructured.NestedString(k.registered(t).Object, "spec", "caBundle")
		assert.Equal(t, bundle, trusted, name)
	}
}

func TestKeeperWithoutItsOwner(t *testing.T) {
	k := newKeeper(t, "minicluster-metrics")
	err := k.once(t.Context())
	require.ErrorContains(t, err, "ClusterRole minicluster-metrics")
	_, err = k.options.Dynamic.Resource(apiServices).Get(t.Context(), "v1beta2.custom.metrics.k8s.io", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
}

type listener struct{ told int }

func (l *listener) Enqueue() { l.told++ }

func TestKeeperServesFiles(t *testing.T) {
	dir := t.TempDir()
	write := func() pair {
		p, err := newPair(names, nil, time.Now())
		require.NoError(t, err)
		for name, content := range map[string][]byte{"tls.crt": p.certificate, "tls.key": p.key, "ca.crt": p.authorities} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		}
		return p
	}
	first := write()
	k := newKeeper(t, "minicluster-metrics", owner)
	k.options.CertFile, k.options.KeyFile, k.options.CAFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
	l := &listener{}
	k.AddListener(l)
	require.NoError(t, k.once(t.Context()))
	certificate, _ := k.CurrentCertKeyContent()
	assert.Equal(t, string(first.certificate), string(certificate))
	second := write()
	require.NoError(t, k.once(t.Context()))
	certificate, _ = k.CurrentCertKeyContent()
	assert.Equal(t, string(second.certificate), string(certificate))
	assert.Equal(t, 2, l.told)
	require.NoError(t, k.once(t.Context()))
	assert.Equal(t, 2, l.told, "nothing has changed")
	require.NoError(t, os.Remove(k.options.KeyFile))
	require.ErrorContains(t, k.once(t.Context()), "reading the serving certificate")
}
