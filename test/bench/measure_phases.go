package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tell sends work to the raw client; operators notice it by themselves.
func (t *turn) tell(mc *unstructured.Unstructured, size int32, isNew bool) error {
	if t.watches() {
		return nil
	}
	e, err := errandOf(mc, size, isNew)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.errands.Encode(e); err != nil {
		return fmt.Errorf("sending work to the raw client: %w", err)
	}
	return nil
}

// create creates all MiniClusters at once.
func (t *turn) create(ctx context.Context) error {
	n := t.options.N
	exist, run := t.world.expect(jobsExist(n)), t.world.expect(podsRun(n*sizeAtFirst))
	made := make([]*unstructured.Unstructured, n)
	make1 := func(ctx context.Context, i int) (err error) {
		made[i], err = t.createMiniCluster(ctx, t.namespace, nameOf(i))
		return err
	}
	if t.who == writesTurn {
		if err := t.all(ctx, n, make1); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := t.all(ctx, n, func(ctx context.Context, i int) error {
		if t.who != writesTurn {
			if err := make1(ctx, i); err != nil {
				return err
			}
		}
		return t.tell(made[i], sizeAtFirst, true)
	}); err != nil {
		return err
	}
	if err := t.took(ctx, "all Jobs exist", begin, exist); err != nil {
		return err
	}
	if err := t.took(ctx, "all pods run", begin, run); err != nil {
		return err
	}
	_, err := t.world.expect(jobsSettled)(ctx)
	return err
}

// resizeAll resizes all MiniClusters at once.
func (t *turn) resizeAll(ctx context.Context) error {
	n := t.options.N
	patched, run := t.world.expect(jobsResized(sizeSecond)), t.world.expect(podsRun(n*sizeSecond))
	changed := make([]*unstructured.Unstructured, n)
	begin := time.Now()
	if err := t.all(ctx, n, func(ctx context.Context, i int) (err error) {
		if changed[i], err = t.resizeMiniCluster(ctx, t.namespace, nameOf(i), sizeSecond); err != nil {
			return err
		}
		return t.tell(changed[i], sizeSecond, false)
	}); err != nil {
		return err
	}
	if err := t.took(ctx, "all Jobs resized, 2 to 3", begin, patched); err != nil {
		return err
	}
	if err := t.took(ctx, "all new pods run", begin, run); err != nil {
		return err
	}
	_, err := t.world.expect(jobsSettled)(ctx)
	return err
}

// resizeOneByOne resizes some MiniClusters, each after the previous one has settled, and alternately Jobs without a
// MiniCluster.
func (t *turn) resizeOneByOne(ctx context.Context) error {
	namespace, err := t.lab.namespace(ctx)
	if err != nil {
		return err
	}
	bare, err := observe(ctx, t.kube, namespace)
	if err != nil {
		return err
	}
	for i := range t.options.Singles {
		job, err := bareJob(namespace, nameOf(i), sizeSecond)
		if err != nil {
			return err
		}
		if _, err := t.kube.BatchV1().Jobs(namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("making a Job: %w", err)
		}
	}
	if _, err := bare.expect(jobsExist(t.options.Singles))(ctx); err != nil {
		return err
	}
	if _, err := bare.expect(jobsSettled)(ctx); err != nil {
		return err
	}
	jobs := rawTurn
	if t.who == floorTurn {
		jobs = floorJobs
	}
	for i := range t.options.Singles {
		name := nameOf(i)
		took, err := timeResize(ctx, t.world, name, func() error {
			_, err := t.resizeMiniCluster(ctx, t.namespace, name, sizeThird)
			return err
		})
		if err != nil {
			return err
		}
		t.results.Latency[t.who] = append(t.results.Latency[t.who], took.Seconds())
		took, err = timeResize(ctx, bare, name, func() error { return resizeJob(ctx, t.kube, namespace, name, sizeThird) })
		if err != nil {
			return err
		}
		t.results.Latency[jobs] = append(t.results.Latency[jobs], took.Seconds())
	}
	if err := t.resizeBack(ctx); err != nil {
		return err
	}
	return t.deleteJobs(ctx, namespace, bare)
}

// resizeBack resizes the MiniClusters to the size that all others have, so that both contenders delete the same number
// of pods.
func (t *turn) resizeBack(ctx context.Context) error {
	if err := t.all(ctx, t.options.Singles, func(ctx context.Context, i int) error {
		_, err := t.resizeMiniCluster(ctx, t.namespace, nameOf(i), sizeSecond)
		return err
	}); err != nil {
		return err
	}
	if _, err := t.world.expect(jobsResized(sizeSecond))(ctx); err != nil {
		return err
	}
	_, err := t.world.expect(jobsSettled)(ctx)
	return err
}

// timeResize measures the time from before a request until a watch shows the Job with its new size, and then waits
// until the Job has settled.
func timeResize(ctx context.Context, w *world, name string, ask func() error) (time.Duration, error) {
	patched, done := w.expect(jobResized(name, sizeThird)), w.expect(jobSettled(name, sizeThird))
	begin := time.Now()
	if err := ask(); err != nil {
		return 0, err
	}
	at, err := patched(ctx)
	if err != nil {
		return 0, err
	}
	_, err = done(ctx)
	return at.Sub(begin), err
}

func (t *turn) idle(ctx context.Context) error { return sleep(ctx, t.options.Idle) }

// delete deletes all MiniClusters at once.
func (t *turn) delete(ctx context.Context) error {
	gone := t.world.expect(nothingLeft)
	begin := time.Now()
	if err := t.all(ctx, t.options.N, func(ctx context.Context, i int) error {
		return t.deleteMiniCluster(ctx, t.namespace, nameOf(i))
	}); err != nil {
		return err
	}
	if err := t.took(ctx, "all deleted, Jobs and pods gone", begin, gone); err != nil {
		return err
	}
	return t.waitUntilGone(ctx)
}

func (t *turn) took(ctx context.Context, what string, begin time.Time, until func(context.Context) (time.Time, error)) error {
	at, err := until(ctx)
	if err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	t.say("  %s: %.2f s", what, at.Sub(begin).Seconds())
	t.results.took(t.who, what, at.Sub(begin))
	return nil
}
