// Command localkube is a Kubernetes control plane in one process: etcd, kube-apiserver, kube-controller-manager and
// kube-scheduler on the loopback interface, without root and ready in seconds. It is for tests and the demo: its data
// does not survive a power failure, and everyone who can read its directory has full access. With --node-address it
// is the control plane of real nodes, which connect to it at that address.
//
// It prints a line on standard output when the API server serves and another one when the cluster is ready, and
// then exists as DIR/ready until it stops. SIGTERM and SIGINT stop it; its data stays, so that it can be
// started again on the same directory (with --port, on the same port).
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	restclient "k8s.io/client-go/rest"

	"minicluster.internal/operator/test/kube/pki"
)

const (
	// Printed when other programs may connect to the API server, and when everything works.
	servingLine = "serving"
	readyLine   = "ready"

	stopPatience = time.Second
)

func main() {
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		err = run(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "localkube:", err)
		os.Exit(1)
	}
}

// run returns nil if the end of the context stopped the control plane.
func run(ctx context.Context, o options) error {
	err := runControlPlane(ctx, o)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func runControlPlane(ctx context.Context, o options) error {
	listener, err := prepare(o)
	if err != nil {
		return err
	}
	// The components create their own clients and use deprecated APIs on purpose.
	restclient.SetDefaultWarningHandler(restclient.NoWarnings{})

	etcd, err := startEtcd(ctx, o.path(etcdDir))
	if err != nil {
		return err
	}
	// Closing etcd in order would wait for clients that the API server keeps while there are watches. Every answered
	// write is already in its log.
	defer etcd.Server.HardStop()
	defer os.Remove(o.path(readyFile))

	// The signal itself does not stop the components; they are stopped one after the other, below.
	background := context.WithoutCancel(ctx)
	failed := make(chan error, 1)
	apiServer := start(background, "kube-apiserver", failed, func(ctx context.Context) error {
		return runAPIServer(ctx, o, listener)
	})
	defer apiServer.stop(stopPatience)

	client, err := newClient(o)
	if err != nil {
		return err
	}
	if err := await(ctx, failed, func(ctx context.Context) error { return waitForAPIServer(ctx, client) }); err != nil {
		return err
	}
	fmt.Println(servingLine)

	manager := start(background, "kube-controller-manager", failed, func(ctx context.Context) error {
		return runControllerManager(ctx, o)
	})
	defer manager.stop(stopPatience)
	scheduler := start(background, "kube-scheduler", failed, func(ctx context.Context) error {
		return runScheduler(ctx, o)
	})
	defer scheduler.stop(stopPatience)
	if err := await(ctx, failed, func(ctx context.Context) error { return waitForControllers(ctx, client) }); err != nil {
		return err
	}
	if err := os.WriteFile(o.path(readyFile), nil, 0o600); err != nil {
		return fmt.Errorf("reporting that the cluster is ready: %w", err)
	}
	fmt.Println(readyLine)

	return await(ctx, failed, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// prepare creates everything that must exist before the first component starts.
func prepare(o options) (net.Listener, error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the state directory: %w", err)
	}
	if err := os.Chdir(o.dir); err != nil {
		return nil, fmt.Errorf("changing to the state directory: %w", err)
	}
	// The ready file of a process that was killed must not be mistaken for that of this one.
	if err := os.Remove(o.path(readyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the old ready file: %w", err)
	}
	addresses := []net.IP{net.ParseIP(loopback), net.ParseIP(serviceIP)}
	if ip := o.nodeIP(); ip != nil {
		addresses = append(addresses, ip)
	}
	if err := pki.Ensure(o.path(pkiDir), addresses...); err != nil {
		return nil, err
	}
	if o.audit {
		if err := writeAuditPolicy(o); err != nil {
			return nil, err
		}
	}
	listener, err := openListener(o)
	if err != nil {
		return nil, err
	}
	if err := writeKubeconfigs(o, "https://"+listener.Addr().String()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// await waits for the requested components, unless a component fails first or the process is stopped.
func await(ctx context.Context, failed <-chan error, condition func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	met := make(chan error, 1)
	go func() { met <- condition(inner) }()
	select {
	case err := <-failed:
		return err
	case err := <-met:
		return err
	}
}
