package control_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/flux"
)

const host = "flux-sample-0"

func credentials(t *testing.T, host string, now time.Time) map[string][]byte {
	t.Helper()
	data, err := control.NewCredentials(host, now)
	require.NoError(t, err)
	return data
}

// agent listens like an agent, and returns its address.
func agent(t *testing.T, data map[string][]byte, h http.HandlerFunc) (ip string, port int) {
	t.Helper()
	config, err := control.ServerTLS(data)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(h)
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ip, text, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	port, err = strconv.Atoi(text)
	require.NoError(t, err)
	return ip, port
}

func client(t *testing.T, data map[string][]byte, host string) *control.Client {
	t.Helper()
	c, err := control.NewClient(data, host)
	require.NoError(t, err)
	return c
}

func TestResize(t *testing.T) {
	data := credentials(t, host, time.Now())
	want := control.State{
		Leaving: flux.IDRange(2, 3), Busy: flux.IDs(3), Jobs: 1, Returned: flux.IDs(1),
	}
	ip, port := agent(t, data, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "POST /v1/resize", r.Method+" "+r.URL.Path)
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.JSONEq(t, `{"size":2}`, string(body))
		assert.NoError(t, json.NewEncoder(w).Encode(want))
	})
	got, err := client(t, data, host).Resize(t.Context(), ip, port, 2)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestResizeFails(t *testing.T) {
	data := credentials(t, host, time.Now())
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		refused bool
		want    string
	}{
		"refused": {
			func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "there is no broker", http.StatusServiceUnavailable)
			},
			true, "the agent responded with 503: there is no broker",
		},
		"redirected": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://elsewhere/", http.StatusFound)
			},
			true, "the agent responded with 302",
		},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, false, "the response of the agent is malformed"},
		"too long": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20), "{}") },
			false, "the response of the agent is larger than 65536 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ip, port := agent(t, data, test.answer)
			_, err := client(t, data, host).Resize(t.Context(), ip, port, 2)
			require.ErrorContains(t, err, test.want)
			var refused *control.RefusedError
			assert.Equal(t, test.refused, errors.As(err, &refused))
		})
	}
}

func TestResizeEndsWithItsContext(t *testing.T) {
	data := credentials(t, host, time.Now())
	release := make(chan struct{})
	defer close(release)
	ip, port := agent(t, data, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client(t, data, host).Resize(ctx, ip, port, 2)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// Only the controller is accepted, and the controller accepts only the agent.
func TestWhoIsRefused(t *testing.T) {
	now := time.Now()
	ours, others := credentials(t, host, now), credentials(t, host, now)
	replaced := func(data map[string][]byte, change map[string][]byte) map[string][]byte {
		out := maps.Clone(data)
		maps.Copy(out, change)
		return out
	}
	reached := false
	ip, port := agent(t, ours, func(http.ResponseWriter, *http.Request) { reached = true })

	for name, test := range map[string]struct {
		data map[string][]byte
		host string
	}{
		"a client of another cluster": {
			replaced(ours, map[string][]byte{
				control.KeyClientCert: others[control.KeyClientCert], control.KeyClientKey: others[control.KeyClientKey],
			}), host,
		},
		"a pod, with the agent's certificate": {
			replaced(ours, map[string][]byte{
				control.KeyClientCert: ours[control.KeyServerCert], control.KeyClientKey: ours[control.KeyServerKey],
			}), host,
		},
		"the agent of another cluster":  {replaced(ours, map[string][]byte{control.KeyCA: others[control.KeyCA]}), host},
		"the agent of another host":     {ours, "flux-other-0"},
		"the agent by its address only": {ours, ip},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, test.data, test.host).Resize(t.Context(), ip, port, 2)
			assert.ErrorContains(t, err, "tls: ")
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		_, err := insecure.Post("https://"+net.JoinHostPort(ip, strconv.Itoa(port))+control.PathResize, "", nil) //nolint:bodyclose,noctx // no certificate
		assert.ErrorContains(t, err, "tls: certificate required")
	})
	t.Run("no TLS", func(t *testing.T) {
		resp, err := http.Post("http://"+net.JoinHostPort(ip, strconv.Itoa(port))+control.PathResize, "", nil) //nolint:noctx // a test
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, 400, resp.StatusCode)
	})
	t.Run("an expired certificate", func(t *testing.T) {
		old := credentials(t, host, now.Add(-21*365*24*time.Hour))
		ip, port := agent(t, old, func(http.ResponseWriter, *http.Request) { reached = true })
		_, err := client(t, old, host).Resize(t.Context(), ip, port, 2)
		assert.ErrorContains(t, err, "expired")
	})
	assert.False(t, reached)
}

func TestCredentials(t *testing.T) {
	data := credentials(t, host, time.Now())
	assert.Len(t, data, 5, "the key of the authority is not included")
	for name := range data {
		broken := maps.Clone(data)
		broken[name] = []byte("no PEM")
		missing := maps.Clone(data)
		delete(missing, name)
		isServer := strings.HasPrefix(name, "control-server")
		if !isServer {
			_, err := control.NewClient(broken, host)
			assert.ErrorContains(t, err, name)
			_, err = control.NewClient(missing, host)
			assert.ErrorIs(t, err, control.ErrNoCredentials)
		}
		if !strings.HasPrefix(name, "control-client") {
			_, err := control.ServerTLS(broken)
			assert.ErrorContains(t, err, name)
			_, err = control.ServerTLS(missing)
			assert.ErrorIs(t, err, control.ErrNoCredentials)
		}
	}
}

func TestReadServerCredentials(t *testing.T) {
	dir := t.TempDir()
	data := credentials(t, host, time.Now())
	_, err := control.ReadServerCredentials(dir)
	assert.ErrorIs(t, err, control.ErrNoCredentials)
	for name, text := range data {
		if !strings.HasPrefix(name, "control-client") { // the certificates of a pod
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
		}
	}
	got, err := control.ReadServerCredentials(dir)
	require.NoError(t, err)
	_, err = control.ServerTLS(got)
	assert.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, control.KeyCA)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, control.KeyCA), 0o700))
	_, err = control.ReadServerCredentials(dir)
	assert.ErrorContains(t, err, "read the certificates of the control endpoint")
}
