// Package queues runs the real Kueue beside the controller, on the local Kubernetes. Its tests check what MiniClusters
// do in its queues.
package queues

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// Names of Kueue's own manifests.
const (
	kueueNamespace  = "kueue-system"
	kueueAccount    = "kueue-controller-manager"
	kueueService    = "kueue-webhook-service"
	kueueSecret     = "kueue-webhook-server-cert"
	kueueConfigMap  = "kueue-manager-config"
	kueueConfigFile = "controller_manager_config.yaml"
)

// startTimeout is generous, because the machine may be busy.
const startTimeout = 3 * time.Minute

// Kueue is a running Kueue.
type Kueue struct {
	*process.Process
	// Version is the version of its module.
	Version string
}

// Start builds Kueue if necessary, applies the manifests of its module to a cluster, and starts it as a process of this
// machine with the rights of its service account. Kueue makes the certificates of its webhooks itself; the API server
// reaches them through a Service that is an alias of localhost. The feature gates are added to Kueue's defaults. enter,
// if it is not nil, moves Kueue into the namespaces of the cluster, see [process.Command].
func Start(ctx context.Context, kube *cluster.Cluster, enter func() error, gates map[string]bool) (*Kueue, error) {
	root, err := neighbour.Root()
	if err != nil {
		return nil, err
	}
	program, err := neighbour.Kueue().Ensure(ctx, root, os.Stderr)
	if err != nil {
		return nil, err
	}
	version, err := neighbour.Kueue().Version(ctx, root)
	if err != nil {
		return nil, err
	}
	source, err := neighbour.Kueue().Source(ctx, root)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	config, err := install(ctx, kube, filepath.Join(source, "config", "default"), ports[0])
	if err != nil {
		return nil, fmt.Errorf("installing Kueue: %w", err)
	}
	k := &Kueue{Version: version}
	if k.Process, err = launch(kube, program, config, enter, gates, ports); err != nil {
		return nil, err
	}
	if err := k.During(ctx, func(ctx context.Context) error { return ready(ctx, kube) }); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for Kueue: %w", err), k.Stop())
	}
	return k, nil
}

// freePorts returns ports that are free now.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	for range n {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("opening a port: %w", err)
		}
		defer listener.Close()
		tcp, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("opening a port: no TCP address")
		}
		ports = append(ports, tcp.Port)
	}
	return ports, nil
}

// install applies Kueue's manifests and returns its configuration from them. Kueue itself runs outside the cluster, so
// its Deployment and the APIs that are not tested are left out, and webhooks have the port of the process.
func install(ctx context.Context, kube *cluster.Cluster, folder string, port int) (string, error) {
	text, err := kube.Kubectl(ctx, "kustomize", folder)
	if err != nil {
		return "", err
	}
	var documents strings.Builder
	config := ""
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("reading the manifests: %w", err)
		}
		switch u.GetKind() {
		case "Deployment", "APIService":
			continue
		case "ConfigMap":
			if u.GetName() == kueueConfigMap {
				config, _, _ = unstructured.NestedString(u.Object, "data", kueueConfigFile)
			}
		case "Service":
			if u.GetName() != kueueService {
				continue
			}
			u.Object["spec"] = map[string]any{"type": string(corev1.ServiceTypeExternalName), "externalName": "localhost"}
		}
		setWebhookPort(u.Object, int64(port))
		document, err := json.Marshal(u.Object)
		if err != nil {
			return "", err
		}
		documents.Write(document)
		documents.WriteString("\n---\n")
	}
	if config == "" {
		return "", fmt.Errorf("the manifests have no ConfigMap %s with %s", kueueConfigMap, kueueConfigFile)
	}
	_, err = kube.KubectlInput(ctx, strings.NewReader(documents.String()), "apply", "--server-side", "-f", "-")
	return config, err
}

// setWebhookPort sets the port in all references to the Service of the webhooks.
func setWebhookPort(value any, port int64) {
	switch v := value.(type) {
	case map[string]any:
		if service, ok := v["service"].(map[string]any); ok && service["name"] == kueueService {
			service["port"] = port
		}
		for _, child := range v {
			setWebhookPort(child, port)
		}
	case []any:
		for _, child := range v {
			setWebhookPort(child, port)
		}
	}
}

// launch starts the process, with the configuration of the manifests except for what differs outside a cluster.
func launch(kube *cluster.Cluster, program, defaults string, enter func() error, gates map[string]bool, ports []int) (*process.Process, error) {
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(defaults), &config); err != nil {
		return nil, fmt.Errorf("reading the configuration of Kueue: %w", err)
	}
	config["namespace"] = kueueNamespace
	config["health"] = map[string]any{"healthProbeBindAddress": fmt.Sprintf("127.0.0.1:%d", ports[1])}
	config["metrics"] = map[string]any{"bindAddress": "0"}
	config["webhook"] = map[string]any{"host": "127.0.0.1", "port": ports[0], "certDir": certificates(kube)}
	config["leaderElection"] = map[string]any{"leaderElect": false}
	config["integrations"] = map[string]any{"frameworks": []string{"batch/job"}}
	features := map[string]bool{"VisibilityOnDemand": false} // it would need a fixed port
	for name, on := range gates {
		features[name] = on
	}
	config["featureGates"] = features
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(kube.Dir(), "kueue.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of Kueue: %w", err)
	}
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:" + kueueNamespace}
	kubeconfig, err := kube.KubeconfigFor(cluster.ServiceAccountUser(kueueNamespace, kueueAccount), groups...)
	if err != nil {
		return nil, err
	}
	return process.Start(process.Command{
		Name: "Kueue",
		Path: program,
		Args: []string{"--config=" + path, "--kubeconfig=" + kubeconfig, "--zap-log-level=2"},
		Log:  filepath.Join(kube.Dir(), "kueue.log"),

		Enter: enter,
	})
}

// certificates is the folder where Kueue reads the certificate of its webhooks.
func certificates(kube *cluster.Cluster) string {
	return filepath.Join(kube.Dir(), "kueue-certificates")
}

// ready waits until Kueue's webhooks answer. Kueue writes their certificate into a Secret that a kubelet would mount.
func ready(ctx context.Context, kube *cluster.Cluster) error {
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		secret, err := kube.Client().CoreV1().Secrets(kueueNamespace).Get(ctx, kueueSecret, metav1.GetOptions{})
		if err != nil || len(secret.Data[corev1.TLSCertKey]) == 0 {
			return false, err
		}
		return true, mount(secret, certificates(kube))
	})
	if err != nil {
		return fmt.Errorf("waiting for the certificate of the webhooks: %w", err)
	}
	const flavor = "apiVersion: kueue.x-k8s.io/v1beta2\nkind: ResourceFlavor\nmetadata: {name: probe}\n"
	last := error(nil)
	err = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, last = kube.KubectlInput(ctx, strings.NewReader(flavor), "create", "--dry-run=server", "-f", "-")
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the webhooks: %w: %w", err, last)
	}
	return nil
}

// mount writes a Secret into a folder. The certificate is last, because Kueue waits for that file.
func mount(secret *corev1.Secret, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"ca.crt", corev1.TLSPrivateKeyKey, corev1.TLSCertKey} {
		if err := os.WriteFile(filepath.Join(dir, name), secret.Data[name], 0o600); err != nil {
			return err
		}
	}
	return nil
}
