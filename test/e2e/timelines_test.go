package e2e

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/stepplot"
	"minicluster.internal/operator/test/framework/user"
)

// TestTimelines draws the pictures of a resize and of a hibernation from a run on a real node. Their behavior is tested
// by TestShrinkInOrder and TestHibernation, so it only runs to update the pictures.
func TestTimelines(t *testing.T) {
	if update := flag.Lookup("update"); update == nil || update.Value.String() != "true" {
		t.Skip("draws docs/images/resize.svg and docs/images/hibernation.svg with the flag -update")
	}
	kube := suite.Node(t)
	namespace := clustertest.Namespace(t, kube.Cluster)
	root, err := kubebin.Root(".")
	require.NoError(t, err)
	const name = "timeline"
	document := fmt.Sprintf(`
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: %s}
spec:
  size: 4
  interactive: true
  archive: {path: /state/archive.tar.gz}
  hibernation: {gracePeriodSeconds: 60}
  flux: {container: {disable: true}}
  containers:
    - image: %s
      volumes: {state: {path: /state, hostPath: %s}}
`, name, fluxImage, t.TempDir())
	pods := start(t, kube, namespace, name, 4, document)
	lead := pods[0]
	eventuallyNodes(t, kube, lead, "free", 4)

	f := fixtureIn(t, kube, namespace)
	r := record(t, kube, namespace, name)
	r.phase(5 * time.Second)
	flux(t, kube, lead, "submit", "-N4", "sleep", "20")
	eventuallyNodes(t, kube, lead, "free", 0)
	scale(t, kube, namespace, name, 2)
	gone(t, kube, namespace, name, 2)
	r.phase(5 * time.Second)
	scale(t, kube, namespace, name, 4)
	f.WaitFor(name, f.Ready(4))
	r.phase(5 * time.Second)
	plot := r.plot("A resize from 4 to 2 and back", "A job runs on all four pods when the size becomes 2: the pods stay until it has ended.")
	require.NoError(t, plot.Write(filepath.Join(root, "docs", "images", "resize.svg")))

	r = record(t, kube, namespace, name)
	r.phase(5 * time.Second)
	patchSpec(t, kube, namespace, name, map[string]any{"suspend": true})
	gone(t, kube, namespace, name, 0)
	r.phase(10 * time.Second)
	patchSpec(t, kube, namespace, name, map[string]any{"suspend": false})
	f.WaitFor(name, f.Ready(4))
	r.phase(5 * time.Second)
	plot = r.plot("A hibernation", "spec.suspend saves the state of Flux and ends all pods, until it is false again.")
	require.NoError(t, plot.Write(filepath.Join(root, "docs", "images", "hibernation.svg")))
}

// timeline is a record of a MiniCluster and its pods.
type timeline struct {
	t     *testing.T
	began time.Time
	stop  chan struct{}
	done  sync.WaitGroup

	seconds           []int
	size, pods, ready []float64
}

// record samples a MiniCluster twice a second until plot is called.
func record(t *testing.T, kube *node.Node, namespace, name string) *timeline {
	t.Helper()
	r := &timeline{t: t, began: time.Now(), stop: make(chan struct{})}
	f := fixtureIn(t, kube, namespace)
	r.done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			mc, err := f.MiniClusters().Get(t.Context(), name, metav1.GetOptions{})
			if t.Context().Err() != nil || !assert.NoError(t, err) {
				return
			}
			list, err := kube.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: user.Selector(name)})
			if t.Context().Err() != nil || !assert.NoError(t, err) {
				return
			}
			ready := 0
			for _, pod := range list.Items {
				if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
					return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
				}) {
					ready++
				}
			}
			r.seconds = append(r.seconds, int(time.Since(r.began).Seconds()))
			r.size = append(r.size, float64(*mc.Spec.Size))
			r.pods, r.ready = append(r.pods, float64(len(list.Items))), append(r.ready, float64(ready))
			select {
			case <-tick.C:
			case <-r.stop:
				return
			}
		}
	})
	return r
}

// phase lets a state be visible in the picture.
func (r *timeline) phase(long time.Duration) {
	select {
	case <-time.After(long):
	case <-r.t.Context().Done():
	}
}

// plot ends the record and draws it.
func (r *timeline) plot(title, description string) *stepplot.Plot {
	close(r.stop)
	r.done.Wait()
	return &stepplot.Plot{
		Title: title, Description: description, Seconds: r.seconds,
		Lines: []stepplot.Line{
			{Class: "size", Style: "stroke: #7d8894; stroke-dasharray: 4 4;", Legend: "spec.size"},
			{Class: "pods", Style: "stroke: #d97706;", Legend: "pods", LegendAt: 140},
			{Class: "ready", Style: "stroke: #2f7fe0; stroke-width: 2.2;", Legend: "ready pods", LegendAt: 240},
		},
		Panels: []stepplot.Panel{{
			Title: "pods", Height: 160, Max: 5, Every: 1,
			Values: map[string][]float64{"size": r.size, "pods": r.pods, "ready": r.ready},
		}},
	}
}
