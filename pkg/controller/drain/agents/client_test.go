package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/controller/drain"
	"minicluster.internal/operator/pkg/flux"
)

const host = "flux-sample-0"

var key = types.NamespacedName{Namespace: "default", Name: "flux-sample"}

// lab is a client and the agent that it asks.
type lab struct {
	t      *testing.T
	client *Client
	clock  *testclock.FakeClock
	port   int32

	woken []types.NamespacedName
	tasks []func(context.Context)
}

// newLab serves an agent with the certificates of a cluster, and connects a client to it with the given ones.
func newLab(t *testing.T, handler http.HandlerFunc, server, client map[string][]byte) *lab {
	t.Helper()
	config, err := control.ServerTLS(server)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = nil
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	l := &lab{t: t, clock: testclock.NewFakeClock(time.Unix(1_000_000, 0)), port: int32(s.Listener.Addr().(*net.TCPAddr).Port)}
	l.client = NewClient(ConnectTLS, l.clock,
		func(task func(context.Context)) { l.tasks = append(l.tasks, task) },
		func(key types.NamespacedName) { l.woken = append(l.woken, key) })
	require.NoError(t, l.client.Connect(key, "1", client, host))
	l.client.SetAddress(key, "1", "127.0.0.1")
	return l
}

// run runs the requests in the background.
func (l *lab) run(ctx context.Context) {
	for _, task := range l.tasks {
		task(ctx)
	}
	l.tasks = nil
}

// ask sends a size, and returns the answer.
func (l *lab) ask(ctx context.Context, size int32) *drain.Answer {
	l.t.Helper()
	answer, ask, _ := l.client.TakeResult(key, "1", size)
	require.Nil(l.t, answer)
	require.True(l.t, ask)
	l.client.Ask(key, "1", l.port, size)
	answer, ask, after := l.client.TakeResult(key, "1", size)
	require.True(l.t, answer == nil && !ask && after == 0, "the answer is still to come")
	l.run(ctx)
	answer, _, _ = l.client.TakeResult(key, "1", size)
	require.NotNil(l.t, answer)
	return answer
}

func credentials(t *testing.T) map[string][]byte {
	t.Helper()
	data, err := control.NewCredentials(host, time.Now())
	require.NoError(t, err)
	return data
}

func TestAnswers(t *testing.T) {
	own := credentials(t)
	release := make(chan struct{})
	defer close(release)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		client  map[string][]byte
		timeout time.Duration
		want    control.State
		// err is a part of the error; reached: the agent answered.
		err     string
		reached bool
	}{
		"success": {
			handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"leaving":"2-3","idle":true}`) },
			want:    control.State{Leaving: flux.IDs(2, 3), Idle: true},
		},
		"busy": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"leaving":"2-3","busy":"3","jobs":1,"lastJobs":[{"id":"ƒA","expiration":1000.5}],"fromTheFuture":1}`)
			},
			want: control.State{Leaving: flux.IDs(2, 3), Busy: flux.IDs(3), Jobs: 1, LastJobs: []control.Job{{ID: "ƒA", Expiration: 1000.5}}},
		},
		"refused": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "there is no broker", http.StatusServiceUnavailable)
			},
			err: "the agent responded with 503: there is no broker", reached: true,
		},
		"timeout": {
			handler: func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then does the context end with the connection
				select {
				case <-release:
				case <-r.Context().Done():
				}
			},
			timeout: 2 * time.Second, err: context.DeadlineExceeded.Error(), // enough to connect on a busy machine
		},
		"the agent of another cluster": {
			handler: func(http.ResponseWriter, *http.Request) {}, client: credentials(t), err: "tls: ",
		},
		"malformed": {
			handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"leaving":"two"}`) },
			err:     "the response of the agent is malformed",
		},
		"too large": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"idle":true,"`, strings.Repeat("x", 1<<20), `":1}`)
			},
			err: "the response of the agent is larger than",
		},
		"closed": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					conn.Close()
				}
			},
			err: "request to the agent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.client == nil {
				test.client = own
			}
			l := newLab(t, test.handler, own, test.client)
			ctx := t.Context()
			if test.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.timeout)
				defer cancel()
			}
			answer := l.ask(ctx, 2)
			assert.Equal(t, []types.NamespacedName{key}, l.woken)
			_, ip := l.client.Connection(key, "1")
			if test.err == "" {
				require.NoError(t, answer.Err)
				assert.Equal(t, test.want, answer.State)
				assert.True(t, l.client.Acknowledged(key, 2))
				return
			}
			require.ErrorContains(t, answer.Err, test.err)
			assert.Equal(t, control.State{}, answer.State)
			assert.Equal(t, test.reached, answer.Reached)
			assert.Equal(t, 1, answer.Failures)
			assert.False(t, l.client.Acknowledged(key, 2))
			assert.Equal(t, test.reached, ip != "", "the address of an agent that did not answer is looked up again")
			assert.False(t, control.Unconnected(answer.Err), "there was a connection")
		})
	}
}

// TestUnconnected: connections that nothing answers differ from those that are refused.
func TestUnconnected(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	assert.True(t, control.Unconnected(fmt.Errorf("request to the agent: %w", timeout)))
	assert.False(t, control.Unconnected(&net.OpError{Op: "read", Err: context.DeadlineExceeded}))
	assert.False(t, control.Unconnected(errors.New("no")))

	own := credentials(t)
	l := newLab(t, func(http.ResponseWriter, *http.Request) {}, own, own)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.port = int32(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	answer := l.ask(t.Context(), 2)
	require.ErrorContains(t, answer.Err, "connection refused")
	assert.False(t, control.Unconnected(answer.Err))
}

// TestFailing: failures are counted until the agent answers, and a reset forgets them.
func TestFailing(t *testing.T) {
	own := credentials(t)
	fails := true
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) {
		if fails {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"idle":true}`)
	}, own, own)
	for n := range 3 {
		answer := l.ask(t.Context(), 2)
		assert.Equal(t, n+1, answer.Failures)
		assert.Equal(t, time.Duration(n)*time.Second, answer.Failing)
		l.client.Pause(key, time.Second)
		_, ask, after := l.client.TakeResult(key, "1", 2)
		assert.False(t, ask)
		assert.Equal(t, time.Second, after)
		l.clock.Step(time.Second)
	}
	l.client.Reset(key)
	assert.Equal(t, 1, l.ask(t.Context(), 2).Failures)
	fails = false
	assert.NoError(t, l.ask(t.Context(), 2).Err)
	fails = true
	assert.Equal(t, 1, l.ask(t.Context(), 2).Failures)
	assert.Equal(t, 2, l.client.Fail(key, "1", 2, errors.New("the pod of the lead broker is not running")).Failures)
}

// TestAnotherSize: an answer to a size that is not requested any more is dropped.
func TestAnotherSize(t *testing.T) {
	own := credentials(t)
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"idle":true}`) }, own, own)
	l.client.Ask(key, "1", l.port, 2)
	answer, ask, _ := l.client.TakeResult(key, "1", 3)
	assert.True(t, answer == nil && !ask, "one request at a time")
	l.run(t.Context())
	answer, ask, _ = l.client.TakeResult(key, "1", 3)
	assert.Nil(t, answer)
	assert.True(t, ask)
	assert.False(t, l.client.Acknowledged(key, 3))

	// A MiniCluster of the same name is another one.
	connected, _ := l.client.Connection(key, "2")
	assert.False(t, connected)
	l.client.Forget(key)
	assert.False(t, l.client.Acknowledged(key, 2))
}

func TestConnectWithoutCredentials(t *testing.T) {
	own := credentials(t)
	l := newLab(t, func(http.ResponseWriter, *http.Request) {}, own, own)
	assert.ErrorIs(t, l.client.Connect(key, "2", nil, host), control.ErrNoCredentials)
}

// TestQuorum: a lowered quorum is sent until the agent accepts it, or does not know the request.
func TestQuorum(t *testing.T) {
	own := credentials(t)
	for name, test := range map[string]struct {
		code int
		// retried: after a second, and then after two.
		retried bool
	}{
		"accepted":           {http.StatusOK, false},
		"an earlier release": {http.StatusNotFound, false},
		"not now":            {http.StatusServiceUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, control.PathQuorum, r.URL.Path)
				w.WriteHeader(test.code)
				fmt.Fprint(w, "{}")
			}, own, own)
			quorum, after := l.client.QuorumToSend(key, "1")
			assert.Zero(t, quorum)
			assert.Zero(t, after)
			l.client.QuorumLowered(key, "1", 3)
			for _, want := range []time.Duration{time.Second, 2 * time.Second} {
				quorum, _ = l.client.QuorumToSend(key, "1")
				assert.EqualValues(t, 3, quorum)
				l.client.SendQuorum(key, "1", "127.0.0.1", l.port, quorum)
				quorum, _ = l.client.QuorumToSend(key, "1")
				assert.Zero(t, quorum, "one request at a time")
				l.run(t.Context())
				quorum, after = l.client.QuorumToSend(key, "1")
				assert.Zero(t, quorum)
				if !test.retried {
					assert.Zero(t, after)
					assert.Empty(t, l.woken)
					return
				}
				assert.Equal(t, want, after)
				l.clock.Step(after)
			}
			assert.Len(t, l.woken, 2)
			l.client.QuorumSent(key, "1")
			quorum, after = l.client.QuorumToSend(key, "1")
			assert.Zero(t, quorum)
			assert.Zero(t, after)
		})
	}
}

// TestQuorumLoweredAgain: a quorum that is lowered while another one is sent is sent too.
func TestQuorumLoweredAgain(t *testing.T) {
	own := credentials(t)
	l := newLab(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, own, own)
	l.client.QuorumLowered(key, "1", 3)
	l.client.SendQuorum(key, "1", "127.0.0.1", l.port, 3)
	l.client.QuorumLowered(key, "1", 2)
	l.run(t.Context())
	quorum, _ := l.client.QuorumToSend(key, "1")
	assert.EqualValues(t, 2, quorum)
	assert.Len(t, l.woken, 1)
}
