package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/user"
)

// terminal runs the commands of the scaling tutorials, with the namespace that they name.
type terminal struct {
	*fixture
	example string
}

// newTerminal opens a terminal for a folder of examples.
func newTerminal(t *testing.T, folder string) *terminal {
	t.Helper()
	kube := suite.Cluster(t)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	c := &terminal{
		fixture: fixtureOf(user.FixtureIn(t, kube, "flux-operator")),
		example: filepath.Join(root, "examples", filepath.FromSlash(folder), "minicluster.yaml"),
	}
	_, err = c.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	return c
}

// runs runs a command and compares what it prints.
func (c *terminal) runs(want string, command ...string) {
	c.Helper()
	out, err := c.cluster.Kubectl(c.Context(), command...)
	require.NoError(c, err)
	assert.Equal(c, want, strings.TrimSpace(out), "kubectl %s", strings.Join(command, " "))
}

// applySize applies the example with another size, as after an edit of the file.
func (c *terminal) applySize(size int) {
	c.Helper()
	text, err := os.ReadFile(c.example)
	require.NoError(c, err)
	edited := regexp.MustCompile(`(?m)^  size: \d+$`).ReplaceAll(text, fmt.Appendf(nil, "  size: %d", size))
	out, err := c.cluster.KubectlInput(c.Context(), strings.NewReader(string(edited)), "apply", "-f", "-")
	require.NoError(c, err)
	assert.Equal(c, "minicluster.flux-framework.org/flux-sample configured\n", out)
}

// pods waits until `kubectl get pods` prints pods in these states, by index.
func (c *terminal) pods(states ...string) {
	c.Helper()
	want := []string{"NAME READY STATUS RESTARTS AGE"}
	for index, state := range states {
		want = append(want, fmt.Sprintf("flux-sample-%d-XXXXX %s 0 AGE", index, state))
	}
	suffix, age := regexp.MustCompile(`^(flux-sample-\d+)-[a-z0-9]{5} `), regexp.MustCompile(` (\d+[smhd])+$`)
	c.eventually("the pods", func(ctx context.Context) (string, error) {
		out, err := c.cluster.Kubectl(ctx, "get", "-n", "flux-operator", "pods")
		if err != nil {
			return "", err
		}
		var got []string
		for line := range strings.Lines(out) {
			line = strings.Join(strings.Fields(line), " ")
			got = append(got, age.ReplaceAllString(suffix.ReplaceAllString(line, "$1-XXXXX "), " AGE"))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			return "it prints\n" + out, nil
		}
		return "", nil
	})
}

// scale compares the scale subresource, once it has a number of replicas.
func (c *terminal) scale(version string, replicas int) {
	c.Helper()
	path := "/apis/flux-framework.org/" + version + "/namespaces/flux-operator/miniclusters/flux-sample/scale"
	var scale map[string]any
	c.eventually("the scale", func(ctx context.Context) (string, error) {
		out, err := c.cluster.Kubectl(ctx, "get", "--raw", path)
		if err != nil {
			return "", err
		}
		scale = nil
		if err := json.Unmarshal([]byte(out), &scale); err != nil {
			return "", err
		}
		if status, ok := scale["status"].(map[string]any); !ok || status["replicas"] != float64(replicas) {
			return out, nil
		}
		return "", nil
	})
	metadata, ok := scale["metadata"].(map[string]any)
	require.True(c, ok)
	assert.Equal(c, "flux-sample", metadata["name"])
	assert.Equal(c, "flux-operator", metadata["namespace"])
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp"} {
		assert.NotEmpty(c, metadata[field], field)
	}
	delete(scale, "metadata")
	assert.Equal(c, map[string]any{
		"kind": "Scale", "apiVersion": "autoscaling/v1",
		"spec":   map[string]any{"replicas": float64(replicas)},
		"status": map[string]any{"replicas": float64(replicas), "selector": "hpa-selector=flux-sample"},
	}, scale)
}

// remove deletes the example, and waits for the end of its pods.
func (c *terminal) remove() {
	c.Helper()
	c.runs(`minicluster.flux-framework.org "flux-sample" deleted from flux-operator namespace`, "delete", "-f", c.example)
	c.eventually("the pods to go", func(ctx context.Context) (string, error) {
		return c.cluster.Kubectl(ctx, "get", "-n", "flux-operator", "pods,jobs", "--output=name")
	})
}

const up = "1/1 Running"

// TestTutorialBasic runs the commands of the tutorial of a cluster that starts at its maximum.
func TestTutorialBasic(t *testing.T) {
	c := newTerminal(t, "scaling/basic")
	c.runs("minicluster.flux-framework.org/flux-sample created", "apply", "-f", c.example)
	c.pods(up, up, up, up)
	c.scale("v1alpha1", 4)

	// A larger size is rejected, and no pod is affected.
	c.applySize(5)
	c.eventually("the size", func(ctx context.Context) (string, error) {
		events, err := c.cluster.Kubectl(ctx, "get", "-n", "flux-operator", "events", "--field-selector=reason=ScaleRejected", "--output=name")
		if err == nil && events == "" {
			return "the size was not rejected", nil
		}
		return "", err
	})
	c.runs("4", "get", "-n", "flux-operator", "minicluster", "flux-sample", "--output=jsonpath={.spec.size}")
	c.pods(up, up, up, up)

	// The pod with the highest index terminates, until it has been seen, and is deleted.
	_, err := c.cluster.Kubectl(t.Context(), "annotate", "-n", "flux-operator", "pods",
		"--selector=batch.kubernetes.io/job-completion-index=3", cluster.AnnotationTerminateAfter+"="+cluster.Forever)
	require.NoError(t, err)
	c.applySize(3)
	c.pods(up, up, up, "1/1 Terminating")
	require.NoError(t, c.cluster.ReleasePods(t.Context(), "flux-operator", ""))
	c.pods(up, up, up)
	c.scale("v1alpha1", 3)

	c.applySize(4)
	c.pods(up, up, up, up)
	c.runs("minicluster.flux-framework.org/flux-sample scaled", "scale", "-n", "flux-operator", "minicluster/flux-sample", "--replicas=2")
	c.pods(up, up)
	c.scale("v1alpha2", 2)
	c.remove()
}

// TestTutorialExpand runs the commands of the tutorial of a cluster that starts small.
func TestTutorialExpand(t *testing.T) {
	c := newTerminal(t, "scaling/expand")
	c.runs("minicluster.flux-framework.org/flux-sample created", "apply", "-f", c.example)
	c.pods(up, up)
	c.scale("v1alpha1", 2)
	c.applySize(4)
	c.pods(up, up, up, up)
	c.scale("v1alpha1", 4)
	c.applySize(1)
	c.pods(up)
	c.scale("v1alpha1", 1)
	c.remove()
}
