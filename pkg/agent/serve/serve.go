package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/agentapi/control"
	"minicluster.internal/operator/pkg/agentapi/plan"
)

const (
	// askTimeout limits how long a request may wait for the broker. The kubelet waits three seconds for a response.
	askTimeout = 2 * time.Second
	// maxHeaderBytes is enough for a kubelet and a Prometheus.
	maxHeaderBytes = 16 << 10
	// shutdownTimeout limits the wait for active requests at the end.
	shutdownTimeout = control.Timeout + time.Second
)

// Options configure the server.
type Options struct {
	// Addr is the address to listen on, for example ":9560".
	Addr string
	// Listener replaces Addr if it is not nil: requests that arrive before Run wait.
	Listener net.Listener
	// Socket is the path or URI of the broker's local socket.
	Socket string
	// User is the user ID to connect as, that of the broker; -1 for that of the agent.
	User int
	// Ended describes how the broker ended last, "" if it never did; nil for never.
	Ended func() string
	// Lead: this is the pod of rank 0, which serves metrics and the controller.
	Lead bool
	// ControlAddr is where a lead listens for the controller; "" to not listen.
	ControlAddr string
	// Credentials are the certificates for ControlAddr, as in the Secret of the cluster.
	Credentials map[string][]byte
	// Ranks maps the completion indexes of the cluster's pods to ranks; see [plan.Plan].
	Ranks plan.RankMap
	// ApplicationMetrics is the directory with the metrics of the application; "" for none.
	ApplicationMetrics string
	// LowerQuorum is called with a quorum that the controller lowered; nil for a follower.
	LowerQuorum func(int32)
	// Hibernation is nil for a follower.
	Hibernation Hibernation
}

// Run serves until ctx ends. It returns an error if it cannot serve health and metrics. If it cannot serve the
// controller it only logs that, because the pod works without.
func Run(ctx context.Context, o Options) error {
	listener := o.Listener
	var err error
	if listener == nil {
		if listener, err = Listen(ctx, o.Addr); err != nil {
			return err
		}
	}
	var forController net.Listener
	if o.Lead && o.ControlAddr != "" {
		if forController, err = new(net.ListenConfig).Listen(ctx, "tcp", o.ControlAddr); err != nil {
			notServed(ctx, err)
		}
	}
	return run(ctx, o, listener, forController)
}

// Listen listens for health and metrics.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w", err)
	}
	return listener, nil
}

// run serves on listeners, which it closes; forController may be nil.
func run(ctx context.Context, o Options, listener, forController net.Listener) error {
	broker := newConn(o.Socket, o.User)
	defer broker.close()
	ctx, cancel := context.WithCancel(ctx)
	var servers sync.WaitGroup
	defer servers.Wait()
	defer cancel()
	if forController != nil {
		config, err := control.ServerTLS(o.Credentials)
		if err != nil {
			forController.Close()
			notServed(ctx, err)
		} else {
			servers.Go(func() {
				if err := serve(ctx, tls.NewListener(forController, config), controlHandler(broker, o)); err != nil {
					notServed(ctx, err)
				}
			})
		}
	}
	// The journal of jobs has a separate connection, so that probes do not wait for it.
	metrics := newConn(o.Socket, o.User)
	defer metrics.close()
	return serve(ctx, listener, handler(broker, metrics, o))
}

func notServed(ctx context.Context, err error) {
	klog.FromContext(ctx).Error(err, "Failed to serve the controller, which cannot drain ranks before they are removed")
}

// serve serves until ctx ends, and lets active requests finish.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	// Requests continue for a moment after ctx has ended, with their own timeouts.
	requests := context.WithoutCancel(ctx)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: askTimeout,
		ReadTimeout:       askTimeout,
		WriteTimeout:      control.Timeout + askTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		// The output of this process belongs to the application. Errors of clients are not logged there.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(requests, shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			klog.FromContext(ctx).V(1).Info("Aborted active requests", "reason", err.Error())
		}
	})
	err := server.Serve(listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

func handler(broker, metrics *conn, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+plan.PathCause, &joinDiagnosis{broker: broker, lead: o.Lead, ended: o.Ended})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	ready := &readiness{broker: broker, lead: o.Lead}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		if err := ready.check(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	if o.Lead {
		mux.Handle("GET /metrics", newExporter(metrics, o.ApplicationMetrics))
	} else {
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusNotFound, "the pod of the lead broker, index 0, has the metrics")
		})
	}
	return mux
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}
