package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/testimages"
)

// startCommand measures how fast the pods of a MiniCluster start and end on a real node.
const startCommand = "start"

// startOptions are the settings of that measurement.
type startOptions struct {
	// Rounds is how often each kind is created and deleted, after one round that does not count.
	Rounds int
	// Size is the number of pods.
	Size int
	// Image is that of the containers; it has Flux and busybox.
	Image string
	// Archive is a file with that image; empty for the one that the tests build.
	Archive string
	// Verbose keeps the logs on standard error.
	Verbose bool
}

func parseStart(args []string) (*startOptions, error) {
	o := &startOptions{}
	fs := pflag.NewFlagSet("bench "+startCommand, pflag.ContinueOnError)
	fs.IntVar(&o.Rounds, "rounds", 10, "How often each kind is created and deleted.")
	fs.IntVar(&o.Size, "size", 4, "Pods of each.")
	fs.StringVar(&o.Image, "image", testimages.Flux, "Image of the containers, with Flux and a busybox with httpd.")
	fs.StringVar(&o.Archive, "archive", "", "File with that image.")
	fs.BoolVarP(&o.Verbose, "verbose", "v", false, "Show the logs of the controllers and of the lead's pods.")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 || o.Rounds < 1 || o.Size < 1 {
		return nil, errors.New("there are only flags, and --rounds and --size must be at least 1")
	}
	return o, nil
}

// kind is what is started: a Job without the operator, or a MiniCluster of one of two controllers.
type kind struct {
	name string
	// namespace has a separate controller with these arguments; nil: none.
	namespace string
	args      []string
	document  string
	// selector selects the pods.
	selector string
}

// startBareJob has pods with the probe of a MiniCluster, which they answer at once. It takes the size, the image and
// further fields of the pod.
const startBareJob = `
apiVersion: batch/v1
kind: Job
metadata: {name: sample}
spec:
  completions: %[1]d
  parallelism: %[1]d
  completionMode: Indexed
  template:
    metadata: {labels: {app: sample}}
    spec:
      restartPolicy: Never
      %[3]s
      containers:
        - name: sample
          image: %[2]s
          command: [busybox, sh, -c, "trap 'exit 143' TERM; mkdir -p /tmp/www; echo ok >/tmp/www/readyz; busybox httpd -f -p 9560 -h /tmp/www & wait"]
          readinessProbe: {httpGet: {path: /readyz, port: 9560}, periodSeconds: 1, timeoutSeconds: 3}
          resources: {limits: {cpu: 1}, requests: {cpu: 250m}}
`

// startMiniCluster takes the size and the image.
const startMiniCluster = `
apiVersion: flux-framework.org/v1alpha2
kind: MiniCluster
metadata: {name: sample}
spec:
  size: %[1]d
  interactive: true
  flux: {installRoot: /usr}
  containers: [{image: "%[2]s", resources: {limits: {cpu: 1}, requests: {cpu: 250m}}}]
`

func kinds(o *startOptions) []kind {
	cluster := fmt.Sprintf(startMiniCluster, o.Size, o.Image)
	initContainer := fmt.Sprintf(`initContainers: [{name: first, image: "%s", command: [busybox, "true"]}]`, o.Image)
	return []kind{
		{name: "bare Job", namespace: "start-bare", document: fmt.Sprintf(startBareJob, o.Size, o.Image, ""), selector: "app=sample"},
		{name: "image volumes", namespace: "start-mounted", args: []string{"--image-volumes"}, document: cluster, selector: "job-name=sample"},
		{name: "bare Job, init container", namespace: "start-bare-init", document: fmt.Sprintf(startBareJob, o.Size, o.Image, initContainer), selector: "app=sample"},
		{name: "init container", namespace: "start-copied", args: []string{"--image-volumes=false"}, document: cluster, selector: "job-name=sample"},
	}
}

// steady is how long pods run before they are deleted.
const steady = 3 * time.Second

// startLab is the node on which pods are started.
type startLab struct {
	options *startOptions
	node    *node.Node
	root    string
	log     io.Writer
	// controllers end with the measurement.
	controllers []*process.Process
}

// measureStart creates and deletes each kind in turns, so that a load of the machine affects all.
func measureStart(ctx context.Context, o *startOptions) (r *startResults, err error) {
	r = &startResults{options: o, rounds: map[string][]*startRound{}, failedProbes: map[string]int{}}
	l, err := openStartLab(ctx, o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.close()) }() //nolint:contextcheck // the node is removed after the context has ended, too
	for i := range o.Rounds + 1 {
		for _, k := range kinds(o) {
			round, err := l.round(ctx, k)
			if err != nil {
				return r, fmt.Errorf("%s: %w", k.name, err)
			}
			if i > 0 { // the first one warms caches
				r.rounds[k.name] = append(r.rounds[k.name], round)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i, o.Rounds)
	}
	for _, k := range kinds(o) {
		if r.failedProbes[k.name], err = l.failedProbes(ctx, k); err != nil {
			return r, err
		}
	}
	return r, nil
}

func openStartLab(ctx context.Context, o *startOptions) (*startLab, error) {
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	started, err := node.Start(ctx, node.Options{Cluster: cluster.Options{Log: os.Stderr}})
	if err != nil {
		return nil, err
	}
	l := &startLab{options: o, node: started, root: root, log: io.Discard}
	if o.Verbose {
		l.log = os.Stderr
	}
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, l.close()) //nolint:contextcheck // as above
	}
	return l, nil
}

func (l *startLab) prepare(ctx context.Context) error {
	if err := testimages.Import(ctx, l.node); err != nil {
		return err
	}
	if l.options.Archive != "" {
		if err := l.node.Import(ctx, l.options.Archive); err != nil {
			return err
		}
	}
	path := func(name string) string { return filepath.Join(l.root, "manifests", name) }
	if err := l.node.Apply(ctx, path("namespace"), path("crd"), path("rbac")); err != nil {
		return err
	}
	program := filepath.Join(l.node.Dir(), "minicluster-controller")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/minicluster-controller")
	build.Dir, build.Stderr = l.root, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	for _, k := range kinds(l.options) {
		if _, err := l.node.Kubectl(ctx, "create", "namespace", k.namespace); err != nil {
			return err
		}
		if err := l.startController(program, k); err != nil {
			return err
		}
	}
	return nil
}

// startController starts the controller of a kind, if it has one.
func (l *startLab) startController(program string, k kind) error {
	if k.args == nil {
		return nil
	}
	kubeconfig, err := l.node.KubeconfigFor(cluster.ServiceAccountUser("minicluster-system", "minicluster-controller"),
		"system:serviceaccounts", "system:serviceaccounts:minicluster-system")
	if err != nil {
		return err
	}
	p, err := process.Start(process.Command{
		Name: "the controller of " + k.namespace, Path: program, Output: l.log,
		Args: append([]string{
			"--kubeconfig=" + kubeconfig, "--namespaces=" + k.namespace, "--leader-elect=false", "--health-bind-address=", "--metrics-bind-address=",
			"--agent-image-pull-policy=IfNotPresent",
			"--agent-unreachable-timeout=0s", // pods can't be reached from outside of the node
		}, k.args...),
	})
	if err != nil {
		return err
	}
	l.controllers = append(l.controllers, p)
	return nil
}

func (l *startLab) close() error {
	var errs []error
	for _, p := range l.controllers {
		errs = append(errs, p.Stop())
	}
	return errors.Join(append(errs, l.node.Stop())...)
}

// round creates one of a kind, waits until its pods are ready, deletes it, and waits until they are gone.
func (l *startLab) round(ctx context.Context, k kind) (*startRound, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods := l.node.Client().CoreV1().Pods(k.namespace)
	watcher, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: k.selector})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	defer watcher.Stop()
	r := &startRound{pods: map[string]*podTimes{}}
	r.create = time.Now()
	if _, err := l.node.KubectlInput(ctx, strings.NewReader(k.document), "create", "--namespace="+k.namespace, "--filename=-"); err != nil {
		return nil, err
	}
	r.created = time.Now()
	if err := r.follow(ctx, watcher, func() bool { return r.count(ready) == l.options.Size }); err != nil {
		return nil, err
	}
	if l.options.Verbose {
		l.showLog(ctx, k)
	}
	// Right after a start, the kubelet first handles the updates that it has queued, one a second.
	time.Sleep(steady)
	r.delete = time.Now()
	if _, err := l.node.KubectlInput(ctx, strings.NewReader(k.document), "delete", "--wait=false", "--namespace="+k.namespace, "--filename=-"); err != nil {
		return nil, err
	}
	r.deleted = time.Now()
	if err := r.follow(ctx, watcher, func() bool { return r.count(gone) == len(r.pods) }); err != nil {
		return nil, err
	}
	r.end = time.Now()
	return r, l.settle(ctx, k)
}

// failedProbes returns how many probes of the pods of a kind failed. The first one fails if the container does not
// listen by then.
func (l *startLab) failedProbes(ctx context.Context, k kind) (int, error) {
	events, err := l.node.Client().CoreV1().Events(k.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Unhealthy"})
	if err != nil {
		return 0, fmt.Errorf("listing events: %w", err)
	}
	n := 0
	for _, event := range events.Items {
		n += int(max(1, event.Count))
	}
	return n, nil
}

// showLog shows what the agents of the first pods say, with times.
func (l *startLab) showLog(ctx context.Context, k kind) {
	log, err := l.node.Kubectl(ctx, "logs", "--namespace="+k.namespace, "--selector="+k.selector, "--prefix", "--timestamps", "--all-containers", "--tail=40")
	fmt.Fprintln(l.log, log, err)
}

// settle waits until the other objects are gone: a MiniCluster of the same name is created next.
func (l *startLab) settle(ctx context.Context, k kind) error {
	for {
		names, err := l.node.Kubectl(ctx, "get", "jobs,services,configmaps", "--namespace="+k.namespace, "--output=name")
		if err != nil {
			return err
		}
		if !strings.Contains(names, "sample") && !strings.Contains(names, "flux-service") {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// follow records what happens to the pods until something is true.
func (r *startRound) follow(ctx context.Context, watcher watch.Interface, done func() bool) error {
	for !done() {
		select {
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return errors.New("the watch of pods ended")
			}
			if pod, ok := event.Object.(*corev1.Pod); ok {
				r.record(pod, event.Type, time.Now())
			}
		case <-ctx.Done():
			return fmt.Errorf("waiting for pods: %w", ctx.Err())
		}
	}
	return nil
}
