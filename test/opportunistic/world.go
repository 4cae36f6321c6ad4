package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// Halves of the cluster. Their names are the label of their nodes and the namespace of their pods, and the type of
// target of their autoscaler.
const (
	value = iota
	average
	halves
)

func half(i int) string { return []string{"value", "average"}[i] }

const (
	halfLabel = "half"
	// system is the namespace of the programs.
	system = "minicluster-system"
	// patience is the timeout of steps that are not measured.
	patience = 3 * time.Minute
)

//go:embed tutorial.yaml
var tutorial []byte

// world is a cluster with the programs under test.
type world struct {
	*cluster.Cluster
	flux     clientset.Interface
	root     string
	programs []*process.Process
}

func newWorld(ctx context.Context) (_ *world, err error) {
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	kube, err := cluster.Start(ctx, cluster.Options{Nodes: -1, Log: os.Stderr, ControllerManagerArgs: []string{
		"--horizontal-pod-autoscaler-sync-period=" + syncPeriod.String(),
		"--horizontal-pod-autoscaler-downscale-stabilization=" + stabilization.String(),
	}})
	if err != nil {
		return nil, err
	}
	w := &world{Cluster: kube, root: root}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.flux, err = clientset.NewForConfig(kube.Config()); err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	if err := w.addNodes(ctx); err != nil {
		return nil, err
	}
	if err := kube.Apply(ctx, w.path("manifests/namespace"), w.path("manifests/crd"), w.path("manifests/rbac"), w.path("manifests/metrics/rbac")); err != nil {
		return nil, err
	}
	for i := range halves {
		_, err := kube.Client().CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: half(i)}}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("creating a namespace: %w", err)
		}
	}
	return w, errors.Join(w.startController(), w.startMetrics(ctx))
}

func (w *world) path(name string) string { return filepath.Join(w.root, filepath.FromSlash(name)) }

// addNodes creates the six nodes of the tutorial, with 24 to 32 cores, for each half.
func (w *world) addNodes(ctx context.Context) error {
	for i := range halves {
		for n, cpus := range []int64{32, 32, 32, 32, 32, 24} {
			has := corev1.ResourceList{
				corev1.ResourceCPU:    *resource.NewQuantity(cpus, resource.DecimalSI),
				corev1.ResourceMemory: resource.MustParse("80Gi"),
				corev1.ResourcePods:   resource.MustParse("110"),
			}
			name := fmt.Sprintf("%s-%d", half(i), n)
			_, err := w.Client().CoreV1().Nodes().Create(ctx, &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, halfLabel: half(i)}},
				Status:     corev1.NodeStatus{Capacity: has, Allocatable: has},
			}, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("creating a simulated node: %w", err)
			}
		}
	}
	return w.WaitForNodes(ctx)
}

// start starts a program with the rights of its service account.
func (w *world) start(name string, args ...string) error {
	kubeconfig, err := w.KubeconfigFor(cluster.ServiceAccountUser(system, name), "system:serviceaccounts", "system:serviceaccounts:"+system)
	if err != nil {
		return fmt.Errorf("creating the credentials of %s: %w", name, err)
	}
	p, err := process.Start(process.Command{
		Name: name, Path: w.path("bin/" + name), Args: append([]string{"--kubeconfig=" + kubeconfig}, args...),
		Log: filepath.Join(w.Dir(), name+".log"),
	})
	if err != nil {
		return err
	}
	w.programs = append(w.programs, p)
	return nil
}

func (w *world) startController() error {
	return w.start("minicluster-controller", "--leader-elect=false", "--health-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0",
		"--agent-unreachable-timeout=0s", "--pod-diagnosis-delay=1h") // simulated pods have no agents
}

// startMetrics starts the metrics API server, with a Service of type ExternalName that refers to localhost.
func (w *world) startMetrics(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		return fmt.Errorf("finding a free port: %w", err)
	}
	_, err = w.Client().CoreV1().Services(system).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "minicluster-metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating a Service: %w", err)
	}
	return w.start("minicluster-metrics", "--bind-address=127.0.0.1", "--secure-port="+port, "--service-port="+port, "--metrics-bind-address=")
}

// stop stops everything. It returns the log of a program that has ended by itself.
func (w *world) stop() error {
	var errs []error
	for _, p := range w.programs {
		select {
		case <-p.Ended():
			log, _ := os.ReadFile(filepath.Join(w.Dir(), p.Name()+".log"))
			errs = append(errs, fmt.Errorf("%s has ended: %s", p.Name(), bytes.TrimSpace(log)))
		default:
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(append(errs, w.Stop())...)
}

// fill creates the application of each half and its autoscaler.
func (w *world) fill(ctx context.Context) error {
	if _, err := w.KubectlInput(ctx, bytes.NewReader(tutorial), "apply", "--validate=strict", "-n", half(value), "-f", "-"); err != nil {
		return err
	}
	return w.fillAverage(ctx)
}

func (w *world) fillAverage(ctx context.Context) error {
	mc, err := os.ReadFile(w.path("examples/opportunistic/minicluster.yaml"))
	if err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	// It may only use its half of the cluster.
	var object unstructured.Unstructured
	if err := yaml.Unmarshal(mc, &object.Object); err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	if err := unstructured.SetNestedStringMap(object.Object, map[string]string{halfLabel: half(average)}, "spec", "pod", "nodeSelector"); err != nil {
		return fmt.Errorf("editing an example: %w", err)
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return fmt.Errorf("editing an example: %w", err)
	}
	if _, err := w.KubectlInput(ctx, bytes.NewReader(text), "apply", "--validate=strict", "-n", half(average), "-f", "-"); err != nil {
		return err
	}
	_, err = w.Kubectl(ctx, "apply", "--validate=strict", "-n", half(average), "-f", w.path("examples/opportunistic/hpa.yaml"))
	return err
}

// metricsWork waits until the metrics API is available.
func (w *world) metricsWork(ctx context.Context) error {
	path := "/apis/custom.metrics.k8s.io/v1beta2/namespaces/" + half(value) + "/services/cluster-metrics/cpu_capacity_remaining"
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, last = w.Client().Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the metrics API: %w", errors.Join(err, last))
	}
	return nil
}

// autoscalerWorks waits until the HorizontalPodAutoscaler controller has discovered MiniClusters, which takes up
// to half a minute.
func (w *world) autoscalerWorks(ctx context.Context) error {
	if err := w.fillAverage(ctx); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		hpas, err := w.Client().AutoscalingV2().HorizontalPodAutoscalers(half(average)).List(ctx, metav1.ListOptions{})
		return err == nil && len(hpas.Items) == 1 && hpas.Items[0].Status.DesiredReplicas > 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the autoscaler to scale a MiniCluster: %w", err)
	}
	_, err = w.Kubectl(ctx, "delete", "-n", half(average), "-f", w.path("examples/opportunistic"))
	return err
}

// quantity returns a number of cores.
func quantity(cores int) resource.Quantity { return resource.MustParse(strconv.Itoa(cores)) }
