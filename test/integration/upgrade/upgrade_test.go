// Package upgrade_test checks that MiniClusters of flux-operator keep working when this project's custom resource
// definition replaces its definition.
package upgrade_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/fluxconfig"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// Each test installs the definition that it begins with, so they are not parallel.
var suite = clustertest.New(cluster.Options{Nodes: -1})

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

const definition = "customresourcedefinition/miniclusters.flux-framework.org"

// incumbent is a version of flux-operator.
type incumbent struct {
	crd     string
	version string
	// objects are specs by the names of MiniClusters, with their intended layouts.
	objects map[string]string
	layouts map[string]fluxconfig.Layout
}

var incumbents = map[string]incumbent{
	"2023": {
		crd: "testdata/2023.yaml", version: "v1alpha1",
		objects: map[string]string{
			"bare": "containers: [{command: hostname}]",
			"full": `{size: 2, maxSize: 4, flux: {logLevel: 7}, logging: {quiet: true}, volumes: {data: {path: /data}}, containers: [{image: app,
				launcher: true, cores: 2, fluxUser: {}, volumes: {data: {path: /data}}, existingVolumes: {certs: {path: /etc/certs, secretName: certs}}}]}`,
			// Names and sizes that can no longer be created.
			"1-name.with.dots": "{size: 5, maxSize: 3, containers: [{command: hostname}]}",
		},
		layouts: map[string]fluxconfig.Layout{"bare": fluxconfig.LayoutSystem, "full": fluxconfig.LayoutSystem},
	},
	"2026": {
		crd: "testdata/2026.yaml", version: "v1alpha2",
		objects: map[string]string{
			"bare": "containers: [{command: hostname}]",
			"full": `{size: 2, minSize: 1, maxSize: 4, flux: {container: {mountPath: /mnt/view}}, logging: {}, network: {headlessName: shared},
				containers: [{image: app, volumes: {shm: {emptyDir: true}, host: {hostPath: /data, path: /data}}}]}`,
			"1-name.with.dots": "{size: 2, minSize: 3, containers: [{command: hostname}]}",
		},
		layouts: map[string]fluxconfig.Layout{"bare": fluxconfig.LayoutView, "full": fluxconfig.LayoutView},
	},
}

func TestDefinitionIsReplacedUnderItsObjects(t *testing.T) {
	for name, old := range incumbents {
		t.Run(name, func(t *testing.T) {
			u := newUpgrade(t, old)
			before := map[string]*unstructured.Unstructured{}
			for name, spec := range old.objects {
				before[name] = u.create(name, spec)
			}
			root, err := kubebin.Root(".")
			require.NoError(t, err)
			require.NoError(t, u.Cluster.Apply(t.Context(), filepath.Join(root, "manifests", "crd")))
			u.awaitVersions("v1alpha1", "v1alpha2")
			for name := range old.objects {
				u.check(before[name], old.layouts[name])
			}
		})
	}
}

// upgrade is a namespace on a server that has flux-operator's definition.
type upgrade struct {
	*user.Fixture
	dynamic dynamic.Interface
	version string
}

func newUpgrade(t *testing.T, old incumbent) *upgrade {
	t.Helper()
	kube := suite.Cluster(t)
	u := &upgrade{Fixture: user.NewFixture(t, kube), version: old.version}
	var err error
	u.dynamic, err = dynamic.NewForConfig(kube.Config())
	require.NoError(t, err)
	_, err = kube.Kubectl(t.Context(), "delete", "--ignore-not-found", definition)
	require.NoError(t, err)
	require.NoError(t, kube.Apply(t.Context(), old.crd))
	u.awaitVersions(old.version)
	return u
}

func (u *upgrade) miniclusters(version string) dynamic.ResourceInterface {
	return u.dynamic.Resource(schema.GroupVersionResource{Group: v1alpha2.GroupName, Version: version, Resource: "miniclusters"}).Namespace(u.Namespace)
}

// awaitVersions waits until exactly these versions are served.
func (u *upgrade) awaitVersions(served ...string) {
	u.Helper()
	u.Eventually(fmt.Sprintf("versions served: %v", served), func(ctx context.Context) (string, error) {
		for _, version := range []string{"v1alpha1", "v1alpha2"} {
			_, err := u.miniclusters(version).List(ctx, metav1.ListOptions{})
			if wanted := slices.Contains(served, version); wanted != (err == nil) || !wanted && !apierrors.IsNotFound(err) {
				return fmt.Sprintf("%s: %v", version, err), nil
			}
		}
		return "", nil
	})
}

// create creates a MiniCluster with a status, as flux-operator does.
func (u *upgrade) create(name, spec string) *unstructured.Unstructured {
	u.Helper()
	data, err := yaml.YAMLToJSON([]byte(spec))
	require.NoError(u, err)
	var content map[string]any
	require.NoError(u, json.Unmarshal(data, &content))
	created, err := u.miniclusters(u.version).Create(u.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupName + "/" + u.version, "kind": "MiniCluster",
		"metadata": map[string]any{"name": name, "labels": map[string]any{"mine": "yes"}},
		"spec":     content,
	}}, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(u, err, name)
	size := created.Object["spec"].(map[string]any)["size"]
	created.Object["status"] = map[string]any{
		"jobid": "", "maximumSize": size, "selector": "hpa-selector=" + name, "size": size,
		"conditions": []any{map[string]any{
			"type": "JobMiniClusterReady", "status": "True", "reason": "JobMiniClusterReady", "message": "JobMiniClusterReady",
			"lastTransitionTime": "2023-05-31T12:00:00Z",
		}},
	}
	created, err = u.miniclusters(u.version).UpdateStatus(u.Context(), created, metav1.UpdateOptions{})
	require.NoError(u, err, name)
	return created
}

// check compares a MiniCluster with its previous state, and uses it.
func (u *upgrade) check(before *unstructured.Unstructured, layout fluxconfig.Layout) {
	u.Helper()
	name := before.GetName()
	for _, version := range []string{"v1alpha1", "v1alpha2"} {
		after, err := u.miniclusters(version).Get(u.Context(), name, metav1.GetOptions{})
		require.NoError(u, err, "%s through %s", name, version)
		assert.Equal(u, before.GetUID(), after.GetUID())
		assert.Equal(u, before.GetLabels(), after.GetLabels())
		assert.Equal(u, before.GetCreationTimestamp(), after.GetCreationTimestamp())
		kept(u.T, name+" through "+version, before.Object["spec"], after.Object["spec"])
		kept(u.T, name+" through "+version, before.Object["status"], after.Object["status"])
	}
	typed, err := u.MiniClusters().Get(u.Context(), name, metav1.GetOptions{})
	require.NoError(u, err)
	if layout != "" {
		assert.Equal(u, layout, fluxconfig.LayoutOf(&typed.Spec), name)
	}

	// Rules about creation do not prevent its use.
	scale, err := u.MiniClusters().GetScale(u.Context(), name, metav1.GetOptions{})
	require.NoError(u, err)
	scale.Spec.Replicas++
	_, err = u.MiniClusters().UpdateScale(u.Context(), name, scale, metav1.UpdateOptions{})
	require.NoError(u, err)
	patched, err := u.miniclusters(u.version).Patch(u.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"mine":"still"}},"spec":{"size":1}}`), metav1.PatchOptions{})
	require.NoError(u, err)
	assert.Equal(u, before.GetUID(), patched.GetUID())
}

// kept checks that all previous fields are kept; only defaults are new.
func kept(t *testing.T, where string, before, after any) {
	t.Helper()
	switch was := before.(type) {
	case map[string]any:
		is, ok := after.(map[string]any)
		require.True(t, ok, where)
		for key := range maps.Keys(was) {
			kept(t, where+"."+key, was[key], is[key])
		}
	case []any:
		is, ok := after.([]any)
		require.True(t, ok, where)
		require.Len(t, is, len(was), where)
		for i := range was {
			kept(t, where, was[i], is[i])
		}
	default:
		assert.Equal(t, before, after, where)
	}
}
