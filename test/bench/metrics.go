package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// metricsCommand measures the process of the metrics API server, with MiniClusters of the operator and simulated
// agents.
const metricsCommand = "metrics"

// metricsOptions are the settings of that measurement.
type metricsOptions struct {
	*options
	// Duration is how long the process is measured in each situation.
	Duration time.Duration
	// Period is the interval of an autoscaler.
	Period time.Duration
	// Hanging is the number of agents that do not respond in the last situation.
	Hanging int
}

func parseMetrics(args []string) (*metricsOptions, error) {
	defaults, err := parse(nil)
	if err != nil {
		return nil, err
	}
	o := &metricsOptions{options: defaults}
	fs := pflag.NewFlagSet("bench "+metricsCommand, pflag.ContinueOnError)
	fs.IntVarP(&o.N, "number", "n", 1000, "MiniClusters to create, of size 2.")
	fs.IntVar(&o.Nodes, "nodes", o.Nodes, "Simulated nodes.")
	fs.DurationVar(&o.Duration, "duration", 60*time.Second, "Duration of the measurement in each situation.")
	fs.DurationVar(&o.Period, "period", 15*time.Second, "Interval of the autoscaler of each MiniCluster.")
	fs.IntVar(&o.Hanging, "hanging", 100, "Number of agents that do not respond in the last situation.")
	fs.BoolVarP(&o.Verbose, "verbose", "v", false, "Show the logs of the processes.")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: unexpected argument, see --help", fs.Args())
	}
	if o.N < 2 || o.Nodes < 1 || o.Hanging < 1 || o.Hanging >= o.N || o.Duration <= 0 || o.Period <= 0 {
		return nil, errors.New("--number must be at least 2, --nodes and --hanging at least 1, --hanging below --number, --duration and --period more than 0")
	}
	return o, nil
}

// metricsLab is a cluster full of MiniClusters with the metrics API server.
type metricsLab struct {
	*lab
	options   *metricsOptions
	namespace string
	agents    *agents
	adapter   *process.Process
	metrics   string // the URL of its own metrics
}

// measureMetrics measures the metrics API server in one situation after the other.
func measureMetrics(ctx context.Context, o *metricsOptions) (r *metricsResults, err error) {
	r = &metricsResults{options: o}
	l, err := openLab(ctx, o.options)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	m := &metricsLab{lab: l, options: o}
	if err := m.fill(ctx); err != nil {
		return r, err
	}
	defer m.agents.close()
	if err := m.startAdapter(ctx); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, m.adapter.Stop()) }()
	return r, m.adapter.During(ctx, func(ctx context.Context) error { return m.watchAll(ctx, r) })
}

// fill creates the MiniClusters and gives each lead pod the address of an agent.
func (m *metricsLab) fill(ctx context.Context) (err error) {
	if m.namespace, err = m.lab.namespace(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	world, err := observe(ctx, m.kube, m.namespace)
	if err != nil {
		return err
	}
	operator, err := m.startOperator()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, operator.Stop()) }()
	m.say("%d MiniClusters of size %d", m.options.N, sizeAtFirst)
	return operator.During(ctx, func(ctx context.Context) error {
		run := world.expect(podsRun(m.options.N * sizeAtFirst))
		if err := m.all(ctx, m.options.N, func(ctx context.Context, i int) error {
			_, err := m.createMiniCluster(ctx, m.namespace, nameOf(i))
			return err
		}); err != nil {
			return err
		}
		if _, err := run(ctx); err != nil {
			return err
		}
		if err := m.poll(ctx, "the status of all MiniClusters", m.known); err != nil {
			return err
		}
		return m.connect(ctx)
	})
}

// known reports whether the operator has recorded the Jobs of all MiniClusters.
func (m *metricsLab) known(ctx context.Context) (bool, error) {
	list, err := m.users.Namespace(m.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("listing MiniClusters: %w", err)
	}
	for i := range list.Items {
		var status struct{ Status struct{ JobID string } }
		text, err := list.Items[i].MarshalJSON()
		if err == nil {
			err = json.Unmarshal(text, &status)
		}
		if err != nil {
			return false, fmt.Errorf("reading a MiniCluster: %w", err)
		}
		if status.Status.JobID == "" {
			return false, nil
		}
	}
	return true, nil
}

// connect starts the agents and sets their addresses as those of the lead pods: all of 127.0.0.0/8 leads to this
// machine.
func (m *metricsLab) connect(ctx context.Context) error {
	text, err := os.ReadFile(m.path("pkg/agent/serve/testdata/metrics.txt"))
	if err != nil {
		return fmt.Errorf("reading the response of agents: %w", err)
	}
	if m.agents, err = startAgents(ctx, m.options.N, agentPort, string(text)); err != nil {
		return err
	}
	pods, err := m.kube.CoreV1().Pods(m.namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobCompletionIndexAnnotation + "=0"})
	if err != nil {
		return fmt.Errorf("listing lead pods: %w", err)
	}
	if len(pods.Items) != m.options.N {
		return fmt.Errorf("found %d lead pods of %d MiniClusters", len(pods.Items), m.options.N)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return strings.Compare(a.Labels[v1alpha2.LabelHPASelector], b.Labels[v1alpha2.LabelHPASelector])
	})
	return m.all(ctx, m.options.N, func(ctx context.Context, i int) error {
		patch := fmt.Appendf(nil, `{"status":{"podIP":%[1]q,"podIPs":[{"ip":%[1]q}]}}`, agentAddress(i))
		_, err := m.kube.CoreV1().Pods(m.namespace).Patch(ctx, pods.Items[i].Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return fmt.Errorf("setting the address of a pod: %w", err)
		}
		return nil
	})
}

// startAdapter starts the metrics API server, with the rights of its service account, behind a Service that is an
// alias of this machine.
func (m *metricsLab) startAdapter(ctx context.Context) error {
	if err := m.cluster.Apply(ctx, m.path("manifests/metrics/rbac")); err != nil {
		return err
	}
	const name = "minicluster-metrics"
	_, err := m.kube.CoreV1().Services("minicluster-system").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making a Service: %w", err)
	}
	kubeconfig, err := m.cluster.KubeconfigFor(cluster.ServiceAccountUser("minicluster-system", name),
		"system:serviceaccounts", "system:serviceaccounts:minicluster-system")
	if err != nil {
		return err
	}
	api, err := process.FreePort(ctx)
	if err != nil {
		return err
	}
	metrics, err := process.FreePort(ctx)
	if err != nil {
		return err
	}
	m.metrics = fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics)
	m.adapter, err = process.Start(process.Command{
		Name: "the metrics API server", Path: m.path("bin/minicluster-metrics"), Output: m.log,
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", api),
			fmt.Sprint("--service-port=", api), fmt.Sprint("--metrics-bind-address=127.0.0.1:", metrics),
		},
	})
	return err
}
