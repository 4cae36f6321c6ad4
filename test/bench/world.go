package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// world is the state of a namespace over time, as a watch shows it.
type world struct {
	mu      sync.Mutex
	jobs    map[string]*batchv1.Job
	running map[string]struct{}
	pods    map[string]struct{}
	waiters map[*waiter]struct{}
}

// waiter waits for a state of the world.
type waiter struct {
	pleased func(*world) bool
	when    chan time.Time
}

// observe watches a namespace until the context ends.
func observe(ctx context.Context, kube kubernetes.Interface, namespace string) (*world, error) {
	w := &world{
		jobs: map[string]*batchv1.Job{}, running: map[string]struct{}{}, pods: map[string]struct{}{},
		waiters: map[*waiter]struct{}{},
	}
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace))
	for _, informer := range []cache.SharedIndexInformer{factory.Batch().V1().Jobs().Informer(), factory.Core().V1().Pods().Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { w.see(o, false) },
			UpdateFunc: func(_, o any) { w.see(o, false) },
			DeleteFunc: func(o any) { w.see(o, true) },
		})
		if err != nil {
			return nil, fmt.Errorf("watching namespace %s: %w", namespace, err)
		}
	}
	factory.StartWithContext(ctx)
	if result := factory.WaitForCacheSyncWithContext(ctx); result.Err != nil {
		return nil, fmt.Errorf("watching namespace %s: %w", namespace, result.Err)
	}
	return w, nil
}

func (w *world) see(o any, gone bool) {
	now := time.Now()
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch o := o.(type) {
	case *batchv1.Job:
		if w.jobs[o.Name] = o; gone {
			delete(w.jobs, o.Name)
		}
	case *corev1.Pod:
		delete(w.running, o.Name)
		if gone {
			delete(w.pods, o.Name)
			break
		}
		w.pods[o.Name] = struct{}{}
		if o.Status.Phase == corev1.PodRunning && o.DeletionTimestamp == nil {
			w.running[o.Name] = struct{}{}
		}
	}
	for waiter := range w.waiters {
		if waiter.pleased(w) {
			waiter.when <- now
			delete(w.waiters, waiter)
		}
	}
}

// is reports whether the world is as wanted.
func (w *world) is(pleased func(*world) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return pleased(w)
}

// patience is the timeout of each wait.
const patience = 40 * time.Minute

// expect starts to wait; the function that it returns returns the time at which the state was reached. Call it before
// the action that has the effect.
func (w *world) expect(pleased func(*world) bool) func(context.Context) (time.Time, error) {
	mine := &waiter{pleased: pleased, when: make(chan time.Time, 1)}
	w.mu.Lock()
	if pleased(w) {
		mine.when <- time.Now()
	} else {
		w.waiters[mine] = struct{}{}
	}
	w.mu.Unlock()
	return func(ctx context.Context) (time.Time, error) {
		timeout := time.NewTimer(patience)
		defer timeout.Stop()
		select {
		case at := <-mine.when:
			return at, nil
		case <-timeout.C:
			return time.Time{}, fmt.Errorf("still waiting after %s: %s", patience, w)
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// String describes the world.
func (w *world) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d Jobs, %d pods, %d of them running", len(w.jobs), len(w.pods), len(w.running))
}

func jobsExist(n int) func(*world) bool {
	return func(w *world) bool { return len(w.jobs) >= n }
}

func podsRun(n int) func(*world) bool {
	return func(w *world) bool { return len(w.running) >= n }
}

func nothingLeft(w *world) bool { return len(w.jobs) == 0 && len(w.pods) == 0 }

// jobsResized reports whether all Jobs have a new size.
func jobsResized(size int32) func(*world) bool {
	return func(w *world) bool {
		for _, job := range w.jobs {
			if !resized(job, size) {
				return false
			}
		}
		return true
	}
}

func jobResized(name string, size int32) func(*world) bool {
	return func(w *world) bool { return resized(w.jobs[name], size) }
}

// jobsSettled reports whether all Jobs have as many ready pods as they should.
func jobsSettled(w *world) bool {
	for _, job := range w.jobs {
		if !settled(job) {
			return false
		}
	}
	return true
}

func jobSettled(name string, size int32) func(*world) bool {
	return func(w *world) bool { return resized(w.jobs[name], size) && settled(w.jobs[name]) }
}

func resized(job *batchv1.Job, size int32) bool {
	return job != nil && job.Spec.Parallelism != nil && *job.Spec.Parallelism == size
}

func settled(job *batchv1.Job) bool {
	s := job.Status
	return s.Ready != nil && job.Spec.Parallelism != nil && *s.Ready == *job.Spec.Parallelism && s.Active == *s.Ready &&
		(s.Terminating == nil || *s.Terminating == 0)
}
