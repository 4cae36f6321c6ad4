package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/kubebin"
	"minicluster.internal/operator/test/framework/cluster/process"
)

// lab is a cluster with a user.
type lab struct {
	options    *options
	cluster    *cluster.Cluster
	kube       kubernetes.Interface
	users      dynamic.NamespaceableResourceInterface
	kubeconfig string
	root       string
	log        io.Writer
	namespaces int
}

func openLab(ctx context.Context, o *options, controllerManagerArgs ...string) (*lab, error) {
	root, err := kubebin.Root(".")
	if err != nil {
		return nil, err
	}
	kube, err := cluster.Start(ctx, cluster.Options{
		Nodes: o.Nodes, Audit: true, Log: os.Stderr,
		SchedulerArgs:         []string{"--kube-api-qps=500", "--kube-api-burst=1000"}, // its default is 50 pods a second
		ControllerManagerArgs: controllerManagerArgs,
	})
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, cluster: kube, root: root, log: io.Discard}
	if o.Verbose {
		l.log = os.Stderr
	}
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, kube.Stop())
	}
	return l, nil
}

func (l *lab) prepare(ctx context.Context) error {
	manifests := []string{l.path("manifests/namespace"), l.path("manifests/crd"), l.path("manifests/rbac")}
	if l.options.CRD != "" {
		manifests[1] = l.options.CRD
	}
	if err := l.cluster.Apply(ctx, manifests...); err != nil {
		return err
	}
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:minicluster-system"}
	if l.options.OperatorCommand != "" {
		groups = []string{"system:masters"} // its needs are not known
	}
	var err error
	if l.kubeconfig, err = l.cluster.KubeconfigFor(l.options.User, groups...); err != nil {
		return err
	}
	if l.kube, err = kubernetes.NewForConfig(compact(l.cluster.Config())); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	users, err := dynamic.NewForConfig(l.cluster.Config())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	l.users = users.Resource(schema.GroupVersionResource{
		Group: v1alpha2.GroupName, Version: l.options.Version, Resource: "miniclusters",
	})
	if l.options.OperatorCommand == "" {
		build := exec.CommandContext(ctx, "make", "--no-print-directory", "build")
		build.Dir, build.Stdout, build.Stderr = l.root, os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building the operator: %w", err)
		}
	}
	return nil
}

func (l *lab) path(parts string) string { return filepath.Join(l.root, filepath.FromSlash(parts)) }

func (l *lab) close() error { return l.cluster.Stop() }

// say prints the progress.
func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// memoryLimit is what the Deployment sets, from its limit.
const memoryLimit = "GOMEMLIMIT=512MiB"

// startOperator starts the measured operator.
func (l *lab) startOperator() (*process.Process, error) {
	c := process.Command{Name: "the operator", Output: l.log, Env: []string{"KUBECONFIG=" + l.kubeconfig, memoryLimit}}
	if command := l.options.OperatorCommand; command != "" {
		c.Path, c.Args = "/bin/sh", []string{"-c", "exec " + strings.TrimPrefix(command, "exec ")}
		return process.Start(c)
	}
	c.Path, c.Args = l.path("bin/minicluster-controller"), []string{
		"--kubeconfig=" + l.kubeconfig,
		"--leader-elect-resource-namespace=minicluster-system",
		"--health-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0",
		"--agent-unreachable-timeout=0s", // simulated pods have no agents
		// The machine may be so busy that the API server takes longer than the defaults allow.
		"--leader-elect-lease-duration=3m", "--leader-elect-renew-deadline=2m",
	}
	return process.Start(c)
}

func (l *lab) startRawClient() (*process.Process, error) {
	return l.startSelf("the raw client", rawClientCommand)
}

// startSelf starts this program with another command.
func (l *lab) startSelf(name, command string) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return process.Start(process.Command{
		Name: name, Path: self, Args: []string{command, l.cluster.Kubeconfig(), fmt.Sprint(l.options.Workers)},
		Output: os.Stderr, Input: true,
	})
}

// namespace creates a namespace and waits until pods can be created in it.
func (l *lab) namespace(ctx context.Context) (string, error) {
	l.namespaces++
	name := fmt.Sprintf("bench-%d", l.namespaces)
	_, err := l.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a namespace: %w", err)
	}
	return name, l.poll(ctx, "the service account of namespace "+name, func(ctx context.Context) (bool, error) {
		_, err := l.kube.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil //nolint:nilerr // not yet
	})
}

// poll waits until a condition holds. The pause between two checks is longer than a check takes, because lists of
// thousands of objects would otherwise slow down what is measured.
func (l *lab) poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	const (
		pause  = 200 * time.Millisecond
		checks = 4 // the pause is at least as long as so many checks
	)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("still waiting after %s", patience))
	defer cancel()
	for {
		begin := time.Now()
		ok, err := done(ctx)
		if err == nil && !ok {
			err = sleep(ctx, max(pause, checks*time.Since(begin)))
		}
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok {
			return nil
		}
	}
}

// specOf returns a spec as users write it.
func specOf(size int32) map[string]any {
	return map[string]any{
		"size": int64(size), "maxSize": int64(sizeThird), "interactive": true,
		"containers": []any{map[string]any{"image": "ghcr.io/flux-framework/flux-restful-api:latest"}},
	}
}

// nameFormat is the format of the name of a MiniCluster by its number.
const nameFormat = "mc-%04d"

func nameOf(i int) string { return fmt.Sprintf(nameFormat, i) }

func (l *lab) createMiniCluster(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error) {
	mc, err := l.users.Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupName + "/" + l.options.Version, "kind": "MiniCluster",
		"metadata": map[string]any{"name": name},
		"spec":     specOf(sizeAtFirst),
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("making MiniCluster %s: %w", name, err)
	}
	return mc, nil
}

func (l *lab) resizeMiniCluster(ctx context.Context, namespace, name string, size int32) (*unstructured.Unstructured, error) {
	mc, err := l.users.Namespace(namespace).Patch(ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"size":%d}}`, size), metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("resizing MiniCluster %s: %w", name, err)
	}
	return mc, nil
}

func (l *lab) deleteMiniCluster(ctx context.Context, namespace, name string) error {
	background := metav1.DeletePropagationBackground
	if err := l.users.Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return fmt.Errorf("deleting MiniCluster %s: %w", name, err)
	}
	return nil
}

// deleteJobs deletes the Jobs of a namespace, and waits until nothing is left of them.
func (l *lab) deleteJobs(ctx context.Context, namespace string, w *world) error {
	gone, background := w.expect(nothingLeft), metav1.DeletePropagationBackground
	err := l.kube.BatchV1().Jobs(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("deleting the Jobs of namespace %s: %w", namespace, err)
	}
	_, err = gone(ctx)
	return err
}

// errandOf returns the raw client's work for a MiniCluster.
func errandOf(mc *unstructured.Unstructured, size int32, isNew bool) (errand, error) {
	spec, err := json.Marshal(mc.Object["spec"])
	if err != nil {
		return errand{}, fmt.Errorf("encoding a spec: %w", err)
	}
	return errand{
		Namespace: mc.GetNamespace(), Name: mc.GetName(), UID: string(mc.GetUID()), Version: mc.GetResourceVersion(),
		Size: size, New: isNew, Spec: spec,
	}, nil
}

// waitUntilEmpty waits until the garbage collector has finished in a namespace, so that it does not affect the next
// measurement.
func (l *lab) waitUntilEmpty(ctx context.Context, namespace string) error {
	few := metav1.ListOptions{Limit: 2}
	return l.poll(ctx, "namespace "+namespace+" to be empty", func(ctx context.Context) (bool, error) {
		mcs, err := l.users.Namespace(namespace).List(ctx, few)
		if err != nil {
			return false, err
		}
		secrets, err := l.kube.CoreV1().Secrets(namespace).List(ctx, few)
		if err != nil {
			return false, err
		}
		configmaps, err := l.kube.CoreV1().ConfigMaps(namespace).List(ctx, few)
		if err != nil {
			return false, err
		}
		services, err := l.kube.CoreV1().Services(namespace).List(ctx, few)
		if err != nil {
			return false, err
		}
		// Every namespace contains the ConfigMap with the cluster's authority.
		return len(mcs.Items)+len(secrets.Items)+len(services.Items) == 0 && len(configmaps.Items) <= 1, nil
	})
}
