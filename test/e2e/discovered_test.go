package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/node"
	"minicluster.internal/operator/test/framework/promserver"
)

// startDiscovering starts a Prometheus with the configuration of an example, which discovers the pods behind a
// Service. Debian's Prometheus is built without the discovery of Kubernetes, so a file provides the targets. The rest
// of the configuration is unchanged, except for a scrape interval of one second.
func startDiscovering(t *testing.T, kube *node.Node, config, namespace, service string) *promserver.Server {
	t.Helper()
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, yaml.UnmarshalStrict(text, &all))
	dir := t.TempDir()
	targets := filepath.Join(dir, "targets.json")
	jobs, _ := all["scrape_configs"].([]any)
	require.Len(t, jobs, 1)
	job, _ := jobs[0].(map[string]any)
	require.Equal(t, []any{map[string]any{"role": "endpointslice"}}, job["kubernetes_sd_configs"])
	delete(job, "kubernetes_sd_configs")
	job["file_sd_configs"] = []any{map[string]any{"files": []string{targets}, "refresh_interval": "1s"}}
	job["scrape_interval"], job["scrape_timeout"] = "1s", "1s"
	text, err = yaml.Marshal(all)
	require.NoError(t, err)

	require.NoError(t, discover(t.Context(), kube, namespace, service, targets))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(10 * pollInterval)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				// An error is that of the API server, which is asked again.
				if err := discover(ctx, kube, namespace, service, targets); err != nil && ctx.Err() == nil {
					t.Log(err)
				}
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return promserver.Start(t, promserver.Options{Config: string(text), Enter: kube.Enter})
}

// discover writes the targets that the role endpointslice finds for a Service.
func discover(ctx context.Context, kube *node.Node, namespace, name, file string) error {
	service, err := kube.Client().CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("discovering pods: %w", err)
	}
	slices, err := kube.Client().DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return fmt.Errorf("discovering pods: %w", err)
	}
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for i := range slices.Items {
		for _, port := range slices.Items[i].Ports {
			for _, endpoint := range slices.Items[i].Endpoints {
				if endpoint.TargetRef == nil || port.Name == nil || port.Port == nil {
					continue // it is not that of a pod
				}
				labels := map[string]string{
					"__meta_kubernetes_namespace":               namespace,
					"__meta_kubernetes_service_name":            name,
					"__meta_kubernetes_endpointslice_port_name": *port.Name,
					"__meta_kubernetes_pod_name":                endpoint.TargetRef.Name,
				}
				for key, value := range service.Labels {
					labels["__meta_kubernetes_service_label_"+key] = value
				}
				groups = append(groups, group{[]string{net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*port.Port)))}, labels})
			}
		}
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return fmt.Errorf("writing targets: %w", err)
	}
	if before, err := os.ReadFile(file); err == nil && string(before) == string(text) {
		return nil
	}
	// Atomically: Prometheus may read it at any time.
	if err := os.WriteFile(file+".tmp", text, 0o600); err != nil {
		return fmt.Errorf("writing targets: %w", err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		return fmt.Errorf("writing targets: %w", err)
	}
	return nil
}

// publish makes a Service refer to a Prometheus, which listens where no pod can reach it.
func publish(t *testing.T, kube *node.Node, server *promserver.Server, namespace, name string, port int32) {
	t.Helper()
	to, err := url.Parse(server.URL())
	require.NoError(t, err)
	var listener net.Listener
	require.NoError(t, process.Within(kube.Enter, func() error {
		var err error
		listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(node.Address, "0"))
		return err
	}))
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = server.Transport
	front := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(listener) }()
	t.Cleanup(func() { _ = front.Close() })

	_, err = kube.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = kube.Client().CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{})
	})
	_, err = kube.Client().CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: port}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	_, err = kube.Client().DiscoveryV1().EndpointSlices(namespace).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{node.Address}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new(""), Port: new(int32(address.Port))}}, //nolint:gosec // a port
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}
