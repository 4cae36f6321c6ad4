package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// foreignSize is the size of the data of a foreign ConfigMap.
const foreignSize = 1_000_000

// Names of the namespace of foreign ConfigMaps and of the large MiniCluster.
const (
	foreignNamespace = "default"
	largeName        = "large"
)

// createSized creates a MiniCluster of a size.
func (s *scaleLab) createSized(ctx context.Context, namespace, name string, size, maximum int32) (*unstructured.Unstructured, error) {
	spec := specOf(size)
	spec["maxSize"] = int64(maximum)
	mc, err := s.users.Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha2.GroupName + "/" + s.lab.options.Version, "kind": "MiniCluster",
		"metadata": map[string]any{"name": name}, "spec": spec,
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("making MiniCluster %s: %w", name, err)
	}
	return mc, nil
}

// startBesideForeign waits for the operator, and creates ConfigMaps of another owner.
func (s *scaleLab) startBesideForeign(ctx context.Context) error {
	namespace, world, stop, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	defer stop()
	run := world.expect(podsRun(1))
	if _, err := s.createSized(ctx, namespace, "first", 1, 1); err != nil {
		return err
	}
	if _, err := run(ctx); err != nil {
		return err
	}
	_, s.results.RSSBeforeForeign, _ = s.sampler.end()
	if err := s.createForeign(ctx); err != nil {
		return err
	}
	return sleep(ctx, 2*time.Second)
}

// createForeign creates ConfigMaps of another owner.
func (s *scaleLab) createForeign(ctx context.Context) error {
	data := strings.Repeat("x", foreignSize)
	err := s.all(ctx, s.options.Foreign, func(ctx context.Context, i int) error {
		_, err := s.kube.CoreV1().ConfigMaps(foreignNamespace).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("foreign-%d", i), Labels: map[string]string{v1alpha2.LabelManagedBy: v1alpha2.ManagedBy}},
			Data:       map[string]string{"data": data},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("making foreign ConfigMaps: %w", err)
	}
	return nil
}

// createBesideResizes lets one tenant create MiniClusters, while another one resizes its own,
// and a Job that belongs to none.
func (s *scaleLab) createBesideResizes(ctx context.Context) error {
	t, stop, err := s.besideTenants(ctx, func(quiet string) error {
		_, err := s.createSized(ctx, quiet, "resized", sizeAtFirst, sizeThird)
		return err
	})
	if err != nil {
		return err
	}
	defer stop()
	r, err := s.createBeside(ctx, t, s.createSmall(t.busy), func(ctx context.Context, size int32) error {
		return s.setSize(ctx, t.quiet, "resized", size)
	})
	if err != nil {
		return err
	}
	s.results.Create, s.results.Run = r.create, r.run
	s.results.Resizes, s.results.RawResizes, s.results.ResizesUnderLoad = r.resizes, r.patches, r.underLoad
	return s.ready(ctx, t.busy, s.options.N)
}

// createBareJob creates a Job that belongs to no MiniCluster.
func (s *scaleLab) createBareJob(ctx context.Context, namespace, name string) error {
	job, err := bareJob(namespace, name, sizeAtFirst)
	if err != nil {
		return err
	}
	if _, err := s.kube.BatchV1().Jobs(namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making a Job: %w", err)
	}
	return nil
}

// createSmall returns a function that makes a MiniCluster of size 1 by its number.
func (s *scaleLab) createSmall(namespace string) func(context.Context, int) error {
	return func(ctx context.Context, i int) error {
		_, err := s.createSized(ctx, namespace, nameOf(i), 1, 1)
		return err
	}
}

// createTwice lets two tenants create half of the MiniClusters each, at once.
func (s *scaleLab) createTwice(ctx context.Context) error {
	half := s.options.N / 2
	errs := make(chan error, 2)
	var mu sync.Mutex
	var creates []func()
	for range 2 {
		namespace, world, stop, err := s.tenant(ctx)
		if err != nil {
			return err
		}
		defer stop()
		creates = append(creates, func() {
			run := world.expect(podsRun(half))
			took, err := timeUntil(ctx, world, jobsExist(half), func() error { return s.all(ctx, half, s.createSmall(namespace)) })
			mu.Lock()
			s.results.Tenants = append(s.results.Tenants, took)
			mu.Unlock()
			if err == nil {
				_, err = run(ctx)
			}
			if err == nil {
				err = s.ready(ctx, namespace, half)
			}
			errs <- err
		})
	}
	for _, create := range creates {
		go create()
	}
	for range creates {
		if err := <-errs; err != nil {
			return err
		}
	}
	return s.quiet(ctx) // the numbers of the last pods belong to this phase
}

// growLarge creates a MiniCluster of size 1 and grows it.
func (s *scaleLab) growLarge(ctx context.Context) error {
	namespace, world, stop, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	defer stop()
	s.results.large = namespace
	run := world.expect(podsRun(1))
	if _, err := s.createSized(ctx, namespace, largeName, 1, int32(s.options.Large)); err != nil {
		return err
	}
	if _, err := run(ctx); err != nil {
		return err
	}
	all := world.expect(jobSettled(largeName, int32(s.options.Large)))
	if err := s.setSize(ctx, namespace, largeName, int32(s.options.Large)); err != nil {
		return err
	}
	if _, err := all(ctx); err != nil {
		return err
	}
	if err := s.ready(ctx, namespace, 1); err != nil {
		return err
	}
	return s.measureObjects(ctx, namespace)
}

// shrinkLarge shrinks the large MiniCluster to its lead.
func (s *scaleLab) shrinkLarge(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	world, err := observe(ctx, s.kube, s.results.large)
	if err != nil {
		return err
	}
	all := world.expect(jobSettled(largeName, 1))
	if err := s.setSize(ctx, s.results.large, largeName, 1); err != nil {
		return err
	}
	if _, err := all(ctx); err != nil {
		return err
	}
	return s.ready(ctx, s.results.large, 1)
}

// measureObjects measures the objects of the large MiniCluster, as they are stored.
func (s *scaleLab) measureObjects(ctx context.Context, namespace string) error {
	mc, err := s.users.Namespace(namespace).Get(ctx, largeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("getting the large MiniCluster: %w", err)
	}
	text, err := json.Marshal(mc)
	if err != nil {
		return fmt.Errorf("encoding the large MiniCluster: %w", err)
	}
	s.results.Objects["MiniCluster"] = len(text)
	jobs, err := s.kube.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the Job: %w", err)
	}
	for i := range jobs.Items {
		s.results.Objects["Job"] = jobs.Items[i].Size()
	}
	configMaps, err := s.kube.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha2.LabelManagedBy + "=" + v1alpha2.ManagedBy})
	if err != nil {
		return fmt.Errorf("listing the ConfigMap: %w", err)
	}
	for i := range configMaps.Items {
		s.results.Objects["ConfigMap"] = configMaps.Items[i].Size()
	}
	return nil
}

// deleteAll deletes all MiniClusters.
func (s *scaleLab) deleteAll(ctx context.Context) error {
	all, err := s.users.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the MiniClusters: %w", err)
	}
	namespaces := map[string]struct{}{}
	for i := range all.Items {
		namespaces[all.Items[i].GetNamespace()] = struct{}{}
	}
	for namespace := range namespaces {
		if err := s.deleteIn(ctx, namespace); err != nil {
			return err
		}
	}
	selector := v1alpha2.LabelManagedBy + "=" + v1alpha2.ManagedBy
	return s.poll(ctx, "the Jobs to be deleted", func(ctx context.Context) (bool, error) {
		jobs, err := s.kube.BatchV1().Jobs("").List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 1})
		return err == nil && len(jobs.Items) == 0, err
	})
}

// timeUntil measures from before something is done until the world is as wanted, in seconds.
func timeUntil(ctx context.Context, w *world, pleased func(*world) bool, do func() error) (float64, error) {
	at := w.expect(pleased)
	begin := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	end, err := at(ctx)
	return end.Sub(begin).Seconds(), err
}

// conditionTrue reports whether a condition of an object is True.
func conditionTrue(object map[string]any, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == kind {
			return condition["status"] == "True"
		}
	}
	return false
}
