package controller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// sidecar adds a sidecar.
func sidecar(name string, ports ...int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		mc.Spec.Containers[0].RunFlux = true
		mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: name, Image: "sidecar:test", Ports: ports})
	}
}

// registry adds a services pod.
func registry(mc *v1alpha2.MiniCluster) {
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry:test", Ports: []int32{5000}}}
}

// behind waits until a Service selects exactly the pods of some host names.
func (f *fixture) behind(service string, hosts ...string) {
	f.Helper()
	f.eventually("Service "+service, func(ctx context.Context) (string, error) {
		endpoints, err := f.kube.DiscoveryV1().EndpointSlices(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
		if err != nil {
			return "", err
		}
		var got []string
		for _, slice := range endpoints.Items {
			for _, e := range slice.Endpoints {
				pod, err := f.kube.CoreV1().Pods(f.namespace).Get(ctx, e.TargetRef.Name, metav1.GetOptions{})
				if err != nil {
					return "", err
				}
				got = append(got, pod.Spec.Hostname)
			}
		}
		if slices.Sort(got); !slices.Equal(got, hosts) {
			return fmt.Sprintf("it selects %v", got), nil
		}
		return "", nil
	})
}

func (f *fixture) service(name string) *corev1.Service {
	f.Helper()
	service, err := f.kube.CoreV1().Services(f.namespace).Get(f.Context(), name, metav1.GetOptions{})
	require.NoError(f, err)
	return service
}

func TestSidecarService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mc := f.createReady("web", 2, sidecar("nginx", 80, 443), registry)
	f.behind("nginx", "web-0", "web-1")
	first := f.service("nginx")
	assert.True(t, metav1.IsControlledBy(first, mc))
	assert.NotEqual(t, corev1.ClusterIPNone, first.Spec.ClusterIP)
	require.Len(t, first.Spec.Ports, 2)
	for i, port := range []int32{80, 443} {
		assert.Equal(t, port, first.Spec.Ports[i].Port)
		assert.Equal(t, port, first.Spec.Ports[i].TargetPort.IntVal)
	}

	require.NoError(t, f.kube.CoreV1().Services(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}))
	f.eventually("another Service", func(ctx context.Context) (string, error) {
		service, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, "nginx", metav1.GetOptions{})
		if err == nil && service.UID == first.UID {
			return "still the old one", nil
		}
		return "", err
	})
	// Without the label, the caches do not contain it: the controller restores the label.
	_, err := f.kube.CoreV1().Services(f.namespace).Patch(t.Context(), "nginx", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	f.eventually("the label", func(context.Context) (string, error) {
		if f.service("nginx").Labels[v1alpha2.LabelController] == "" {
			return "it is gone", nil
		}
		return "", nil
	})

	require.NoError(t, f.miniclusters().Delete(t.Context(), "web", metav1.DeleteOptions{}))
	f.eventually("the Service to go", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().Services(f.namespace).Get(ctx, "nginx", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "still there", err
		}
		return "", nil
	})
}

// Two MiniClusters of a namespace with a sidecar of the same name: the second one works, grows and shrinks without
// the Service, reports it, and gets the Service when the first one is deleted.
func TestSidecarsOfTheSameName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.createReady("one", 1, sidecar("nginx", 80))
	f.behind("nginx", "one-0")
	f.createReady("two", 1, maxSize(3), sidecar("nginx", 80))
	held := has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonNameConflict, `Service "nginx"`, `MiniCluster "one"`)
	f.waitFor("two", held)
	f.waitForEvent("two", v1alpha2.ReasonNameConflict, `Service "nginx"`)
	f.setSize("two", 3)
	f.waitFor("two", f.ready(3), held)
	f.setSize("two", 4)
	f.waitFor("two", specSize(3))
	f.setSize("two", 2)
	f.waitFor("two", f.ready(2), held)
	assert.True(t, metav1.IsControlledBy(f.service("nginx"), one), "it still belongs to the first one")
	f.behind("nginx", "one-0")

	require.NoError(t, f.miniclusters().Delete(t.Context(), "one", metav1.DeleteOptions{}))
	f.waitFor("two", has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonStable))
	f.behind("nginx", "two-0", "two-1")
}

// The Service that gives host names is not that of a sidecar.
func TestSidecarNamedAsTheHeadlessService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.createReady("work", 1, headless("nginx"), sidecar("nginx", 80))
	f.waitFor("work", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonNameConflict, "headless Service", "another name for the sidecar"))
	assert.Equal(t, corev1.ClusterIPNone, f.service("nginx").Spec.ClusterIP)
}

// A Service of another owner is never changed.
func TestForeignSidecarService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	foreign, err := f.kube.CoreV1().Services(f.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8888}}, Selector: map[string]string{"app": "mine"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.createReady("web", 1, sidecar("nginx", 80))
	f.waitFor("web", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonNameConflict, "no controller"),
		has(v1alpha2.ConditionReady, metav1.ConditionTrue, v1alpha2.ReasonReady))
	assert.Equal(t, foreign, f.service("nginx"))
}

// The Service of flux.minimalService has an address, and selects only the lead's pod.
func TestMinimalService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	minimal := func(mc *v1alpha2.MiniCluster) { mc.Spec.Flux = &v1alpha2.FluxSpec{MinimalService: true} }
	f.createReady("small", 3, minimal, headless("shared"))
	service := f.service("shared")
	assert.NotEqual(t, corev1.ClusterIPNone, service.Spec.ClusterIP)
	assert.Equal(t, int32(8050), service.Spec.Ports[0].Port)
	f.behind("shared", "small-0")
	f.createReady("other", 2, minimal, headless("shared"))
	f.behind("shared", "other-0", "small-0")

	// A MiniCluster whose pods all need a name cannot use it.
	f.create("full", 2, headless("shared"))
	f.waitFor("full", has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNameConflict, "minimal Service", "headlessName"))
}

func TestServicesPod(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mc := f.createReady("work", 2, registry)
	name := "work-services"
	pod := f.servicesPod(name, "")
	assert.True(t, metav1.IsControlledBy(pod, mc))
	f.behind("work", "work-0", "work-1", name)

	f.setSize("work", 1)
	f.waitFor("work", specSize(1))
	assert.Equal(t, pod.UID, f.servicesPod(name, "").UID)

	require.NoError(t, f.kube.CoreV1().Pods(f.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
	pod = f.servicesPod(name, pod.UID)
	require.NoError(t, f.cluster.ExitPod(t.Context(), f.namespace, name, 1))
	pod = f.servicesPod(name, pod.UID)

	// While a queue suspends the cluster, its services do not run either.
	f.suspend("work", true)
	f.noServicesPod(name)
	f.suspend("work", false)
	pod = f.servicesPod(name, pod.UID)

	f.patch("work", map[string]any{"spec": map[string]any{"services": []any{map[string]any{"name": "other", "image": "other"}}}})
	f.waitFor("work", has(v1alpha2.ConditionAccepted, metav1.ConditionTrue, v1alpha2.ReasonImmutableFields, "spec.services"))
	assert.Equal(t, pod.UID, f.servicesPod(name, "").UID, "a later edit has no effect")
	f.eventually("the lead's pod", func(ctx context.Context) (string, error) {
		indexes, err := f.podIndexes(ctx, "work")
		if len(indexes) != 1 {
			return fmt.Sprint(indexes), err
		}
		return "", err
	})
	require.NoError(t, f.cluster.SucceedPod(t.Context(), f.namespace, f.leadPod("work")))
	f.waitFor("work", has(v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete))
	f.noServicesPod(name)
}

func (f *fixture) suspend(job string, suspend bool) {
	f.Helper()
	_, err := f.kube.BatchV1().Jobs(f.namespace).Patch(f.Context(), job, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspend), metav1.PatchOptions{})
	require.NoError(f, err)
}

// servicesPod waits for a ready services pod that is not the former one.
func (f *fixture) servicesPod(name string, former types.UID) *corev1.Pod {
	f.Helper()
	var pod *corev1.Pod
	f.eventually("the services pod", func(ctx context.Context) (string, error) {
		var err error
		pod, err = f.kube.CoreV1().Pods(f.namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil:
			return "", err
		case pod.UID == former || pod.DeletionTimestamp != nil:
			return "it is the former one", nil
		case pod.Status.Phase != corev1.PodRunning:
			return "its phase is " + string(pod.Status.Phase), nil
		}
		return "", nil
	})
	return pod
}

func (f *fixture) noServicesPod(name string) {
	f.Helper()
	f.eventually("the services pod to go", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().Pods(f.namespace).Get(ctx, name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "it is still there", err
		}
		return "", nil
	})
}

// A pod of that name with another owner is reported, and the cluster works.
func TestForeignServicesPod(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.kube.CoreV1().Pods(f.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "work-services"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mine", Image: "mine"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.createReady("work", 1, registry)
	f.waitFor("work", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonNameConflict, `Pod "work-services"`))
	require.NoError(t, f.kube.CoreV1().Pods(f.namespace).Delete(t.Context(), "work-services", metav1.DeleteOptions{}))
	f.servicesPod("work-services", "")
}
