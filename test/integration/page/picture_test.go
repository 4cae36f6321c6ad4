package page_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/browser"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
)

var picture = flag.String("picture", "", "file for a screenshot of the page, such as docs/images/page.png; takes six minutes")

// TestPicture takes the screenshot in docs/page.md: the scenario of the tutorial, on its nodes with 184 cores, with a
// paying load that grows and then shrinks.
func TestPicture(t *testing.T) {
	if *picture == "" {
		t.Skip("it takes six minutes: ask for it with -args -picture=FILE")
	}
	b := browser.New(t)
	f := newFixture(t)
	ctx := t.Context()
	nodes := f.Kube.CoreV1().Nodes()
	require.NoError(t, nodes.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	for i, cores := range []int64{32, 32, 32, 32, 32, 24} {
		has := corev1.ResourceList{
			corev1.ResourceCPU: *resource.NewQuantity(cores, resource.DecimalSI), corev1.ResourceMemory: resource.MustParse("80Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		_, err := nodes.Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("kontron-%d", i)}, Status: corev1.NodeStatus{Capacity: has, Allocatable: has},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, f.Cluster.WaitForNodes(ctx))
	top, err := kubebin.Root(".")
	require.NoError(t, err)
	for _, namespace := range []string{"batch", "lab", "shop"} {
		_, err := f.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, err = f.Cluster.Kubectl(ctx, "apply", "-n", "batch", "-f", filepath.Join(top, "examples", "opportunistic"))
	require.NoError(t, err)
	in := func(namespace string) *fixture {
		other := *f.Fixture
		other.Namespace = namespace
		return &fixture{&other}
	}
	lab, batch := in("lab"), in("batch")
	one := &corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("2Gi"),
	}}
	lab.Create("solver", 4, func(mc *v1alpha2.MiniCluster) {
		mc.Spec.MinSize, mc.Spec.MaxSize, mc.Spec.Containers[0].Resources = 2, 8, one
	})
	agents.say("lab/solver", 4, 2, 0)

	second := time.NewTicker(time.Second)
	defer second.Stop()
	paying := 0
	want := func(at int) int { // paying pods, by the second
		switch {
		case at < 60:
			return 0
		case at < 145:
			return (at - 60) / 5
		case at < 220:
			return 17
		case at < 280:
			return 17 - (at-220)/5
		default:
			return 5
		}
	}
	for at := range 330 {
		<-second.C
		for ; paying < want(at); paying++ {
			f.payer(ctx, paying)
		}
		for ; paying > want(at); paying-- {
			require.NoError(t, f.Kube.CoreV1().Pods("shop").Delete(ctx, fmt.Sprintf("shop-%d", paying-1), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
		}
		if mc, err := batch.MiniClusters().Get(ctx, "filler", metav1.GetOptions{}); err == nil {
			agents.say("batch/filler", 184, int(mc.Status.ReadySize), 400)
		}
		switch at {
		case 100:
			lab.SetSize("solver", 12)
		case 180:
			agents.say("lab/solver", 8, 4, 4)
		case 200:
			lab.SetSize("solver", 8)
			agents.say("lab/solver", 8, 8, 0)
		}
	}
	b.Size(1200, 1500)
	address, _ := f.proxy("")
	b.Open(address + root + "miniclusters")
	f.say(b, "#live", "Live")
	b.Eval(nil, "document.querySelector('#nodes summary').click()")
	require.Empty(t, b.Complaints())
	png := b.Picture()
	require.NoError(t, os.WriteFile(*picture, png, 0o644))
	require.Less(t, len(png), 200<<10, "part of the repository")
}

func (f *fixture) payer(ctx context.Context, i int) {
	f.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("shop-%d", i)}}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "none", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"),
	}}}}
	_, err := f.Kube.CoreV1().Pods("shop").Create(ctx, pod, metav1.CreateOptions{})
	require.NoError(f, err)
}
