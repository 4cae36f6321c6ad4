package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// typesTimeout is the timeout for new types to be served.
const typesTimeout = 5 * time.Minute

const crdPrefix = "customresourcedefinition.apiextensions.k8s.io/"

// Kubectl runs kubectl as the administrator and returns its output. The error contains its error messages.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, nil, args...)
}

// KubectlInput is Kubectl with standard input, for "-f -".
func (c *Cluster) KubectlInput(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.binaries.Kubectl, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.Kubeconfig(),
		// Discovery is cached by address, which an earlier cluster may have had.
		"KUBECACHEDIR="+c.path("kubectl-cache"),
		// The preferences of the user would change the output.
		"KUBERC=off",
	)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Apply applies manifests like a user, with kubectl apply and its strict validation: files, folders of files, or
// folders with a kustomization. It returns when their resource types can be used.
func (c *Cluster) Apply(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		how := "-f"
		if isKustomization(path) {
			how = "-k"
		}
		applied, err := c.Kubectl(ctx, "apply", "--output=name", how, path)
		if err != nil {
			return fmt.Errorf("applying %s: %w", path, err)
		}
		if err := c.waitForTypes(ctx, strings.Fields(applied)); err != nil {
			return fmt.Errorf("applying %s: %w", path, err)
		}
	}
	return nil
}

func (c *Cluster) waitForTypes(ctx context.Context, applied []string) error {
	var types []string
	for _, name := range applied {
		if strings.HasPrefix(name, crdPrefix) {
			types = append(types, name)
		}
	}
	if len(types) == 0 {
		return nil
	}
	// kubectl wait fails at once for a new definition without conditions.
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, typesTimeout, true, func(ctx context.Context) (bool, error) {
		_, last = c.Kubectl(ctx, append([]string{"wait", "--for=condition=Established", "--timeout=10s"}, types...)...)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s to be established: %w", strings.Join(types, ", "), errors.Join(err, last))
	}
	return nil
}

func isKustomization(path string) bool {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(path + string(os.PathSeparator) + name); err == nil {
			return true
		}
	}
	return false
}
