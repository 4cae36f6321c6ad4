package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const plainJob = `
apiVersion: v1
kind: Service
metadata: {name: ring}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {job-name: ring}
---
apiVersion: batch/v1
kind: Job
metadata: {name: ring}
spec:
  completions: 4
  parallelism: 4
  completionMode: Indexed
  template:
    spec:
      subdomain: ring
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
        - name: ring
          image: ` + fluxImage + `
          command: [sh, -c, 'echo "I am $(hostname)"; exec httpd -f -p 8080 -h /etc']
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
`

// TestNode checks the node without any part of the product: a failure here is not caused by the product.
func TestNode(t *testing.T) {
	kube, namespace := shared(t)
	apply(t, kube, namespace, plainJob)
	pods := eventuallyPods(t, kube, namespace, "job-name=ring", readyPatience, areReady(4))

	first := pods[0]
	for index := range 4 {
		name := fmt.Sprintf("ring-%d.ring.%s.svc.cluster.local", index, namespace)
		eventuallyResolves(t, kube, first, name, pods[index].Status.PodIP)
	}
	assert.Contains(t, eventuallyServed(t, kube, first, "http://ring-3.ring:8080/passwd"), "root:x:0:0")
	log, err := kube.Logs(t.Context(), namespace, pods[2].Name, "")
	require.NoError(t, err)
	assert.Equal(t, "I am ring-2\n", log)
	_, err = kube.Exec(t.Context(), namespace, first.Name, "", "sh", "-c", "echo wrong >&2; exit 7")
	require.ErrorContains(t, err, "wrong")
	assert.ErrorContains(t, err, "exit code 7")
	assert.Contains(t, execute(t, kube, first, "nslookup", "kubernetes.default.svc.cluster.local"), "10.96.0.1")

	_, err = kube.Kubectl(t.Context(), "patch", "job", "ring", "--namespace="+namespace, "--type=merge",
		`--patch={"spec":{"completions":2,"parallelism":2}}`)
	require.NoError(t, err)
	left := eventuallyPods(t, kube, namespace, "job-name=ring", readyPatience, func(pods []corev1.Pod) bool { return len(pods) == 2 })
	assert.Equal(t, []string{pods[0].Name, pods[1].Name}, names(left))
	eventuallyResolves(t, kube, first, "ring-3.ring."+namespace+".svc.cluster.local")
}

func names(pods []corev1.Pod) []string {
	var names []string
	for i := range pods {
		names = append(names, pods[i].Name)
	}
	return names
}

// TestImagesCannotBePulled checks that the network of the node has no external access.
func TestImagesCannotBePulled(t *testing.T) {
	t.Parallel()
	kube := suite.Node(t)
	output, err := kube.Run(t.Context(), nil, "busybox", "nslookup", "minicluster.test", "10.240.0.1")
	require.Error(t, err)
	assert.Contains(t, output, "NXDOMAIN")
	routes, err := kube.Run(t.Context(), nil, "busybox", "route", "-n")
	require.NoError(t, err)
	for line := range strings.Lines(routes) {
		assert.False(t, strings.HasPrefix(line, "0.0.0.0"), line)
	}
}
