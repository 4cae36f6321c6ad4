package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// reader reads the objects of MiniClusters: from the caches, or from the API server. The
// result is nil for an object that does not exist.
type reader interface {
	miniCluster(ctx context.Context, key cache.ObjectName) (*v1alpha2.MiniCluster, error)
	job(ctx context.Context, namespace, name string) (*batchv1.Job, error)
	configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	service(ctx context.Context, namespace, name string) (*corev1.Service, error)
	pod(ctx context.Context, namespace, name string) (*corev1.Pod, error)
}

// found returns an object that was read, nil where it does not exist.
func found[T any](o *T, err error, r cachedResource, from string) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // see reader
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %s from %s: %w", r.kind(), from, err)
	}
	return o, nil
}

const (
	fromCache  = "the cache"
	fromServer = "the API server"
)

// cacheReader reads from the caches.
type cacheReader struct{ c *Controller }

func (r cacheReader) miniCluster(_ context.Context, key cache.ObjectName) (*v1alpha2.MiniCluster, error) {
	mc, err := r.c.cached(key.Namespace).miniclusters.MiniClusters(key.Namespace).Get(key.Name)
	return found(mc, err, miniclusters, fromCache)
}

func (r cacheReader) job(_ context.Context, namespace, name string) (*batchv1.Job, error) {
	job, err := r.c.cached(namespace).jobs.Jobs(namespace).Get(name)
	return found(job, err, jobs, fromCache)
}

func (r cacheReader) configMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	configMap, err := r.c.cached(namespace).configmaps.ConfigMaps(namespace).Get(name)
	return found(configMap, err, configmaps, fromCache)
}

func (r cacheReader) service(_ context.Context, namespace, name string) (*corev1.Service, error) {
	service, err := r.c.cached(namespace).services.Services(namespace).Get(name)
	return found(service, err, services, fromCache)
}

func (r cacheReader) pod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := r.c.cached(namespace).pods.Pods(namespace).Get(name)
	return found(pod, err, pods, fromCache)
}

// serverReader reads from the API server.
type serverReader struct{ c *Controller }

// miniCluster lists, since that needs no further permission.
func (r serverReader) miniCluster(ctx context.Context, key cache.ObjectName) (*v1alpha2.MiniCluster, error) {
	list, err := r.c.flux.FluxFrameworkV1alpha2().MiniClusters(key.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, key.Name).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("reading the MiniCluster from the API server: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Name == key.Name {
			return &list.Items[i], nil
		}
	}
	return nil, nil //nolint:nilnil // see reader
}

func (r serverReader) job(ctx context.Context, namespace, name string) (*batchv1.Job, error) {
	job, err := r.c.kube.BatchV1().Jobs(namespace).Get(ctx, name, metav1.GetOptions{})
	return found(job, err, jobs, fromServer)
}

func (r serverReader) configMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	configMap, err := r.c.kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	return found(configMap, err, configmaps, fromServer)
}

func (r serverReader) service(ctx context.Context, namespace, name string) (*corev1.Service, error) {
	service, err := r.c.kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	return found(service, err, services, fromServer)
}

func (r serverReader) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := r.c.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	return found(pod, err, pods, fromServer)
}
