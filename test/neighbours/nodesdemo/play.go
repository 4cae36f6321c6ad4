package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/pkg/controller/resources"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	metricsapp "minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/karpenter"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

const (
	namespace = metav1.NamespaceDefault
	name      = "flux-sample"
	folder    = "examples/elasticity/nodes"
	// patience is the timeout of the demo; interval is the time between two samples.
	patience = 15 * time.Minute
	interval = time.Second
	// after is how long samples are taken after the last node is gone.
	after = 15
)

// demo is a cluster with all programs.
type demo struct {
	*cluster.Cluster
	flux   clientset.Interface
	queue  queue
	agents user.Agents
	expose user.Expositions
}

// play runs the demo and returns the samples.
func play(ctx context.Context) (_ []sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	root, err := neighbour.Root()
	if err != nil {
		return nil, err
	}
	options, err := karpenter.Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	kube, err := cluster.Start(ctx, cluster.Options{Nodes: -1, Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kube.Stop()) }()
	d := &demo{Cluster: kube}
	if d.flux, err = clientset.NewForConfig(kube.Config()); err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	bought, err := karpenter.Start(ctx, kube, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bought.Stop()) }()
	if err := d.install(ctx); err != nil {
		return nil, err
	}
	if err := kube.Apply(ctx, filepath.Join(root, folder, "nodepool.yaml"), filepath.Join(root, folder, "minicluster.yaml")); err != nil {
		return nil, err
	}
	return d.record(ctx)
}

// install starts the operator and its metrics API server.
func (d *demo) install(ctx context.Context) error {
	for _, setup := range []clustertest.Setup{
		user.Manifests, programs.MetricsManifests, clustertest.Apply("manifests/nodes/role.yaml"),
		programs.Controller(programs.WithAgents(&d.agents), func(o *app.Options) { o.WatchNodes = true }),
		programs.Metrics(func(o *metricsapp.Options) { o.Address = d.expose.Address }),
	} {
		if err := setup(ctx, d.Cluster); err != nil {
			return err
		}
	}
	return nil
}

// record submits the jobs once the first pod is ready, and takes samples until the last node is gone.
func (d *demo) record(ctx context.Context) ([]sample, error) {
	agent := d.expose.Of(namespace + "/" + name)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var samples []sample
	var started time.Time
	for {
		agent.Say(d.queue.exposition())
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the end of the demo: %w; the last sample is %+v", context.Cause(ctx), samples)
		case <-ticker.C:
		}
		s, up, err := d.look(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if started.IsZero() {
			if s.pods == 1 && s.nodes == 1 {
				started = now
				d.queue.submit(jobs, jobDuration)
				fmt.Fprintf(os.Stderr, "%d jobs are submitted\n", jobs)
			}
			continue
		}
		d.queue.tick(now, up)
		s.second = int(now.Sub(started).Seconds())
		s.pending, s.running, _, _ = d.queue.counts()
		if n := len(samples); n == 0 || samples[n-1].second != s.second {
			samples = append(samples, s)
			d.show(samples)
		}
		if gone := timelineOf(samples).gone; gone > 0 && s.second >= gone+after {
			return samples, nil
		}
	}
}

// show prints the last sample if it differs from the one before.
func (d *demo) show(samples []sample) {
	n := len(samples) - 1
	last := samples[n]
	if n > 0 {
		before := samples[n-1]
		before.second = last.second
		if before == last {
			return
		}
	}
	fmt.Fprintf(os.Stderr, "%4d s: %d jobs wait, %d run; size %d, %d pods ready, %d nodes\n", last.second, last.pending, last.running, last.size, last.pods, last.nodes)
}

// look reads the cluster. It returns the ranks that are up, too.
func (d *demo) look(ctx context.Context) (s sample, up []int, err error) {
	mc, err := d.flux.FluxFrameworkV1alpha2().MiniClusters(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return s, nil, fmt.Errorf("reading the MiniCluster: %w", err)
	}
	pods, err := user.ListPods(ctx, d.Client(), namespace, user.Selector(name))
	if err != nil {
		return s, nil, fmt.Errorf("listing the pods: %w", err)
	}
	nodes, err := d.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, nil, fmt.Errorf("listing the nodes: %w", err)
	}
	s.size, s.nodes = int(mc.RequestedSize()), len(nodes.Items)
	for i := range pods {
		if ready(&pods[i]) {
			s.pods++
			up = append(up, user.IndexOf(pods[i]))
		}
	}
	return s, up, nil
}

func ready(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil && resources.PodReady(pod) }
