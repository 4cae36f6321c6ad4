package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/cmdutil"
	"minicluster.internal/operator/pkg/controller"
	controllermetrics "minicluster.internal/operator/pkg/controller/metrics"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	fluxscheme "minicluster.internal/operator/pkg/generated/clientset/versioned/scheme"
)

// Run runs the process until the context ends or a permanent failure, for example the loss of the lease.
func Run(ctx context.Context, o *Options) error {
	config, err := o.ClientConfig("minicluster-controller")
	if err != nil {
		return err
	}
	return RunWith(ctx, o, config)
}

// RunWith is like Run, with clients of the given configuration.
func RunWith(ctx context.Context, o *Options, config *rest.Config) error {
	config = cmdutil.WithRestoreDetection(ctx, cmdutil.WithConnectRetry(ctx, config))
	kube, err := kubernetes.NewForConfig(cmdutil.UseProtobuf(config))
	if err != nil {
		return fmt.Errorf("making the Kubernetes client: %w", err)
	}
	flux, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the MiniCluster client: %w", err)
	}
	registry := metrics.NewKubeRegistry()

	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: kube.EventsV1()})
	defer broadcaster.Shutdown()
	eventCtx, stopEvents := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEvents()
	if err := broadcaster.StartRecordingToSinkWithContext(eventCtx); err != nil {
		return fmt.Errorf("starting to send events: %w", err)
	}

	watched := controller.NewInformers(kube, flux, o.Namespaces...)
	registry.RawMustRegister(controllermetrics.NewClusterCollector(func() []*v1alpha2.MiniCluster { return controller.MiniClusters(watched) }))
	var nodes *controller.NodeInformer
	if o.WatchNodes {
		nodes = controller.NewNodeInformer(kube)
	}
	c, err := controller.New(controller.Options{
		Kube:              kube,
		Flux:              flux,
		Informers:         watched,
		Nodes:             nodes,
		DeletionTaints:    o.NodeDeletionTaints,
		IdleEvictionDelay: o.IdleEvictionDelay,
		Events:            broadcaster.NewRecorder(fluxscheme.Scheme, "minicluster-controller"),
		Metrics:           controllermetrics.NewMetrics(registry),
		Environment:       o.environment(),
		Pod:               o.Pod,
		PodDiagnosisDelay: o.PodDiagnosisDelay,

		AgentUnreachableTimeout: o.AgentUnreachableTimeout,
		Connect:                 o.Connect,
	})
	if err != nil {
		return fmt.Errorf("making the controller: %w", err)
	}

	elector, err := newElector(o, kube, identity())
	if err != nil {
		return err
	}
	return serve(ctx, o, c, allInformers(watched, nodes), elector, registry)
}

// starter is a group of informers.
type starter interface {
	Start(ctx context.Context)
	Shutdown()
}

// allInformers returns the informers of all namespaces, and those of nodes if there are any.
func allInformers(watched []controller.Informers, nodes *controller.NodeInformer) []starter {
	var all []starter
	for _, i := range watched {
		all = append(all, i)
	}
	if nodes != nil {
		all = append(all, nodes)
	}
	return all
}

// serve runs the controller, its informers and its HTTP servers until the context ends or
// one of them fails.
func serve(ctx context.Context, o *Options, c *controller.Controller, watched []starter, elector *elector, registry metrics.KubeRegistry) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return cmdutil.Serve(ctx, "health", o.HealthAddress, healthHandler(elector.check, c.Synced))
	})
	group.Go(func() error { return cmdutil.Serve(ctx, "metrics", o.MetricsAddress, metricsHandler(registry)) })
	group.Go(func() error {
		// A standby also fills its caches, so that it can take over at once.
		for _, i := range watched {
			i.Start(ctx)
			defer i.Shutdown()
		}
		<-ctx.Done()
		return nil
	})
	group.Go(func() error {
		err := elector.lead(ctx, func(ctx context.Context) error { return c.Run(ctx, o.Workers) })
		if err == nil {
			err = errDone
		}
		return err
	})
	if err := group.Wait(); err != nil && !errors.Is(err, errDone) {
		return err
	}
	klog.FromContext(ctx).Info("Stopped")
	return nil
}

// errDone ends the group when work has stopped without an error.
var errDone = errors.New("done")

// identity identifies this process in the lease.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "_" + string(uuid.NewUUID())
}
