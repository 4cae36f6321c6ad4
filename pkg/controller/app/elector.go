package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

// errLeaseLost ends the process: another controller may already be active.
var errLeaseLost = errors.New("the lease was lost; another controller may have taken over")

// leaseGrace is how long the health check still succeeds after the lease should have been renewed.
const leaseGrace = 20 * time.Second

// namespaceFile is the file with the namespace of the pod that this process runs in.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// elector lets one of several processes work at a time. Without leader election, this process works at once.
type elector struct {
	lock     resourcelock.Interface
	settings Options
	watchdog *leaderelection.HealthzAdaptor
}

func newElector(o *Options, kube kubernetes.Interface, identity string) (*elector, error) {
	e := &elector{settings: *o}
	if !o.LeaderElection.LeaderElect {
		return e, nil
	}
	namespace := o.LeaderElection.ResourceNamespace
	if namespace == "" {
		text, err := os.ReadFile(namespaceFile)
		if err != nil {
			return nil, fmt.Errorf("finding the namespace of the lease (outside a cluster, set --leader-elect-resource-namespace or --leader-elect=false): %w", err)
		}
		namespace = strings.TrimSpace(string(text))
	}
	e.lock = &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: o.LeaderElection.ResourceName},
		Client:     kube.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	e.watchdog = leaderelection.NewLeaderHealthzAdaptor(leaseGrace)
	return e, nil
}

// check fails if this process is the leader but cannot renew its lease.
func (e *elector) check(r *http.Request) error {
	if e.watchdog == nil {
		return nil
	}
	return e.watchdog.Check(r)
}

// lead calls work when this process becomes the leader. When the context ends, it releases the lease after work has
// returned, so that no other process starts earlier. When the lease is lost, it returns an error at once; the lease
// then expires, since work is still running.
func (e *elector) lead(ctx context.Context, work func(context.Context) error) error {
	if e.lock == nil {
		return work(ctx)
	}
	logger := klog.FromContext(ctx)
	var (
		leaseCtx, resign = context.WithCancel(context.WithoutCancel(ctx))
		done             = make(chan error, 1)
		lost             = make(chan struct{})
		started          = make(chan struct{})
	)
	defer resign()
	l := e.settings.LeaderElection
	le, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          e.lock,
		LeaseDuration: l.LeaseDuration.Duration,
		RenewDeadline: l.RenewDeadline.Duration,
		RetryPeriod:   l.RetryPeriod.Duration,
		// With ReleaseOnCancel, client-go would also release the lease after a failed renewal, while work is still running,
		// and only then call OnStoppedLeading.
		ReleaseOnCancel: false,
		WatchDog:        e.watchdog,
		Name:            "minicluster-controller",
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) {
				close(started)
				// The lease may be acquired after the end of the context, and is then released without waiting for work.
				if ctx.Err() != nil {
					done <- nil
					return
				}
				done <- work(ctx)
			},
			OnStoppedLeading: func() { close(lost) },
			OnNewLeader:      func(id string) { logger.Info("Leader", "identity", id) },
		},
	})
	if err != nil {
		return fmt.Errorf("setting up leader election: %w", err)
	}
	go le.Run(leaseCtx)

	var result error
	select {
	case result = <-done:
	case <-lost:
		return errLeaseLost
	case <-ctx.Done():
		select {
		case <-started:
			select {
			case result = <-done:
			case <-lost:
				return errLeaseLost
			}
		default: // never led
		}
	}
	resign()
	<-lost // stops renewing
	if err := e.release(context.WithoutCancel(ctx)); err != nil {
		logger.Error(err, "Failed to release the lease, it expires instead")
	}
	return result
}

// release lets another process lead at once, if this one does.
func (e *elector) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.settings.LeaderElection.RenewDeadline.Duration)
	defer cancel()
	// A concurrent renewal may conflict with this update.
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		record, _, err := e.lock.Get(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil || record.HolderIdentity != e.lock.Identity() {
			return err
		}
		now := metav1.Now()
		return e.lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
	})
}
