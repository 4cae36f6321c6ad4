package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"
)

// Label of the APIServices that this server creates.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "minicluster-metrics"
)

// The resources of APIServices and of their owner.
var (
	apiServices  = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
)

// ConflictError reports that an APIService belongs to another server.
type ConflictError struct {
	// APIService is its name, Owner the server that it belongs to.
	APIService, Owner string
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("APIService %s belongs to %s: remove it, or disable this API (--apis, --page)", e.APIService, e.Owner)
}

// Backend is the Service of the metrics API server.
type Backend struct {
	Namespace, Name string
	Port            int32
}

// registration creates and updates the APIServices of some API versions.
type registration struct {
	client  dynamic.Interface
	backend Backend
	// owner is the ClusterRole that owns the APIServices, so that they are deleted with it.
	owner    string
	versions []schema.GroupVersion
	// obsolete are versions that the server does not serve, but may have registered with other flags.
	obsolete []schema.GroupVersion
}

// ensure creates every APIService, or updates it if it differs. It returns the APIs that belong to other servers, which
// do not affect the others.
func (r registration) ensure(ctx context.Context, authorities []byte) (map[schema.GroupVersion]*ConflictError, error) {
	conflicts := map[schema.GroupVersion]*ConflictError{}
	var errs []error
	for i, gv := range r.versions {
		err := r.ensureOne(ctx, gv, int64(100+i), authorities)
		if conflict := new(ConflictError); errors.As(err, &conflict) {
			conflicts[gv] = conflict
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	return conflicts, errors.Join(errs...)
}

// removeObsolete deletes the APIServices of this server that it no longer serves. The API server would report them as
// unavailable, and deleting a namespace would wait for them.
func (r registration) removeObsolete(ctx context.Context) error {
	var errs []error
	for _, gv := range r.obsolete {
		name := gv.Version + "." + gv.Group
		found, err := r.client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			errs = append(errs, fmt.Errorf("getting APIService %s: %w", name, err))
			continue
		case r.conflict(found) != nil || found.GetLabels()[labelManagedBy] != managedBy:
			continue
		}
		err = r.client.Resource(apiServices).Delete(ctx, name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: new(found.GetUID()), ResourceVersion: new(found.GetResourceVersion())},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("deleting APIService %s: %w", name, err))
			continue
		}
		klog.FromContext(ctx).Info("Deleted an APIService that is no longer served", "apiService", name)
	}
	return errors.Join(errs...)
}

func (r registration) ensureOne(ctx context.Context, gv schema.GroupVersion, priority int64, authorities []byte) error {
	name := gv.Version + "." + gv.Group
	found, err := r.client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		object, err := r.object(ctx, gv, priority, authorities)
		if err != nil {
			return err
		}
		_, err = r.client.Resource(apiServices).Create(ctx, object, metav1.CreateOptions{FieldManager: "minicluster-metrics"})
		if err == nil {
			klog.FromContext(ctx).Info("Created APIService", "apiService", name)
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating APIService %s: %w", name, err)
		}
		if found, err = r.client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("getting APIService %s: %w", name, err)
		}
		return r.update(ctx, found, authorities)
	}
	if err != nil {
		return fmt.Errorf("getting APIService %s: %w", name, err)
	}
	return r.update(ctx, found, authorities)
}

// check returns a ConflictError if all APIServices belong to other servers.
func (r registration) check(ctx context.Context) error {
	var first error
	for _, gv := range r.versions {
		found, err := r.client.Resource(apiServices).Get(ctx, gv.Version+"."+gv.Group, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("getting APIService %s.%s: %w", gv.Version, gv.Group, err)
		}
		err = r.conflict(found)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (r registration) conflict(found *unstructured.Unstructured) error {
	namespace, _, _ := unstructured.NestedString(found.Object, "spec", "service", "namespace")
	service, _, _ := unstructured.NestedString(found.Object, "spec", "service", "name")
	switch {
	case service == "":
		return &ConflictError{APIService: found.GetName(), Owner: "the API server of Kubernetes"}
	case namespace != r.backend.Namespace || service != r.backend.Name:
		return &ConflictError{APIService: found.GetName(), Owner: "Service " + namespace + "/" + service}
	}
	return nil
}

// update sets the certificate authorities and the port of an APIService.
func (r registration) update(ctx context.Context, found *unstructured.Unstructured, authorities []byte) error {
	if err := r.conflict(found); err != nil {
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
		return fmt.Errorf("encoding a patch: %w", err)
	}
	if _, err := r.client.Resource(apiServices).Patch(ctx, found.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "minicluster-metrics"}); err != nil {
		return fmt.Errorf("updating APIService %s: %w", found.GetName(), err)
	}
	klog.FromContext(ctx).Info("Updated APIService", "apiService", found.GetName())
	return nil
}

func (r registration) object(ctx context.Context, gv schema.GroupVersion, priority int64, authorities []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiServices.GroupVersion().String(), "kind": "APIService",
		"metadata": map[string]any{
			"name":   gv.Version + "." + gv.Group,
			"labels": map[string]any{labelManagedBy: managedBy},
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
		return nil, fmt.Errorf("getting ClusterRole %s, the owner of the APIServices: %w", r.owner, err)
	}
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: clusterRoles.GroupVersion().String(), Kind: "ClusterRole", Name: owner.GetName(), UID: owner.GetUID(),
	}})
	return object, nil
}
