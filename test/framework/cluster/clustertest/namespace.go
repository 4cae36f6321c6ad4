package clustertest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"minicluster.internal/operator/test/framework/cluster"
)

const (
	namespaceTimeout = 5 * time.Minute
	// maxPrefix leaves room for a hyphen and the five letters that make a name unique.
	maxPrefix = 63 - 6
)

// Namespace creates a namespace for one test, in which pods are admitted. It is deleted after the test, without
// waiting for the end of the deletion.
func Namespace(t testing.TB, kube *cluster.Cluster) string {
	t.Helper()
	name := LastingNamespace(t, kube)
	t.Cleanup(func() {
		// The context of the test has ended.
		ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
		defer cancel()
		if err := kube.Client().CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Logf("deleting the namespace of the test: %v", err)
		}
	})
	return name
}

// LastingNamespace is like Namespace, but the namespace stays until the cluster ends: deleting one takes some hundred
// requests.
func LastingNamespace(t testing.TB, kube *cluster.Cluster) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), namespaceTimeout)
	defer cancel()
	namespace, err := kube.Client().CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: namespacePrefix(t.Name())},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("making a namespace: %v", err)
	}
	if err := waitForServiceAccount(ctx, kube, namespace.Name); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// waitForServiceAccount prevents a rejection of the first pods, after which their Job would wait for seconds before
// it retries.
func waitForServiceAccount(ctx context.Context, kube *cluster.Cluster, namespace string) error {
	source := cache.NewListWatchFromClient(kube.Client().CoreV1().RESTClient(), "serviceaccounts", namespace,
		fields.OneTermEqualSelector(metav1.ObjectNameField, "default"))
	_, err := watchtools.UntilWithSync(ctx, source, &corev1.ServiceAccount{}, nil, func(event watch.Event) (bool, error) {
		return event.Type == watch.Added, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the default service account of namespace %s: %w", namespace, err)
	}
	return nil
}

// namespacePrefix derives a prefix of a namespace from the name of a test, so that log lines show which test they
// belong to.
func namespacePrefix(test string) string {
	name := strings.ToLower(strings.TrimPrefix(test, "Test"))
	name = strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(name, "-"), "-")
	return strings.Trim(name[:min(len(name), maxPrefix)], "-") + "-"
}
