// Package python finds a Python with Kubernetes' client for tests, and runs it.
package python

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"minicluster.internal/operator/test/framework/cluster"
)

// Variable is the environment variable that makes tests fail if Python or its Kubernetes client is missing, if its
// value is "required". Otherwise they are skipped.
const Variable = "MINICLUSTER_PYTHON"

// Need returns the path of a Python that has Kubernetes' client. If there is none, the test ends.
func Need(t testing.TB) string {
	t.Helper()
	// The second one is that of the system, whose packages another one on the path does not have.
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(t.Context(), path, "-c", "import kubernetes, yaml").Run() == nil {
			return path
		}
	}
	const missing = "no Python with Kubernetes' client: install package python3-kubernetes"
	if os.Getenv(Variable) == "required" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Run runs Python with the package of this repository, and returns what it prints.
func Run(ctx context.Context, program, root string, environment []string, args ...string) (string, error) {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(root, "python")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+cmd.Dir, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Env = append(cmd.Env, environment...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("%s: %w", program, err)
	}
	return output.String(), nil
}

// Kubeconfig writes a kubeconfig of a user into a temporary directory, with a namespace, and returns its path.
func Kubeconfig(t testing.TB, kube *cluster.Cluster, namespace, user string, groups ...string) string {
	t.Helper()
	access, err := kube.ConfigFor(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: access.Host, CertificateAuthorityData: access.CAData}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: access.CertData, ClientKeyData: access.KeyData}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: namespace}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
