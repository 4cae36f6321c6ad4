package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"
)

// The resources of APIServices and of their owner.
var (
	apiServices  = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
)

// HeldError says that an APIService leads to somebody else.
type HeldError struct {
	// APIService is its name, Holder whose it is.
	APIService, Holder string
}

// Error says whose it is, and what can be done.
func (e *HeldError) Error() string {
	return fmt.Sprintf("APIService %s belongs to %s, and a Kubernetes cluster has only one: remove that, or serve something else only (--apis, --page)", e.APIService, e.Holder)
}

// Backend is the Service that leads to the metrics API server.
type Backend struct {
	Namespace, Name string
	Port            int32
}

// registration keeps the APIServices of some versions of an API group.
type registration struct {
	client  dynamic.Interface
	backend Backend
	// owner is a ClusterRole: when it is deleted, the APIServices go too.
	owner    string
	versions []schema.GroupVersion
}

// ensure makes every APIService, or corrects what it trusts.
func (r registration) ensure(ctx context.Context, authorities []byte) error {
	for i, gv := range r.versions {
		if err := r.one(ctx, gv, int64(100+i), authorities); err != nil {
			return err
		}
	}
	return nil
}

func (r registration) one(ctx context.Context, gv schema.GroupVersion, priority int64, authorities []byte) error {
	name := gv.Version + "." + gv.Group
	found, err := r.client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		object, err := r.object(ctx, gv, priority, authorities)
		if err != nil {
			return err
		}
		_, err = r.client.Resource(apiServices).Create(ctx, object, metav1.CreateOptions{FieldManager: "minicluster-metrics"})
		if err == nil {
			klog.FromContext(ctx).Info("Made the APIService", "apiService", name)
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making APIService %s: %w", name, err)
		}
		if found, err = r.client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("getting APIService %s: %w", name, err)
		}
		return r.correct(ctx, found, authorities)
	}
	if err != nil {
		return fmt.Errorf("getting APIService %s: %w", name, err)
	}
	return r.correct(ctx, found, authorities)
}

// check is an error if an APIService is somebody else's.
func (r registration) check(ctx context.Context) error {
	for _, gv := range r.versions {
		found, err := r.client.Resource(apiServices).Get(ctx, gv.Version+"."+gv.Group, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("getting APIService %s.%s: %w", gv.Version, gv.Group, err)
		}
		if err := r.held(found); err != nil {
			return err
		}
	}
	return nil
}

func (r registration) held(found *unstructured.Unstructured) error {
	namespace, _, _ := unstructured.NestedString(found.Object, "spec", "service", "namespace")
	service, _, _ := unstructured.NestedString(found.Object, "spec", "service", "name")
	switch {
	case service == "":
		return &HeldError{APIService: found.GetName(), Holder: "the API server itself"}
	case namespace != r.backend.Namespace || service != r.backend.Name:
		return &HeldError{APIService: found.GetName(), Holder: "Service " + namespace + "/" + service}
	}
	return nil
}

// correct lets an APIService of ours trust what is to be trusted now.
func (r registration) correct(ctx context.Context, found *unstructured.Unstructured, authorities []byte) error {
	if err := r.held(found); err != nil {
		return err
	}
	encoded, _, _ := unstructured.NestedString(found.Object, "spec", "caBundle")
	port, _, _ := unstructured.NestedInt64(found.Object, "spec", "service", "port")
	insecure, _, _ := unstructured.NestedBool(found.Object, "spec", "insecureSkipTLSVerify")
	if bundle, err := base64.StdEncoding.DecodeString(encoded); err == nil && bytes.Equal(bundle, authorities) && port == int64(r.backend.Port) && !insecure {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": found.GetResourceVersion()},
		"spec": map[string]any{
			"caBundle": authorities, "insecureSkipTLSVerify": nil, "service": map[string]any{"port": r.backend.Port},
		},
	})
	if err != nil {
		return fmt.Errorf("writing a patch: %w", err)
	}
	if _, err := r.client.Resource(apiServices).Patch(ctx, found.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "minicluster-metrics"}); err != nil {
		return fmt.Errorf("correcting APIService %s: %w", found.GetName(), err)
	}
	klog.FromContext(ctx).Info("Corrected the APIService", "apiService", found.GetName())
	return nil
}

func (r registration) object(ctx context.Context, gv schema.GroupVersion, priority int64, authorities []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiServices.GroupVersion().String(), "kind": "APIService",
		"metadata": map[string]any{
			"name":   gv.Version + "." + gv.Group,
			"labels": map[string]any{"app.kubernetes.io/managed-by": "minicluster-metrics"},
		},
		"spec": map[string]any{
			"group": gv.Group, "version": gv.Version, "groupPriorityMinimum": int64(100), "versionPriority": priority,
			"caBundle": base64.StdEncoding.EncodeToString(authorities),
			"service": map[string]any{
				"namespace": r.backend.Namespace, "name": r.backend.Name, "port": int64(r.backend.Port),
			},
		},
	}}
	if r.owner == "" {
		return object, nil
	}
	owner, err := r.client.Resource(clusterRoles).Get(ctx, r.owner, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("looking for the owner of APIServices, ClusterRole %s: %w", r.owner, err)
	}
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: clusterRoles.GroupVersion().String(), Kind: "ClusterRole", Name: owner.GetName(), UID: owner.GetUID(),
	}})
	return object, nil
}
