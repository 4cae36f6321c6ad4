package hpa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/test/framework/user"
)

// Documents of users from the tutorials before 2026 and since. Their target is so low that any usage exceeds it.
const (
	launcher = `
apiVersion: flux-framework.org/v1alpha1
kind: MiniCluster
metadata:
  name: flux-sample
  namespace: flux-operator
spec:
  size: 2
  maxSize: 10
  containers:
    - image: example.com/conda:latest
      workingDir: /data
      launcher: true
      command: sleep infinity
      commands: {pre: pip install kubernetes}
      fluxUser: {name: fluxuser}
      resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}
`
	interactive = `
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata:
  name: flux-sample
spec:
  size: 2
  maxSize: 10
  interactive: true
  containers:
    - image: rockylinux:9
      workingDir: /data
      resources: {limits: {cpu: "1"}, requests: {cpu: "1"}}
`
	lowV1 = `
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata:
  name: flux-sample-hpa
  namespace: flux-operator
spec:
  minReplicas: 2
  maxReplicas: 4
  targetCPUUtilizationPercentage: 2
  scaleTargetRef:
    apiVersion: flux-framework.org/v1alpha1
    kind: MiniCluster
    name: flux-sample
`
	lowV2 = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: flux-sample-hpa
spec:
  scaleTargetRef:
    apiVersion: flux-framework.org/v1alpha2
    kind: MiniCluster
    name: flux-sample
  minReplicas: 2
  maxReplicas: 4
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 2}}
`
)

// TestTutorial follows the console of the tutorials, with the project's examples and with documents of users: the
// applied objects, the output of kubectl, and the size of the cluster.
func TestTutorial(t *testing.T) {
	t.Parallel()
	for name, docs := range map[string]struct {
		miniCluster, hpa string
		// target is how kubectl shows the autoscaler's target.
		target string
	}{
		"example v1":           {example(t, "v1/minicluster.yaml"), example(t, "v1/hpa-v1.yaml"), "50%"},
		"example v2":           {example(t, "v2/minicluster.yaml"), example(t, "v2/hpa-v2.yaml"), "50%"},
		"example v2 container": {example(t, "v2/minicluster.yaml"), example(t, "v2/hpa-v2-container.yaml"), "50%"},
		"launcher":             {launcher, lowV1, "2%"},
		"interactive":          {interactive, lowV2, "2%"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			follow := f.follow("flux-sample")

			assert.Equal(t, "minicluster.flux-framework.org/flux-sample created\n", f.apply(docs.miniCluster))
			f.waitForSize("flux-sample", 2)
			f.assertPods(2)
			f.assertScale(2)

			assert.Equal(t, "horizontalpodautoscaler.autoscaling/flux-sample-hpa created\n", f.apply(docs.hpa))
			f.assertHPA(`\d%`, docs.target, 2)

			f.load(user.Selector("flux-sample"), "500m")
			f.waitForSize("flux-sample", 4)
			f.assertPods(4)
			f.assertScale(4)
			f.assertHPA(`\d+%`, docs.target, 4)

			f.load(user.Selector("flux-sample"), "1m")
			f.waitForSize("flux-sample", 2)
			f.assertHPA(`\d%`, docs.target, 2)
			assert.EqualValues(t, 4, follow(), "the largest size of the Job")
		})
	}
}

// TestMadeAgain deletes a MiniCluster and creates another one of the same name. The autoscaler refers to the name,
// and works with both.
func TestMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply(example(t, "v1/minicluster.yaml"))
	f.waitForSize("flux-sample", 2)
	f.apply(example(t, "v1/hpa-v1.yaml"))
	f.load(user.Selector("flux-sample"), "500m")
	f.waitForSize("flux-sample", 4)

	assert.Equal(t, `minicluster.flux-framework.org "flux-sample" deleted from `+f.Namespace+" namespace\n", f.Kubectl("delete", "minicluster", "flux-sample"))
	f.waitForHPA("flux-sample-hpa", "to miss the cluster", func(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
		return lacks(hpa, autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale")
	})
	f.load(user.Selector("flux-sample"), "1m")
	f.apply(example(t, "v1/minicluster.yaml"))
	f.waitForSize("flux-sample", 2)
	f.assertPods(2)
	f.assertHPA(`\d%`, "50%", 2)
	f.load(user.Selector("flux-sample"), "500m")
	f.waitForSize("flux-sample", 4)
}

// assertPods waits until "kubectl get pods" has the expected output: pods that were removed may still terminate.
func (f *fixture) assertPods(number int) {
	f.Helper()
	var want strings.Builder
	for index := range number {
		fmt.Fprintf(&want, `flux-sample-%d-[a-z0-9]{5} +(1/1|2/2) +Running +0 +\S+\n`, index)
	}
	shown := regexp.MustCompile("^" + want.String() + "$")
	f.eventually("the lines of the pods", func(ctx context.Context) (string, error) {
		lines, err := f.Cluster.Kubectl(ctx, "get", "pods", "--no-headers", "--namespace="+f.Namespace)
		if err != nil || shown.MatchString(lines) {
			return "", err
		}
		return lines, nil
	})
}

// assertScale checks the scale subresource, through the version of the tutorial.
func (f *fixture) assertScale(size int32) {
	f.Helper()
	text, err := f.Cluster.Kubectl(f.Context(), "get", "--raw", "/apis/flux-framework.org/v1alpha1/namespaces/"+f.Namespace+"/miniclusters/flux-sample/scale")
	require.NoError(f, err)
	var scale autoscalingv1.Scale
	require.NoError(f, json.Unmarshal([]byte(text), &scale))
	assert.Equal(f, "Scale autoscaling/v1", scale.Kind+" "+scale.APIVersion)
	assert.Equal(f, f.Namespace+"/flux-sample", scale.Namespace+"/"+scale.Name)
	assert.Equal(f, size, scale.Spec.Replicas)
	assert.Equal(f, autoscalingv1.ScaleStatus{Replicas: size, Selector: "hpa-selector=flux-sample"}, scale.Status)
}

// assertHPA waits until "kubectl get hpa" has the expected output.
func (f *fixture) assertHPA(used, target string, size int) {
	f.Helper()
	want := regexp.MustCompile(fmt.Sprintf(`^flux-sample-hpa +MiniCluster/flux-sample +cpu: %s/%s +2 +4 +%d +\S+\n$`, used, target, size))
	f.eventually("the autoscaler's line", func(ctx context.Context) (string, error) {
		line, err := f.Cluster.Kubectl(ctx, "get", "hpa", "--no-headers", "--namespace="+f.Namespace)
		if err != nil || want.MatchString(line) {
			return "", err
		}
		return line, nil
	})
}
