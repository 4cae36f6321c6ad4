package controller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// backup is what Velero restores of a namespace: names, labels, annotations and specs.
type backup struct {
	secrets      []corev1.Secret
	configMaps   []corev1.ConfigMap
	pods         []corev1.Pod
	services     []corev1.Service
	jobs         []batchv1.Job
	miniclusters []v1alpha2.MiniCluster
}

// strip drops what Velero does not restore.
func strip(m *metav1.ObjectMeta) {
	*m = metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: m.Annotations}
}

func (f *fixture) backUp() *backup {
	f.Helper()
	ctx, all := f.Context(), metav1.ListOptions{}
	managed := metav1.ListOptions{LabelSelector: v1alpha2.LabelManagedBy + "=" + v1alpha2.ManagedBy}
	b := &backup{}
	secrets, err := f.kube.CoreV1().Secrets(f.namespace).List(ctx, managed)
	require.NoError(f, err)
	configMaps, err := f.kube.CoreV1().ConfigMaps(f.namespace).List(ctx, managed)
	require.NoError(f, err)
	pods, err := f.kube.CoreV1().Pods(f.namespace).List(ctx, all)
	require.NoError(f, err)
	services, err := f.kube.CoreV1().Services(f.namespace).List(ctx, managed)
	require.NoError(f, err)
	jobs, err := f.kube.BatchV1().Jobs(f.namespace).List(ctx, all)
	require.NoError(f, err)
	mcs, err := f.miniclusters().List(ctx, all)
	require.NoError(f, err)
	b.secrets, b.configMaps, b.pods, b.services, b.jobs, b.miniclusters =
		secrets.Items, configMaps.Items, pods.Items, services.Items, jobs.Items, mcs.Items
	for i := range b.secrets {
		strip(&b.secrets[i].ObjectMeta)
	}
	for i := range b.configMaps {
		strip(&b.configMaps[i].ObjectMeta)
	}
	for i := range b.pods {
		strip(&b.pods[i].ObjectMeta)
		b.pods[i].Spec.NodeName, b.pods[i].Status = "", corev1.PodStatus{}
	}
	for i := range b.services {
		strip(&b.services[i].ObjectMeta)
		if spec := &b.services[i].Spec; spec.ClusterIP != corev1.ClusterIPNone {
			spec.ClusterIP, spec.ClusterIPs = "", nil
		}
	}
	for i := range b.jobs {
		strip(&b.jobs[i].ObjectMeta)
		// Kubernetes sets another selector.
		b.jobs[i].Spec.Selector, b.jobs[i].Status = nil, batchv1.JobStatus{}
		for _, label := range []string{batchv1.ControllerUidLabel, "controller-uid"} {
			delete(b.jobs[i].Spec.Template.Labels, label)
			delete(b.jobs[i].Labels, label)
		}
	}
	for i := range b.miniclusters {
		strip(&b.miniclusters[i].ObjectMeta)
		b.miniclusters[i].Status = v1alpha2.MiniClusterStatus{}
	}
	return b
}

// restore creates the objects in Velero's order: MiniClusters last.
func (f *fixture) restore(b *backup) {
	f.Helper()
	ctx, options := f.Context(), metav1.CreateOptions{}
	for i := range b.secrets {
		_, err := f.kube.CoreV1().Secrets(f.namespace).Create(ctx, &b.secrets[i], options)
		require.NoError(f, err)
	}
	for i := range b.configMaps {
		_, err := f.kube.CoreV1().ConfigMaps(f.namespace).Create(ctx, &b.configMaps[i], options)
		require.NoError(f, err)
	}
	for i := range b.pods {
		_, err := f.kube.CoreV1().Pods(f.namespace).Create(ctx, &b.pods[i], options)
		require.NoError(f, err)
	}
	for i := range b.services {
		_, err := f.kube.CoreV1().Services(f.namespace).Create(ctx, &b.services[i], options)
		require.NoError(f, err)
	}
	for i := range b.jobs {
		_, err := f.kube.BatchV1().Jobs(f.namespace).Create(ctx, &b.jobs[i], options)
		require.NoError(f, err)
	}
	for i := range b.miniclusters {
		_, err := f.miniclusters().Create(ctx, &b.miniclusters[i], options)
		require.NoError(f, err)
	}
}

// nothingLeft names the objects that were created for MiniClusters, except for headless Services.
func (f *fixture) nothingLeft(ctx context.Context) (string, error) {
	return f.cluster.Kubectl(ctx, "get", "jobs,configmaps,secrets,services,pods", "-n", f.namespace, "-l", v1alpha2.LabelName, "-o", "name")
}

// noServices names the Services of MiniClusters, including headless ones.
func (f *fixture) noServices(ctx context.Context) (string, error) {
	return f.cluster.Kubectl(ctx, "get", "services", "-n", f.namespace, "-l", v1alpha2.LabelController, "-o", "name")
}

// withoutOwner lists the objects of a namespace that have no owner.
func (f *fixture) withoutOwner(ctx context.Context) ([]string, error) {
	out, err := f.cluster.Kubectl(ctx, "get", "jobs,configmaps,secrets,services,pods", "-n", f.namespace, "-o",
		`jsonpath={range .items[*]}{.kind}{" "}{.metadata.name}{" "}{.metadata.ownerReferences[*].name}{"\n"}{end}`)
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var kind, name, owner string
		_, _ = fmt.Sscan(line, &kind, &name, &owner)
		if owner == "" && name != "kube-root-ca.crt" {
			names = append(names, kind+" "+name)
		}
	}
	return names, err
}

// TestRestoreWithoutOwners checks that all objects that Velero restores without their owners are adopted, or removed:
// no rank has two brokers for long, and nothing remains when the MiniCluster is deleted.
func TestRestoreWithoutOwners(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(*backup){
		"all":            func(*backup) {},
		"without Job":    func(b *backup) { b.jobs, b.secrets = nil, nil },
		"only a Job":     func(b *backup) { b.configMaps, b.services, b.pods = nil, nil, nil },
		"MiniClusters":   func(b *backup) { *b = backup{miniclusters: b.miniclusters} },
		"pods, Services": func(b *backup) { b.configMaps, b.secrets, b.jobs = nil, nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.createReady("again", 2, maxSize(4), sidecar("nginx", 80), registry)
			f.setSize("again", 3)
			f.waitFor("again", f.ready(3))
			b := f.backUp()
			drop(b)
			require.NoError(t, f.miniclusters().Delete(t.Context(), "again", metav1.DeleteOptions{}))
			f.eventually("all to be gone", f.nothingLeft)
			f.eventually("the headless Service to be gone", f.noServices) // the backup has another one of its name
			f.restore(b)
			f.eventually("one pod for each rank", func(ctx context.Context) (string, error) {
				indexes, err := f.podIndexes(ctx, "again")
				if len(indexes) != 3 {
					return fmt.Sprint(indexes), err
				}
				return "", err
			})
			f.waitFor("again", f.ready(3), has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonStable))
			f.eventually("owners of all objects", func(ctx context.Context) (string, error) {
				orphans, err := f.withoutOwner(ctx)
				if len(orphans) > 0 {
					return fmt.Sprint(orphans), err
				}
				return "", err
			})
			f.setSize("again", 4)
			mc := f.waitFor("again", f.ready(4))
			assert.Equal(t, int32(4), mc.Status.MaximumSize)
			require.NoError(t, f.miniclusters().Delete(t.Context(), "again", metav1.DeleteOptions{}))
			f.eventually("all to be gone", f.nothingLeft)
		})
	}
}
