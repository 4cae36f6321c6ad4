package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/klog/v2"
)

const (
	// askTimeout bounds what a request may wait for the broker. The kubelet
	// waits three seconds for an answer.
	askTimeout = 2 * time.Second
	// maxHeaderBytes is enough for a kubelet and a Prometheus.
	maxHeaderBytes = 16 << 10
	// shutdownTimeout bounds the wait for requests under way at the end.
	shutdownTimeout = askTimeout + time.Second
)

// Options say what to serve.
type Options struct {
	// Addr is where to listen, for example ":9560".
	Addr string
	// Socket is the path or URI of the broker's local socket.
	Socket string
	// User is the user id to connect as, the broker's; -1 for our own.
	User int
	// Lead: this is the pod of rank 0, which serves metrics.
	Lead bool
}

// Run serves until ctx ends. It returns an error only when it cannot listen.
func Run(ctx context.Context, o Options) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("serve health and metrics: %w", err)
	}
	return serve(ctx, listener, o)
}

func serve(ctx context.Context, listener net.Listener, o Options) error {
	broker := newLink(o.Socket, o.User)
	defer broker.close()
	server := &http.Server{
		Handler:           handler(broker, o.Lead),
		ReadHeaderTimeout: askTimeout,
		ReadTimeout:       askTimeout,
		WriteTimeout:      2 * askTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// The context that ended is not one to wait with.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
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
	return fmt.Errorf("serve health and metrics: %w", err)
}

func handler(broker *link, lead bool) http.Handler {
	mux := http.NewServeMux()
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
	if lead {
		mux.Handle("GET /metrics", newExporter(broker))
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
