package queries_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/user"
)

func listen() (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// instance is the sample application of one pod.
type instance struct {
	address string
	process *process.Process
}

// application runs the program of the example for each simulated pod that is ready, and writes the targets for
// Prometheus: the work of a kubelet and of service discovery.
type application struct {
	kube      kubernetes.Interface
	namespace string
	// dir has the program, its logs, and targets.json.
	dir string
	// pause is the time between two requests to all pods together; 0 for no load.
	load chan time.Duration

	instances map[string]instance
}

// startApplication follows the pods until the test ends. It sends no requests yet.
func startApplication(t *testing.T, kube kubernetes.Interface, namespace, root string) *application {
	t.Helper()
	a := &application{kube: kube, namespace: namespace, dir: t.TempDir(), load: make(chan time.Duration), instances: map[string]instance{}}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", a.dir, "./"+example+"/http-requests")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.NoError(t, a.tell())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
		for _, i := range a.instances {
			assert.NoError(t, i.process.Stop())
		}
	})
	return a
}

// run is the only function that uses the instances.
func (a *application) run(ctx context.Context) error {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	requests := time.NewTicker(time.Hour)
	defer requests.Stop()
	for next := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case pause := <-a.load:
			if pause == 0 {
				pause = time.Hour
			}
			requests.Reset(pause)
		case <-look.C:
			if err := a.follow(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		case <-requests.C:
			if err := a.request(ctx, next); err != nil && ctx.Err() == nil {
				return err
			}
			next++
		}
	}
}

// request sends requests to one instance after the other.
func (a *application) request(ctx context.Context, number int) error {
	var addresses []string
	for _, i := range a.instances {
		addresses = append(addresses, i.address)
	}
	if len(addresses) == 0 {
		return errors.New("there is no instance to send a request to")
	}
	slices.Sort(addresses)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addresses[number%len(addresses)], http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("sending a request to the application: %w", err)
	}
	return response.Body.Close()
}

// follow starts and stops instances with their pods.
func (a *application) follow(ctx context.Context) error {
	pods, err := a.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=sample-metrics-app"})
	if err != nil {
		return nil //nolint:nilerr // it looks again soon
	}
	ready := map[string]bool{}
	changed := false
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		ready[pod.Name] = true
		if _, ok := a.instances[pod.Name]; ok {
			continue
		}
		i, err := a.start(ctx, pod.Name)
		if i.process != nil { // to be stopped, even if it has not responded
			a.instances[pod.Name] = i
		}
		if err != nil {
			return err
		}
		changed = true
	}
	for name, i := range a.instances {
		if ready[name] {
			continue
		}
		if err := i.process.Stop(); err != nil {
			return fmt.Errorf("stopping the application of %s: %w", name, err)
		}
		delete(a.instances, name)
		changed = true
	}
	if changed {
		return a.tell()
	}
	return nil
}

// start returns when the application of a pod responds.
func (a *application) start(ctx context.Context, pod string) (instance, error) {
	port, err := process.FreePort(ctx)
	if err != nil {
		return instance{}, err
	}
	i := instance{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	i.process, err = process.Start(process.Command{
		Name: pod, Path: filepath.Join(a.dir, "http-requests"), Args: []string{"--listen=" + i.address}, Log: filepath.Join(a.dir, pod+".log"),
	})
	if err != nil {
		return i, err
	}
	return i, wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, user.Patience, true, func(ctx context.Context) (bool, error) {
		if connection, err := new(net.Dialer).DialContext(ctx, "tcp", i.address); err == nil {
			return true, connection.Close()
		}
		return false, nil // not yet
	})
}

// tell writes the targets for Prometheus, with the labels of pods behind a Service.
func (a *application) tell() error {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for pod, i := range a.instances {
		groups = append(groups, group{[]string{i.address}, map[string]string{"namespace": a.namespace, "pod": pod, "service": "sample-metrics-app"}})
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	// Atomically: Prometheus may read it at any time.
	if err := os.WriteFile(filepath.Join(a.dir, "targets.tmp"), text, 0o600); err != nil {
		return fmt.Errorf("writing the targets for Prometheus: %w", err)
	}
	return os.Rename(filepath.Join(a.dir, "targets.tmp"), filepath.Join(a.dir, "targets.json"))
}
