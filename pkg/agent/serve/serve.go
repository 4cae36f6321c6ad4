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
	// askTimeout bounds what a request may wait for the broker. The kubelet
	// waits three seconds for an answer.
	askTimeout = 2 * time.Second
	// maxHeaderBytes is enough for a kubelet and a Prometheus.
	maxHeaderBytes = 16 << 10
	// shutdownTimeout bounds the wait for requests under way at the end.
	shutdownTimeout = control.Timeout + time.Second
)

// Options say what to serve.
type Options struct {
	// Addr is where to listen, for example ":9560".
	Addr string
	// Socket is the path or URI of the broker's local socket.
	Socket string
	// User is the user id to connect as, the broker's; -1 for our own.
	User int
	// Ended says how the broker ended last, "" where none has; nil for never.
	Ended func() string
	// Lead: this is the pod of rank 0, which serves metrics, and the controller.
	Lead bool
	// ControlAddr is where a lead listens for the controller; "" for nowhere.
	ControlAddr string
	// Credentials are the certificates to listen there with, as in the Secret of
	// the cluster.
	Credentials map[string][]byte
}

// Run serves until ctx ends. It returns an error when it cannot serve health and
// metrics. That it cannot serve the controller is only logged: the pod works without.
func Run(ctx context.Context, o Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("serve health and metrics: %w", err)
	}
	var forController net.Listener
	if o.Lead && o.ControlAddr != "" {
		if forController, err = new(net.ListenConfig).Listen(ctx, "tcp", o.ControlAddr); err != nil {
			notServed(ctx, err)
		}
	}
	return run(ctx, o, listener, forController)
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
				if err := serve(ctx, tls.NewListener(forController, config), controlHandler(broker)); err != nil {
					notServed(ctx, err)
				}
			})
		}
	}
	// What is heard of jobs comes over a connection of its own: a probe does not wait for it.
	metrics := newConn(o.Socket, o.User)
	defer metrics.close()
	return serve(ctx, listener, handler(broker, metrics, o))
}

func notServed(ctx context.Context, err error) {
	klog.FromContext(ctx).Error(err, "The controller cannot drain ranks before they go")
}

// serve serves until ctx ends, and lets requests under way finish.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	// Requests outlive ctx for a moment, but not what they have to wait for.
	requests := context.WithoutCancel(ctx)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: askTimeout,
		ReadTimeout:       askTimeout,
		WriteTimeout:      control.Timeout + askTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		// The output of this process is the application's; those who knock at
		// the wrong door don't belong there.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(requests, shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			klog.FromContext(ctx).V(1).Info("Requests were cut off", "reason", err.Error())
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
	mux.Handle("GET "+plan.PathCause, &joinDiagnosis{broker: broker, ended: o.Ended})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		if err := online(ctx, broker); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	if o.Lead {
		mux.Handle("GET /metrics", newExporter(metrics))
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
