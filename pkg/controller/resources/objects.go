package resources

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Objects returns all objects of a new MiniCluster, with their kinds and in the order of their creation. Defaults
// must be set. The Secret has a new key.
func Objects(mc *v1alpha2.MiniCluster, f Fixed, env Environment, random io.Reader, now time.Time) ([]runtime.Object, error) {
	secret, err := BuildSecret(mc, random, now)
	if err != nil {
		return nil, err
	}
	objects := []runtime.Object{BuildHeadlessService(mc, f), secret}
	size := max(mc.RequestedSize(), mc.MinimumSize())
	// The Secret, which becomes its second owner, has no UID yet.
	conf, err := BuildConfigMap(mc, f, env, size, nil)
	if err != nil {
		return nil, err
	}
	job, err := BuildJob(mc, f, env, size)
	if err != nil {
		return nil, err
	}
	objects = append(objects, conf)
	volumes, err := buildClusterVolumes(mc)
	if err != nil {
		return nil, err
	}
	objects = append(append(objects, volumes...), job)
	for _, sidecar := range sidecarsOfSpec(mc) {
		objects = append(objects, BuildSidecarService(mc, sidecar))
	}
	if len(mc.Spec.Services) > 0 {
		objects = append(objects, BuildServicesPod(mc, f))
	}
	return objects, setKinds(objects)
}

// buildClusterVolumes builds the volumes of spec.volumes and their claims, in the order of their names.
func buildClusterVolumes(mc *v1alpha2.MiniCluster) ([]runtime.Object, error) {
	var objects []runtime.Object
	for _, key := range slices.Sorted(maps.Keys(mc.Spec.Volumes)) {
		volume, err := BuildPersistentVolume(mc, key)
		if err != nil {
			return nil, err
		}
		claim, err := BuildVolumeClaim(mc, key)
		if err != nil {
			return nil, err
		}
		objects = append(objects, volume, claim)
	}
	return objects, nil
}

// setKinds sets the kinds of objects. Typed objects have none, documents need them.
func setKinds(objects []runtime.Object) error {
	for _, o := range objects {
		kind, group := "", corev1.SchemeGroupVersion
		switch o.(type) {
		case *corev1.Service:
			kind = "Service"
		case *corev1.Secret:
			kind = "Secret"
		case *corev1.ConfigMap:
			kind = "ConfigMap"
		case *corev1.Pod:
			kind = "Pod"
		case *corev1.PersistentVolume:
			kind = "PersistentVolume"
		case *corev1.PersistentVolumeClaim:
			kind = "PersistentVolumeClaim"
		case *batchv1.Job:
			kind, group = "Job", batchv1.SchemeGroupVersion
		default:
			return fmt.Errorf("no kind is known for %T", o)
		}
		o.GetObjectKind().SetGroupVersionKind(group.WithKind(kind))
	}
	return nil
}
