package hpa_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/user"
)

const (
	// syncPeriod is the interval of an autoscaler, whose phase is random. See localkube.
	syncPeriod = 5 * time.Second
	// slack allows for a measurement that only one of the autoscalers has seen, on a busy machine.
	slack = 20 * time.Second
)

// TestAsFastAsADeployment applies the same load at the same time to a MiniCluster and a Deployment with equal
// autoscalers, and compares when the Job and the ReplicaSet have their new sizes.
func TestAsFastAsADeployment(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.create("flux")
	f.deploy("web")
	f.autoscale(miniCluster("flux"), 2, 4, half())
	f.autoscale(autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, 2, 4, half())
	for _, name := range []string{"flux", "web"} {
		f.waitForHPA(name, "to see that there is nothing to do", measures(0, 5))
	}
	for _, phase := range []struct {
		name, cpu string
		size      int32
	}{
		{"up", "2", 4},
		{"down", "1m", 2},
	} {
		start := time.Now()
		f.load(user.Selector("flux"), phase.cpu)
		f.load("app=web", phase.cpu)
		flux, web := f.race(start, phase.size)
		t.Logf("%s to %d: the Job after %.1f s, the ReplicaSet after %.1f s", phase.name, phase.size, flux.Seconds(), web.Seconds())
		assert.LessOrEqual(t, flux-web, syncPeriod+slack, phase.name)
		f.waitForSize("flux", phase.size)
	}
}

// race waits until the Job and the ReplicaSet have a size, and returns the time since the start of each.
func (f *fixture) race(start time.Time, size int32) (flux, web time.Duration) {
	f.Helper()
	f.eventually(fmt.Sprintf("both sizes to be %d", size), func(ctx context.Context) (string, error) {
		job, err := f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, "flux", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if *job.Spec.Parallelism == size && flux == 0 {
			flux = time.Since(start)
		}
		sets, err := f.Kube.AppsV1().ReplicaSets(f.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil || len(sets.Items) != 1 {
			return "no ReplicaSet", err
		}
		if *sets.Items[0].Spec.Replicas == size && web == 0 {
			web = time.Since(start)
		}
		if flux == 0 || web == 0 {
			return fmt.Sprintf("Job %v, ReplicaSet %v", flux, web), nil
		}
		return "", nil
	})
	return flux, web
}

// deploy creates a Deployment of two pods with the same requests as those of create.
func (f *fixture) deploy(name string) {
	f.Helper()
	labels := map[string]string{"app": name}
	_, err := f.Kube.AppsV1().Deployments(f.Namespace).Create(f.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "web:test", Resources: *requests("100m")}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
}
