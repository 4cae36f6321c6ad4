// Package install_test runs "make install" and "make uninstall" against the local Kubernetes. Its nodes are simulated,
// so that the programs do not run; test/e2e tests that they work when installed.
package install_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

const namespace = "minicluster-system"

var suite = clustertest.New(cluster.Options{Nodes: 1})

func TestMain(m *testing.M) { os.Exit(suite.Run(m)) }

// maker runs targets of the Makefile like a user with a kubeconfig.
func maker(t *testing.T, kube *cluster.Cluster, kubeconfig string) func(args ...string) (string, error) {
	t.Helper()
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	return func(args ...string) (string, error) {
		var output bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "make", args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, &output, &output
		cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBECTL="+kube.KubectlPath(), "KUBERC=off")
		if err := cmd.Run(); err != nil {
			return output.String(), fmt.Errorf("make %v: %w\n%s", args, err, output.String())
		}
		return output.String(), nil
	}
}

// TestInstallAndUninstall checks that the image has the given name, that a second installation changes it in place,
// that MiniClusters keep the operator from being removed, and that nothing remains.
func TestInstallAndUninstall(t *testing.T) {
	kube := suite.Cluster(t)
	run := maker(t, kube, kube.Kubeconfig())
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := kube.Kubectl(t.Context(), args...)
		require.NoError(t, err)
		return out
	}
	const created = `customresourcedefinitions,clusterroles,clusterrolebindings,flowschemas,apiservices,namespaces`
	before := kubectl("get", created, "--output=name")
	images := func() string {
		t.Helper()
		return kubectl("get", "deployments", "--namespace="+namespace, "--output=jsonpath={.items[*].spec.template.spec.containers[*].image}")
	}

	out, err := run("install", "IMAGE=registry.example/minicluster:v1")
	require.NoError(t, err)
	assert.Contains(t, out, "in context localkube")
	assert.Contains(t, out, `deployment "minicluster-controller" successfully rolled out`)
	assert.Equal(t, "registry.example/minicluster:v1", images())
	out, err = run("install", "IMAGE=registry.example/minicluster:v2", "METRICS=1")
	require.NoError(t, err)
	assert.Contains(t, out, "minicluster-controller configured")
	assert.Equal(t, "registry.example/minicluster:v2 registry.example/minicluster:v2", images())

	_, err = kube.KubectlInput(t.Context(), bytes.NewBufferString(`{apiVersion: flux-framework.org/v1alpha2, kind: MiniCluster, metadata: {name: stays, namespace: default},
  spec: {size: 1, containers: [{image: flux}]}}`), "apply", "--filename=-")
	require.NoError(t, err)
	out, err = run("uninstall")
	require.Error(t, err)
	assert.Contains(t, out, "MiniClusters exist (1)")
	assert.Contains(t, out, "delete miniclusters -A --all")
	assert.Equal(t, "registry.example/minicluster:v2 registry.example/minicluster:v2", images(), "nothing was removed")

	kubectl("delete", "miniclusters", "--all-namespaces", "--all")
	_, err = run("uninstall")
	require.NoError(t, err)
	_, err = kube.Client().CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), err)
	// The API server drops the APIServices of a deleted definition with a delay.
	user.Eventually(t, user.Patience, "everything as before the installation", func(ctx context.Context) (string, error) {
		after, err := kube.Kubectl(ctx, "get", created, "--output=name")
		if err != nil || after == before {
			return "", err
		}
		return "before:\n" + before + "after:\n" + after, nil
	})
	_, err = run("uninstall")
	require.NoError(t, err, "it may be repeated")
}

// TestNoServer checks that the remedy is named, once, before anything is tried.
func TestNoServer(t *testing.T) {
	run := maker(t, suite.Cluster(t), filepath.Join(t.TempDir(), "missing"))
	for _, target := range []string{"install", "uninstall"} {
		out, err := run(target)
		require.Error(t, err)
		assert.Contains(t, out, "kubectl reaches no API server in context (none)")
		assert.Contains(t, out, "KUBECONFIG=FILE")
		assert.NotContains(t, out, "==", "no step has begun")
	}
}
