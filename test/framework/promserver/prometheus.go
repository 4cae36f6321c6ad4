// Package promserver starts the installed Prometheus for tests:
//
//	server := promserver.Start(t, promserver.Options{Config: promserver.Static(time.Second, "127.0.0.1:8080")})
//	server.Eventually(t, `up{job="test"}`, 1)
//
// It knows nothing of the project's metrics; package shippedqueries does.
package promserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"minicluster.internal/operator/test/framework/cluster/process"
)

const (
	// startTimeout is generous: machines that run tests are busy.
	startTimeout = 3 * time.Minute
	pollInterval = 20 * time.Millisecond
)

// Options configure a server.
type Options struct {
	// Config is the text of the configuration (prometheus.yml). Relative paths in it are below Dir.
	Config string
	// Dir is an existing directory for the configuration, the data and the log; empty selects a directory of the test.
	Dir string
	// Enter runs the server elsewhere, such as in the network of a real node, where pods can be reached (see
	// process.Command). nil runs it here.
	Enter func() error
}

// Server is a running Prometheus, on its own port of the loopback interface.
type Server struct {
	// API is the client of the server. Its methods may be called concurrently.
	API promv1.API
	// Address is its host and port. A server that was started elsewhere can only be reached there, or through Transport.
	Address string
	// Transport reaches the server from here.
	Transport http.RoundTripper

	process *process.Process
}

// Start returns when the server answers queries. It is stopped when the test ends. Without Prometheus, the test is
// skipped, see Need.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	path := Need(t)
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	s, err := start(ctx, path, options)
	if err != nil {
		t.Fatalf("starting a Prometheus: %v", err)
	}
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Errorf("stopping the Prometheus: %v", err)
		}
	})
	return s
}

func start(ctx context.Context, path string, o Options) (*Server, error) {
	config := filepath.Join(o.Dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		return nil, fmt.Errorf("writing its configuration: %w", err)
	}
	log := filepath.Join(o.Dir, "prometheus.log")
	p, err := process.Start(process.Command{
		Name: "prometheus",
		Path: path,
		Args: []string{
			"--config.file=" + config,
			"--storage.tsdb.path=" + filepath.Join(o.Dir, "data"),
			"--web.listen-address=127.0.0.1:0",
		},
		Log:   log,
		Enter: o.Enter,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{process: p, Transport: transport(o.Enter)}
	if err := p.During(ctx, func(ctx context.Context) error { return s.connect(ctx, log) }); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return s, nil
}

// transport opens connections in the network of the server.
func transport(enter func() error) http.RoundTripper {
	if enter == nil {
		enter = func() error { return nil }
	}
	dialer := &net.Dialer{}
	return &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		err := process.Within(enter, func() error {
			var err error
			conn, err = dialer.DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}}
}

// listening matches the server's log line with its address, which it chooses itself.
var listening = regexp.MustCompile(`msg="Listening on".* address=(\S+)\s`)

// connect waits until the server has logged its address, and is ready.
func (s *Server) connect(ctx context.Context, log string) error {
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if s.Address != "" {
			return s.ready(ctx), nil
		}
		content, err := os.ReadFile(log)
		if err != nil {
			return false, fmt.Errorf("reading its log: %w", err)
		}
		match := listening.FindSubmatch(content)
		if match == nil {
			return false, nil
		}
		s.Address = string(match[1])
		client, err := api.NewClient(api.Config{Address: s.URL(), RoundTripper: s.Transport})
		if err != nil {
			return false, fmt.Errorf("making a client: %w", err)
		}
		s.API = promv1.NewAPI(client)
		return s.ready(ctx), nil
	})
}

func (s *Server) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/-/ready", nil)
	if err != nil {
		return false
	}
	response, err := s.Transport.RoundTrip(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// URL returns the URL of the server, as in --prometheus-url flags.
func (s *Server) URL() string { return "http://" + s.Address }
