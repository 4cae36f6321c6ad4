package page_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"minicluster.internal/operator/pkg/metrics/app"
	"minicluster.internal/operator/test/framework/cluster/process"
)

var (
	cost     = flag.Int("cost", 0, "measure the cost of the page with this number of MiniClusters, on 100 nodes; takes minutes")
	measured = flag.String("measured", "", "used by the test itself: run as the program, with this kubeconfig")
	agent    = flag.String("measured-agent", "", "address of all agents")
	withPage = flag.Bool("measured-page", true, "whether there is a page")
	// The APIServices refer to the program that the tests share, and do not change.
	servicePort = flag.Int("measured-service-port", 0, "port of the Service in the APIServices")
)

// beMeasured is the program in a separate process, with the agents of the test.
func beMeasured() {
	o := app.NewOptions()
	o.Kubeconfig, o.Page, o.MetricsAddress = *measured, *withPage, ""
	o.Address = func(*corev1.Pod) (string, error) { return *agent, nil }
	o.ServicePort = int32(*servicePort) //nolint:gosec // a port
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		o.Listener, o.BindAddress = listener, "127.0.0.1"
		fmt.Println(listener.Addr())
		err = app.Run(context.Background(), o)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestCost measures memory and CPU time of the program with and without the page.
func TestCost(t *testing.T) {
	if *cost == 0 {
		t.Skip("it takes minutes: ask for it with -args -cost=100")
	}
	f := newFixture(t)
	require.NoError(t, f.Cluster.AddNodes(t.Context(), 94))
	for i := range *cost {
		f.Create(fmt.Sprintf("mc-%d", i), 2)
	}
	for i := range *cost {
		f.settled(fmt.Sprintf("mc-%d", i), 2)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := time.Now().Unix() / 5 % 9 // another number in each round
		fmt.Fprintf(w, "flux_up 1\nflux_nodes_demanded %d\nflux_jobs{state=\"run\"} %d\nflux_jobs{state=\"sched\"} 0\n", n, n)
	}))
	t.Cleanup(server.Close)
	kubeconfig := running.Kubeconfig
	viewer := f.token("viewer", f.everywhere("view"))

	for _, readers := range []int{-1, 0, 10} { // -1 is without the page
		f.measure(fmt.Sprintf("%d readers", readers), kubeconfig, strings.TrimPrefix(server.URL, "http://"), viewer, readers)
	}
}

func (f *fixture) measure(name, kubeconfig, agents, token string, readers int) {
	f.Helper()
	self, err := os.Executable()
	require.NoError(f, err)
	log := filepath.Join(f.TempDir(), "log")
	output := filepath.Join(f.TempDir(), "out")
	p, err := process.Start(process.Command{
		Name: "minicluster-metrics", Path: "/bin/sh", Log: log,
		Args: []string{
			"-c", `exec "$0" "$@" >` + output, self, "-measured=" + kubeconfig, "-measured-agent=" + agents,
			fmt.Sprintf("-measured-page=%t", readers >= 0), fmt.Sprintf("-measured-service-port=%d", running.ServicePort),
		},
	})
	require.NoError(f, err)
	defer func() { _ = p.Stop() }()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var address string
	f.Eventually("an address", func(context.Context) (string, error) {
		out, err := os.ReadFile(output)
		address = string(bytes.TrimSpace(out))
		if err == nil && address == "" {
			return "none yet", nil
		}
		return "", err
	})
	way := &rest.Config{Host: "https://" + address, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	if readers >= 0 {
		f.page(way, token, root+"miniclusters", fmt.Sprintf("of %d.", *cost), `data-metric="size_demanded">`)
	}
	var updates, size, first atomic.Int64
	for range readers {
		go func() {
			for ctx.Err() == nil {
				// A stream ends after a minute.
				_, all, err := f.get(ctx, way, token, root+"miniclusters?watch=true")
				if err != nil {
					continue
				}
				events := strings.SplitAfter(all, "\n\n")
				if len(events) > 2 { // the first one has the retry interval, the next one has all parts
					first.Store(int64(len(events[1])))
					updates.Add(int64(len(events) - 3)) // nothing follows the last one
					size.Add(int64(len(all) - len(events[0]) - len(events[1])))
				}
			}
		}()
	}
	rest := time.NewTimer(20 * time.Second)
	<-rest.C
	cpu := cpuTime(f, p.PID())
	const over = 60 * time.Second
	rest.Reset(over)
	<-rest.C
	used := cpuTime(f, p.PID()) - cpu
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	require.NoError(f, err)
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	rss, _, _ = strings.Cut(strings.TrimSpace(rss), "\n")
	if n := updates.Load(); n > 0 {
		f.Logf("%s: the changing parts have %d KiB, an update %.1f KiB on average of %d", name, first.Load()>>10, float64(size.Load())/float64(n)/1024, n)
	}
	f.Logf("%s: RSS %s, CPU %s in %s (%.2f%% of a core)", name, rss, used, over, 100*used.Seconds()/over.Seconds())
}

// cpuTime returns the CPU time of a process; /proc counts in hundredths of a second.
func cpuTime(t *fixture, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	var ticks int
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
