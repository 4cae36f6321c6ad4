package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// scaleCommand measures one operator with many MiniClusters, with a large one, and with two
// tenants at once.
const scaleCommand = "scale"

// scaleOptions are the settings of that measurement.
type scaleOptions struct {
	*options
	// Large is the number of pods of the large MiniCluster.
	Large int
	// Resizes is the number of resizes of one tenant while another one creates MiniClusters.
	Resizes int
	// Foreign is the number of ConfigMaps of 1 MB that have the operator's label.
	Foreign int
}

func parseScale(args []string) (*scaleOptions, error) {
	defaults, err := parse(nil)
	if err != nil {
		return nil, err
	}
	o := &scaleOptions{options: defaults}
	fs := pflag.NewFlagSet("bench "+scaleCommand, pflag.ContinueOnError)
	fs.IntVarP(&o.N, "number", "n", 60, "MiniClusters of size 1 that a tenant creates. 0: none, and no tenants.")
	fs.IntVar(&o.Large, "large", 200, "Pods of the large MiniCluster. 0: none.")
	fs.IntVar(&o.Resizes, "resizes", 30, "Resizes of one tenant while the other one creates MiniClusters.")
	fs.IntVar(&o.Foreign, "foreign", 20, "ConfigMaps of 1 MB of another owner, with the label of the operator.")
	fs.IntVar(&o.Users, "users", o.Users, "Number of concurrent requests of users.")
	fs.IntVar(&o.Nodes, "nodes", 0, "Simulated nodes. Unset: one for 500 pods.")
	fs.DurationVar(&o.Idle, "idle", 10*time.Second, "How long the operator is watched doing nothing.")
	fs.StringVar(&o.JSON, "json", "", "File to write the results to.")
	fs.BoolVarP(&o.Verbose, "verbose", "v", false, "Show the operator's log.")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q: there are only flags, see --help", fs.Args())
	}
	if o.N < 0 || o.N == 1 || o.Large < 0 || o.Large == 1 || o.Resizes < 1 || o.Foreign < 0 || o.Users < 1 || o.Nodes < 0 {
		return nil, errors.New("--number and --large must be 0 or at least 2, --resizes and --users at least 1, --foreign and --nodes at least 0")
	}
	if o.Nodes == 0 {
		o.Nodes = 4 + (3*o.N+o.Large)/500
	}
	return o, nil
}

// scaleLab is a cluster with the operator that is measured.
type scaleLab struct {
	*lab
	options  *scaleOptions
	operator *process.Process
	sampler  *sampler
	results  *scaleResults
	// changed is what is wrong about the requests of the restarted operator. It does not end the measurement.
	changed error
}

// measureScale measures the raw client and then the operator, each on a separate Kubernetes: one that has created and
// deleted thousands of objects may be slower.
func measureScale(ctx context.Context, o *scaleOptions) (*scaleResults, error) {
	r := newScaleResults(o)
	if o.N > 0 {
		if err := onNewKubernetes(ctx, o, r, (*scaleLab).measureRawClient); err != nil {
			return r, err
		}
	}
	return r, onNewKubernetes(ctx, o, r, (*scaleLab).measureOperator)
}

// onNewKubernetes starts a Kubernetes, measures something on it, and stops it.
func onNewKubernetes(ctx context.Context, o *scaleOptions, r *scaleResults, measure func(*scaleLab, context.Context) error) (err error) {
	// Otherwise each ready pod of the large MiniCluster makes these controllers read all of its pods.
	l, err := openLab(ctx, o.options, "--endpointslice-updates-batch-period=1s", "--endpoint-updates-batch-period=1s")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return measure(&scaleLab{lab: l, options: o, results: r}, ctx)
}

// measureOperator runs all phases.
func (s *scaleLab) measureOperator(ctx context.Context) (err error) {
	if s.operator, err = s.startOperator(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.operator.Stop()) }()
	s.sampler = startSampler(ctx, s.operator)
	defer func() { s.results.Samples = s.sampler.stop() }()
	for _, p := range s.phases() {
		if err := s.phase(ctx, p.name, p.do); err != nil {
			return err
		}
	}
	return s.changed
}

// scaleStep is a part of the measurement.
type scaleStep struct {
	name string
	do   func(context.Context) error
}

// phases returns the parts of the measurement that the options select.
func (s *scaleLab) phases() []scaleStep {
	steps := []scaleStep{{"start, foreign ConfigMaps", s.withOperator(s.startBesideForeign)}}
	if s.options.N > 0 {
		steps = append(steps,
			scaleStep{"create, another tenant resizes", s.withOperator(s.createBesideResizes)},
			scaleStep{"two tenants create", s.withOperator(s.createTwice)})
	}
	steps = append(steps, scaleStep{"idle", s.withOperator(func(ctx context.Context) error { return sleep(ctx, s.options.Idle) })})
	if s.options.Large > 0 {
		steps = append(steps, scaleStep{"large: grow", s.withOperator(s.growLarge)})
	}
	steps = append(steps, scaleStep{"restart", s.restart})
	if s.options.Large > 0 {
		steps = append(steps, scaleStep{"large: shrink", s.withOperator(s.shrinkLarge)})
	}
	return append(steps, scaleStep{"delete all", s.withOperator(s.deleteAll)})
}

// withOperator returns a function that fails if the operator ends before it does.
func (s *scaleLab) withOperator(do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return s.operator.During(ctx, do) }
}

// phase measures what a part of the measurement costs.
func (s *scaleLab) phase(ctx context.Context, name string, do func(context.Context) error) error {
	s.say("%s", name)
	audit, err := s.cluster.Audit()
	if err != nil {
		return err
	}
	s.sampler.begin()
	begin := time.Now()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	row := scalePhase{Name: name, Seconds: time.Since(begin).Seconds()}
	row.CPUSeconds, row.RSS, row.PeakRSS = s.sampler.end()
	if row.Requests, err = audit.Counts(s.lab.options.User); err != nil {
		return err
	}
	s.results.Phases = append(s.results.Phases, row)
	s.say("  %.1f s, CPU %.2f s, RSS %d MiB, peak %d MiB; %s",
		row.Seconds, row.CPUSeconds, row.RSS>>20, row.PeakRSS>>20, mostFrequent(worth(row.Requests)))
	return writeJSON(s.options.JSON, s.results) // a run of hours may be ended
}

// tenant makes a namespace that is watched.
func (s *scaleLab) tenant(ctx context.Context) (string, *world, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	namespace, err := s.namespace(ctx)
	if err != nil {
		cancel()
		return "", nil, nil, err
	}
	world, err := observe(ctx, s.kube, namespace)
	if err != nil {
		cancel()
		return "", nil, nil, err
	}
	return namespace, world, cancel, nil
}

// setSize patches the size of a MiniCluster.
func (s *scaleLab) setSize(ctx context.Context, namespace, name string, size int32) error {
	patch, begin := fmt.Appendf(nil, `{"spec":{"size":%d}}`, size), time.Now()
	if _, err := s.users.Namespace(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("resizing MiniCluster %s: %w", name, err)
	}
	s.results.Patches = append(s.results.Patches, time.Since(begin).Seconds())
	return nil
}

// deleteIn deletes the MiniClusters of a namespace.
func (s *scaleLab) deleteIn(ctx context.Context, namespace string) error {
	list, err := s.users.Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the MiniClusters of namespace %s: %w", namespace, err)
	}
	return s.all(ctx, len(list.Items), func(ctx context.Context, i int) error {
		return s.deleteMiniCluster(ctx, namespace, list.Items[i].GetName())
	})
}

// ready reports whether the status of all MiniClusters of a namespace says that they are ready.
func (s *scaleLab) ready(ctx context.Context, namespace string, number int) error {
	return s.poll(ctx, fmt.Sprintf("%d MiniClusters of namespace %s to be ready", number, namespace), func(ctx context.Context) (bool, error) {
		list, err := s.users.Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		count := 0
		for i := range list.Items {
			if conditionTrue(list.Items[i].Object, v1alpha2.ConditionReady) {
				count++
			}
		}
		return count == number && len(list.Items) == number, nil
	})
}
