// Package karpenter starts the real Karpenter for tests, against the local Kubernetes of package cluster. Its cloud is
// the one that Karpenter has for its own tests (kwok): a node that it buys is an object that kwok simulates. The
// decisions are those of production: what is bought, when a node is empty, what is evicted, in which order.
package karpenter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/neighbours/neighbour"
)

// startTimeout is generous: machines that run tests are busy.
const startTimeout = 2 * time.Minute

// Machine is a type of node that can be bought.
type Machine struct {
	Name string
	CPU  int
	// GiB is the memory.
	GiB int
	// Price is per hour.
	Price float64
}

// Machines are two sizes, of which the large one is cheaper by the core.
func Machines() []Machine {
	return []Machine{{"small", 10, 40, 1}, {"large", 48, 192, 4}}
}

// Options configure Karpenter.
type Options struct {
	// Program is the path of the program, Source the folder of its module with the definitions of its kinds.
	Program, Source string
	// Machines can be bought; nil means Machines().
	Machines []Machine
}

// Build builds Karpenter if necessary and returns the options for it. It reports progress to the writer.
func Build(ctx context.Context, log io.Writer) (Options, error) {
	root, err := neighbour.Root()
	if err != nil {
		return Options{}, err
	}
	program := neighbour.Karpenter()
	path, err := program.Ensure(ctx, root, log)
	if err != nil {
		return Options{}, err
	}
	source, err := program.Source(ctx, root)
	return Options{Program: path, Source: source}, err
}

// Karpenter is a running Karpenter.
type Karpenter struct {
	process *process.Process
}

// Start returns when Karpenter is ready. It defines its kinds in the cluster and the class "default" of nodes; tests
// create NodePools with Pool.
func Start(ctx context.Context, kube *cluster.Cluster, o Options) (*Karpenter, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := kube.Apply(ctx, filepath.Join(o.Source, "pkg", "apis", "crds"), filepath.Join(o.Source, "kwok", "apis", "crds")); err != nil {
		return nil, fmt.Errorf("defining Karpenter's kinds: %w", err)
	}
	if o.Machines == nil {
		o.Machines = Machines()
	}
	machines := filepath.Join(kube.Dir(), "machines.json")
	if err := writeMachines(machines, o.Machines); err != nil {
		return nil, err
	}
	kubeconfig, err := kube.KubeconfigFor("karpenter", "system:masters")
	if err != nil {
		return nil, err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = process.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	p, err := process.Start(process.Command{
		Name: "karpenter",
		Path: o.Program,
		// Karpenter listens on all addresses. There is no option for that.
		Args: []string{
			"--instance-types-file-path=" + machines,
			"--metrics-port=" + strconv.Itoa(ports[0]),
			"--health-probe-port=" + strconv.Itoa(ports[1]),
			"--disable-leader-election=true",
		},
		Env: []string{"KUBECONFIG=" + kubeconfig},
		Log: filepath.Join(kube.Dir(), "karpenter.log"),
	})
	if err != nil {
		return nil, err
	}
	k := &Karpenter{process: p}
	if err := p.During(ctx, func(ctx context.Context) error { return waitUntilReady(ctx, ports[1]) }); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return k, nil
}

// Stop stops Karpenter.
func (k *Karpenter) Stop() error { return k.process.Stop() }

func waitUntilReady(ctx context.Context, port int) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/readyz", port)
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
	if err != nil {
		return fmt.Errorf("waiting for Karpenter: %w", err)
	}
	return nil
}

// writeMachines writes the types of machines as Karpenter's simulated cloud reads them.
func writeMachines(path string, machines []Machine) error {
	type requirement struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	}
	type offering struct {
		Price        float64
		Available    bool
		Requirements []requirement
	}
	type machine struct {
		Name             string            `json:"name"`
		Architecture     string            `json:"architecture"`
		OperatingSystems []string          `json:"operatingSystems"`
		Resources        map[string]string `json:"resources"`
		Offerings        []offering        `json:"offerings"`
	}
	var all []machine
	for _, m := range machines {
		all = append(all, machine{
			Name: m.Name, Architecture: "amd64", OperatingSystems: []string{"linux"},
			Resources: map[string]string{
				"cpu": strconv.Itoa(m.CPU), "memory": strconv.Itoa(m.GiB) + "Gi", "ephemeral-storage": "100Gi", "pods": "110",
			},
			Offerings: []offering{{m.Price, true, []requirement{
				{"karpenter.sh/capacity-type", "In", []string{"on-demand"}},
				{"topology.kubernetes.io/zone", "In", []string{"zone-a"}},
			}}},
		})
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the types of machines: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing the types of machines: %w", err)
	}
	return nil
}
