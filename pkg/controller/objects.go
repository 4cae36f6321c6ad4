package controller

import (
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// Objects are all objects that a new MiniCluster becomes, in the order in which they
// are made, with their kinds. Defaults must be set. The Secret has a new key.
func Objects(mc *v1alpha2.MiniCluster, f Facts, random io.Reader, now time.Time) ([]runtime.Object, error) {
	objects := []runtime.Object{BuildHeadlessService(mc, f)}
	var owner *metav1.OwnerReference
	if needsSecret(mc) {
		secret, err := BuildSecret(mc, random, now)
		if err != nil {
			return nil, err
		}
		objects = append(objects, secret)
		owner = secretReference(secret)
	}
	size := max(mc.RequestedSize(), mc.MinimumSize())
	conf, err := BuildConfigMap(mc, f, size, owner)
	if err != nil {
		return nil, err
	}
	job, err := BuildJob(mc, f, size)
	if err != nil {
		return nil, err
	}
	objects = append(objects, conf, job)
	return objects, setKinds(objects)
}

// setKinds writes into objects what they are, as documents have it.
func setKinds(objects []runtime.Object) error {
	for _, o := range objects {
		kinds, _, err := scheme.Scheme.ObjectKinds(o)
		if err != nil {
			return fmt.Errorf("finding the kind of an object: %w", err)
		}
		o.GetObjectKind().SetGroupVersionKind(kinds[0])
	}
	return nil
}
