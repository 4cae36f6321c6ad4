package main

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	fluxinformers "minicluster.internal/operator/pkg/generated/informers/externalversions"
)

// floorCommand makes this program an operator without logic.
const floorCommand = "floor"

// floorTask is a MiniCluster that was created or resized.
type floorTask struct {
	mc    *v1alpha2.MiniCluster
	isNew bool
}

// runFloor is an operator without logic: it has the informers of the operator, and for each MiniCluster that is created
// or resized, it makes the writes of the raw client. An operator cannot cost less.
func runFloor(ctx context.Context, args []string) error {
	c, workers, err := parseRawClient(args)
	if err != nil {
		return err
	}
	return c.follow(ctx, workers)
}

// follow writes for the MiniClusters that informers show, until the context ends.
func (c *rawClient) follow(ctx context.Context, workers int) error {
	tasks := make(chan floorTask, 1<<16)
	if err := c.watch(ctx, tasks); err != nil {
		return err
	}
	failed := make(chan error, workers)
	for range workers {
		go func() {
			for task := range tasks {
				if err := c.write(ctx, task.mc, task.mc.RequestedSize(), task.isNew); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// watch starts the informers, which send the tasks.
func (c *rawClient) watch(ctx context.Context, tasks chan<- floorTask) error {
	flux := fluxinformers.NewSharedInformerFactoryWithOptions(c.flux, 0, fluxinformers.WithTransform(withoutManagedFields))
	_, err := flux.FluxFramework().V1alpha2().MiniClusters().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { send(tasks, o, true) },
		UpdateFunc: func(before, after any) {
			if generationOf(before) != generationOf(after) {
				send(tasks, after, false)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching MiniClusters: %w", err)
	}
	owned := informersOf(c.kube, v1alpha2.LabelController+"="+v1alpha2.ManagedBy)
	owned.Batch().V1().Jobs().Informer()
	owned.Core().V1().ConfigMaps().Informer()
	owned.Core().V1().Services().Informer()
	owned.Core().V1().Pods().Informer()
	leads := informersOf(c.kube, v1alpha2.LabelHPASelector+","+batchv1.JobCompletionIndexAnnotation+"=0")
	leads.Core().V1().Pods().Informer()
	namespaces := informersOf(c.kube, "")
	namespaces.Core().V1().Namespaces().Informer()
	for _, factory := range []informers.SharedInformerFactory{owned, leads, namespaces} {
		factory.StartWithContext(ctx)
	}
	flux.StartWithContext(ctx)
	return nil
}

func informersOf(kube kubernetes.Interface, selector string) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithTransform(withoutManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = selector }))
}

func withoutManagedFields(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

func send(tasks chan<- floorTask, o any, isNew bool) {
	if mc, ok := o.(*v1alpha2.MiniCluster); ok && mc.DeletionTimestamp == nil {
		tasks <- floorTask{mc: mc.DeepCopy(), isNew: isNew}
	}
}

func generationOf(o any) int64 {
	if object, err := meta.Accessor(o); err == nil {
		return object.GetGeneration()
	}
	return 0
}
