// Package page_test tests the page of the metrics API server through the real API server: with users of different
// rights, and in a real browser.
package page_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/programs"
	"minicluster.internal/operator/test/framework/user"
)

const (
	root = "/apis/page.flux-framework.org/v1alpha1/"
)

var (
	drains user.Agents
	agents simulated
	// running are the options of the metrics API server.
	running *app.Options
	suite   = clustertest.New(cluster.Options{
		Nodes:                 6,
		ControllerManagerArgs: []string{"--horizontal-pod-autoscaler-sync-period=1s"},
	}, user.Manifests, programs.MetricsManifests, programs.Controller(programs.WithAgents(&drains)), startMetrics)
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *measured != "" {
		beMeasured()
	}
	os.Exit(suite.Run(m))
}

// startMetrics starts the metrics API server that the tests share.
func startMetrics(ctx context.Context, kube *cluster.Cluster) error {
	port, err := process.FreePort(ctx)
	if err != nil {
		return err
	}
	return programs.Metrics(func(o *app.Options) {
		o.MetricsAddress = fmt.Sprintf("127.0.0.1:%d", port)
		o.CollectInterval /= 10
		o.CapacityReserve = "cpu=10"
		o.Address = agents.Address
		running = o
	})(ctx, kube)
}

// simulated simulates the agents of all MiniClusters.
type simulated struct{ user.Expositions }

func (s *simulated) say(cluster string, demanded, run, sched int) {
	s.Of(cluster).Say(fmt.Sprintf("flux_nodes_demanded %d\nflux_jobs{state=\"run\"} %d\nflux_jobs{state=\"sched\"} %d", demanded, run, sched))
}

type fixture struct{ *user.Fixture }

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{user.NewFixture(t, suite.Cluster(t))}
}

// token creates a service account with some roles, and returns a token of it.
func (f *fixture) token(name string, bind ...func(rbacv1.Subject)) string {
	f.Helper()
	accounts := f.Kube.CoreV1().ServiceAccounts(f.Namespace)
	_, err := accounts.Create(f.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(f, err)
	for _, b := range bind {
		b(rbacv1.Subject{Kind: "ServiceAccount", Name: name, Namespace: f.Namespace})
	}
	made, err := accounts.CreateToken(f.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(f, err)
	return made.Status.Token
}

// in binds a cluster role in a namespace, or everywhere.
func (f *fixture) in(namespace, role string) func(rbacv1.Subject) {
	return func(who rbacv1.Subject) {
		_, err := f.Kube.RbacV1().RoleBindings(namespace).Create(f.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: who.Name}, Subjects: []rbacv1.Subject{who},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}, metav1.CreateOptions{})
		require.NoError(f, err)
	}
}

func (f *fixture) everywhere(role string) func(rbacv1.Subject) {
	return func(who rbacv1.Subject) {
		name := who.Namespace + "-" + who.Name + "-" + role
		_, err := f.Kube.RbacV1().ClusterRoleBindings().Create(f.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{who},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		}, metav1.CreateOptions{})
		require.NoError(f, err)
		f.Cleanup(func() {
			_ = f.Kube.RbacV1().ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
}

// through sends requests through the API server of Kubernetes, past directly to the program.
func (f *fixture) through() *rest.Config { return rest.AnonymousClientConfig(f.Cluster.Config()) }
func (f *fixture) past() *rest.Config {
	return &rest.Config{Host: "https://" + running.Listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// get sends a request with a token, "" for none, and returns the status and the body of the response.
func (f *fixture) get(ctx context.Context, way *rest.Config, token, path string) (status int, body string, err error) {
	f.Helper()
	config := rest.CopyConfig(way)
	config.BearerToken = token
	client, err := rest.HTTPClientFor(config)
	require.NoError(f, err)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, http.NoBody)
	require.NoError(f, err)
	request.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	response, err := client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("requesting the page: %w", err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", fmt.Errorf("reading the page: %w", err)
	}
	return response.StatusCode, string(all), nil
}

// page waits until a page contains something, and returns it.
func (f *fixture) page(way *rest.Config, token, path string, has ...string) string {
	f.Helper()
	var page string
	f.Eventually("a page at "+path, func(ctx context.Context) (string, error) {
		status, body, err := f.get(ctx, way, token, path)
		if err != nil {
			return "", err
		}
		if status != http.StatusOK {
			return fmt.Sprintf("%d: %s", status, body), nil
		}
		for _, part := range has {
			if !strings.Contains(body, part) {
				return "no " + part + " in " + body, nil
			}
		}
		page = body
		return "", nil
	})
	return page
}

// proxy returns the address of kubectl proxy, with the rights of the administrator or of a token, and a function that
// stops it.
func (f *fixture) proxy(token string) (address string, stop func()) {
	f.Helper()
	free, err := process.FreePort(f.Context())
	require.NoError(f, err)
	port := strconv.Itoa(free)
	args := []string{"proxy", "--port=" + port, "--kubeconfig=" + f.Cluster.Kubeconfig()}
	if token != "" {
		config := f.Cluster.Config()
		authority := f.TempDir() + "/ca.crt"
		require.NoError(f, os.WriteFile(authority, config.CAData, 0o600))
		args = []string{"proxy", "--port=" + port, "--kubeconfig=/dev/null", "--server=" + config.Host, "--certificate-authority=" + authority, "--token=" + token}
	}
	p, err := process.Start(process.Command{
		Name: "kubectl proxy", Path: f.Cluster.KubectlPath(), Args: args, Log: f.TempDir() + "/proxy.log", Lines: true,
	})
	require.NoError(f, err)
	stop = func() { _ = p.Stop() }
	f.Cleanup(stop)
	ctx, cancel := context.WithTimeout(f.Context(), user.Patience)
	defer cancel()
	require.NoError(f, p.WaitForLine(ctx, "Starting to serve on 127.0.0.1:"+port))
	return "http://127.0.0.1:" + port, stop
}

// ready creates a MiniCluster and waits until all of its pods are ready.
func (f *fixture) ready(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) {
	f.Helper()
	f.Create(name, size, mods...)
	f.settled(name, size)
}

func (f *fixture) settled(name string, size int32) {
	f.Helper()
	f.Eventually(fmt.Sprintf("%s has size %d", name, size), func(ctx context.Context) (string, error) {
		return f.Settled(ctx, name, size)
	})
}
