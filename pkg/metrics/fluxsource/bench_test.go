package fluxsource

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// BenchmarkRound asks 1000 agents, each at an address of its own on the loopback
// interface. The agents are a process of their own, so that CPU time and memory are
// those of the collector.
func BenchmarkRound(b *testing.B) {
	const number = 1000
	w := newWorld(b)
	w.options.Concurrency, w.collector.concurrency, w.collector.client = 50, 50, newClient(50)
	address := simulatedAgents(b)
	_, port, err := net.SplitHostPort(address)
	require.NoError(b, err)
	for i := range number {
		name := fmt.Sprintf("c%d", i)
		w.add(b, name, "svc-"+name, nil, func(_ *v1alpha2.MiniCluster, p *corev1.Pod) {
			w.address[p.Name] = fmt.Sprintf("127.1.%d.%d:%s", i/250, i%250+1, port)
		})
	}
	w.collector.round(b.Context())
	_, err = w.get(b, "", "node_up_count", "c999")
	require.NoError(b, err)
	before := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		w.collector.round(b.Context())
	}
	b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(rss(b), "rss-MiB")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func rss(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(b, err)
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// loopbackOnly is a listener on all of 127.0.0.0/8, which takes one on every address,
// that hangs up on who comes from elsewhere.
type loopbackOnly struct{ net.Listener }

func (l loopbackOnly) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if from, ok := conn.RemoteAddr().(*net.TCPAddr); ok && from.IP.IsLoopback() {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// agentsVariable makes the test's program one that simulates agents.
const agentsVariable = "MINICLUSTER_SIMULATED_AGENTS"

func TestMain(m *testing.M) {
	if os.Getenv(agentsVariable) == "" {
		os.Exit(m.Run())
	}
	text, err := os.ReadFile("../../agent/serve/testdata/metrics.txt")
	if err == nil {
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "0.0.0.0:0"); err == nil {
			fmt.Println(listener.Addr())
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin) // ends with the benchmark
				os.Exit(0)
			}()
			err = http.Serve(loopbackOnly{listener}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
