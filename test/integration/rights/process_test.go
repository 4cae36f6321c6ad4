package rights_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"minicluster.internal/operator/pkg/controller/app"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/programs"
)

// process is a controller.
type process struct {
	stop context.CancelFunc
	done chan error
	log  *lockedBuffer
}

// startController starts a controller that works as a user, in some namespaces or in all.
func startController(t *testing.T, kube *cluster.Cluster, leases, name string, groups []string, namespaces ...string) *process {
	t.Helper()
	return startControllerIn(t, kube, types.NamespacedName{}, leases, name, groups, namespaces...)
}

// startControllerIn is startController for a controller whose own pod is known.
func startControllerIn(t *testing.T, kube *cluster.Cluster, pod types.NamespacedName, leases, name string, groups []string, namespaces ...string) *process {
	t.Helper()
	return startControllerWith(t, kube, func(o *app.Options) { o.Pod = pod }, leases, name, groups, namespaces...)
}

// startControllerWith is startController with a change of the options.
func startControllerWith(t *testing.T, kube *cluster.Cluster, change func(*app.Options), leases, name string, groups []string, namespaces ...string) *process {
	t.Helper()
	config, err := kube.ConfigFor(name, groups...)
	require.NoError(t, err)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return listing{next} })
	o := programs.ControllerOptions(change)
	o.Namespaces = namespaces
	o.LeaderElection.ResourceNamespace = leases
	o.LeaderElection.RetryPeriod = metav1.Duration{Duration: 300 * time.Millisecond}
	return run(t, o, config)
}

func run(t *testing.T, o *app.Options, config *rest.Config) *process {
	t.Helper()
	p := &process{done: make(chan error, 1), log: &lockedBuffer{}}
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(p.log)))
	// Not the context of the test, which ends before the functions of Cleanup run.
	ctx, stop := context.WithCancel(klog.NewContext(context.Background(), logger))
	p.stop = stop
	go func() { p.done <- app.RunWith(ctx, o, config) }()
	t.Cleanup(func() {
		p.halt()
		if t.Failed() {
			t.Logf("the log of the controller:\n%s", p.log)
		}
	})
	return p
}

// halt stops the controller and waits for its end.
func (p *process) halt() {
	p.stop()
	if p.done != nil {
		<-p.done //nolint:errcheck // a controller that lost its lease ends with an error
		p.done = nil
	}
}

// listing answers like API servers before 1.32, which cannot stream a list, so that the client lists. With streaming,
// it would not need the right to list.
type listing struct{ next http.RoundTripper }

func (l listing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("sendInitialEvents") != "true" {
		return l.next.RoundTrip(r)
	}
	const answer = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,` +
		`"message":"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"}`
	return &http.Response{
		Status: "422 Unprocessable Entity", StatusCode: http.StatusUnprocessableEntity, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

// lockedBuffer stores a log that is read while it is written.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
