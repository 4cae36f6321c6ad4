package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/pelletier/go-toml/v2"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/hack/ociimage"
	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// pauseImage keeps the namespaces of a pod.
	pauseImage = "minicluster.test/pause:1"
	// ImageNamespace is containerd's namespace for the kubelet.
	ImageNamespace = "k8s.io"

	containerdTimeout = 5 * time.Minute
)

type object = map[string]any

// Socket returns the socket of containerd for a node with the given directory.
func Socket(dir string) string { return filepath.Join(dir, "containerd.sock") }

func (n *Node) socket() string { return Socket(n.dir) }

// startContainerd returns when containerd answers.
func (n *Node) startContainerd(ctx context.Context) error {
	if err := n.writeNetworkConfig(); err != nil {
		return err
	}
	config, err := toml.Marshal(n.containerdConfig())
	if err != nil {
		return fmt.Errorf("encoding containerd's configuration: %w", err)
	}
	if err := os.WriteFile(n.path("containerd.toml"), config, 0o600); err != nil {
		return fmt.Errorf("writing containerd's configuration: %w", err)
	}
	p, err := n.launch("containerd", n.binaries.Containerd, false, "--config="+n.path("containerd.toml"))
	if err != nil {
		return err
	}
	return p.During(ctx, func(ctx context.Context) error {
		var last error
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, containerdTimeout, true, func(ctx context.Context) (bool, error) {
			_, last = n.ctr(ctx, nil, "version")
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("waiting for containerd: %w", errors.Join(err, last))
		}
		return nil
	})
}

// containerdConfig sets the path of the shim, so that an installed one is not used.
func (n *Node) containerdConfig() object {
	return object{
		"version": 4,
		"root":    n.path("containerd"),
		"state":   "/run/containerd",
		"plugins": object{
			"io.containerd.server.v1.grpc":  object{"address": n.socket()},
			"io.containerd.server.v1.ttrpc": object{"address": n.socket() + ".ttrpc"},
			"io.containerd.internal.v1.opt": object{"path": n.path("containerd-opt")},
			"io.containerd.nri.v1.nri":      object{"disable": true},
			"io.containerd.cri.v1.images":   object{"pinned_images": object{"sandbox": pauseImage}},
			"io.containerd.cri.v1.runtime": object{
				// A process may not lower its OOM score below its own, even as root in some environments.
				"restrict_oom_score_adj": true,
				"containerd": object{"runtimes": object{"runc": object{
					"runtime_type": "io.containerd.runc.v2",
					"runtime_path": n.binaries.Shim,
				}}},
				"cni": object{
					"bin_dirs": []string{cniDir()},
					"conf_dir": n.path("cni"),
				},
			},
		},
	}
}

// writeNetworkConfig configures the network of pods: a bridge without external access.
func (n *Node) writeNetworkConfig() error {
	config, err := json.Marshal(object{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []object{
			{
				"type":        "bridge",
				"bridge":      "pods0",
				"isGateway":   true,
				"hairpinMode": true,
				"ipam": object{
					"type":    "host-local",
					"dataDir": n.path("cni-addresses"),
					"ranges":  [][]object{{{"subnet": podCIDR}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	})
	if err != nil {
		return fmt.Errorf("encoding the network's configuration: %w", err)
	}
	if err := os.MkdirAll(n.path("cni"), 0o700); err != nil {
		return fmt.Errorf("creating a directory for the network's configuration: %w", err)
	}
	if err := os.WriteFile(n.path("cni", "10-pods.conflist"), config, 0o600); err != nil {
		return fmt.Errorf("writing the network's configuration: %w", err)
	}
	return nil
}

func (n *Node) importFirstImages(ctx context.Context) error {
	pause := n.path("pause.tar")
	file, err := os.Create(pause)
	if err != nil {
		return fmt.Errorf("building the image of pods: %w", err)
	}
	defer file.Close()
	_, err = ociimage.Write(file, []string{pauseImage}, ociimage.Image{
		Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   v1.ImageConfig{Entrypoint: []string{"/nodeinit", "pause"}},
		Files:    []ociimage.File{ociimage.Program("/nodeinit", n.binaries.Init)},
	})
	if err != nil {
		return fmt.Errorf("building the image of pods: %w", err)
	}
	for _, image := range append([]string{pause}, n.options.Images...) {
		if err := n.Import(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// Import imports the images in an archive into the node, as if it had pulled them. Images with the tag "latest" need
// a pull policy other than Always.
func (n *Node) Import(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("importing an image: %w", err)
	}
	defer file.Close()
	if _, err := n.ctr(ctx, file, "--namespace="+ImageNamespace, "images", "import", "-"); err != nil {
		return fmt.Errorf("importing the images in %s: %w", archive, err)
	}
	return nil
}

func (n *Node) ctr(ctx context.Context, stdin *os.File, args ...string) (string, error) {
	return n.Run(ctx, stdin, n.binaries.Ctr, append([]string{"--address=" + n.socket()}, args...)...)
}

// Run runs a program of this machine in the namespaces of the node and returns its output. The error contains its
// error messages.
func (n *Node) Run(ctx context.Context, stdin *os.File, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("running %s on the node: %w", name, err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if err := process.RunFrom(n.sandbox.enter, cmd); err != nil {
		return stdout.String(), fmt.Errorf("running %s %s on the node: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
