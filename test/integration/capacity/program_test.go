package capacity_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/metrics/capacity"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/process"
	"minicluster.internal/operator/test/framework/user"
)

// program is the metrics API server as a separate process, to measure its cost.
type program struct {
	*process.Process
	metrics string
}

// startProgram starts the program in the flag in addition to the one in this process; it returns nil without the
// flag.
func startProgram(t *testing.T, kube *cluster.Cluster) *program {
	t.Helper()
	if *binary == "" {
		return nil
	}
	kubeconfig, err := kube.KubeconfigFor(user.Metrics, user.SystemGroups...)
	require.NoError(t, err)
	api, err := process.FreePort(t.Context())
	require.NoError(t, err)
	metrics, err := process.FreePort(t.Context())
	require.NoError(t, err)
	p, err := process.Start(process.Command{
		Name: "minicluster-metrics", Path: *binary, Log: filepath.Join(t.TempDir(), "log"), Args: []string{
			"--kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", api), fmt.Sprintf("--service-port=%d", api),
			fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", metrics),
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Stop()) })
	return &program{Process: p, metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics)}
}

// requests returns the requests of pods according to the program, and the time of the query.
func (p *program) requests(ctx context.Context) (capacity.Resources, time.Duration, error) {
	var sum capacity.Resources
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, nil)
	if err != nil {
		return sum, 0, err
	}
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return sum, 0, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	took := time.Since(began)
	if err != nil {
		return sum, took, err
	}
	for name, n := range map[string]*int64{"cpu_requests_total": &sum.CPU, "mem_requests_total": &sum.Memory, "pod_requests_total": &sum.Pods} {
		family := families[name]
		if family == nil {
			return sum, took, fmt.Errorf("there is no metric %s", name)
		}
		*n = int64(math.Round(family.GetMetric()[0].GetGauge().GetValue()))
	}
	sum.Memory <<= 10
	return sum, took, nil
}

// exact waits until the program's numbers equal those of a recount, and logs its cost.
func (p *program) exact(t *testing.T, requests capacity.Resources) {
	t.Helper()
	user.Eventually(t, patience, "the program's numbers", func(ctx context.Context) (string, error) {
		counted, took, err := p.requests(ctx)
		if err != nil || !equal(requests, counted) {
			return fmt.Sprintf("pods hold %+v, counted are %+v", requests, counted), err
		}
		t.Logf("the program's numbers are exact; a scrape takes %s", took.Round(100*time.Microsecond))
		return "", nil
	})
}

// usage returns the resource usage of the program so far.
func (p *program) usage(t *testing.T) process.Usage {
	t.Helper()
	u, err := process.UsageOf(p.PID())
	require.NoError(t, err)
	return u
}
