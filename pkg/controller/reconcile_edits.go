package controller

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Bounds of the delay between two corrections of one object. Something else may insist on its edit.
const (
	repairBase = time.Second
	repairMax  = 5 * time.Minute
)

// repairService restores the fields of a Service that pods depend on, if they were edited: at once, and later if they
// are edited repeatedly.
func (c *Controller) repairService(ctx context.Context, s *syncState, service, wanted *corev1.Service) error {
	edited, spec := resources.ServiceEdits(service, wanted)
	if len(edited) == 0 {
		return nil
	}
	if wait := c.repairs.next(s.key, service.UID); wait > 0 {
		s.requeueAfter(wait)
		return nil
	}
	_, err := patch(ctx, c, s.key, c.kube.CoreV1().Services(s.mc.Namespace), services, service.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"uid": service.UID, "resourceVersion": service.ResourceVersion},
		"spec":     spec,
	})
	if err != nil {
		return err
	}
	fields := strings.Join(edited, ", ")
	klog.FromContext(ctx).Info("Restored fields of a Service that were edited", "service", service.Name, "fields", fields)
	c.events.Eventf(s.mc, related(services, service), corev1.EventTypeWarning, "EditReverted", "Repair", messages.EditReverted,
		services.kind(), service.Name, fields)
	return nil
}

// repairConfigMap restores the configuration of the brokers, if it was edited: pods that are replaced would read it. It
// reports an edit that it cannot restore, because the spec has changed since the Job was created.
func (c *Controller) repairConfigMap(ctx context.Context, s *syncState) error {
	if wait := c.repairs.next(s.key, s.configMap.UID); wait > 0 {
		s.requeueAfter(wait)
		return nil
	}
	if !c.sameConfig(s) {
		c.events.Eventf(s.mc, related(configmaps, s.configMap), corev1.EventTypeWarning, "Edited", "Repair", messages.ConfigMapEdited,
			s.configMap.Name, strings.Join(s.observed.Edited, ", "))
		return nil
	}
	size := min(s.mc.RequestedSize(), resources.Completions(s.job))
	wanted, err := resources.BuildConfigMap(s.mc, s.fixed, c.environment, size, nil)
	if err != nil {
		return err
	}
	edited := resources.DataEdits(s.configMap, wanted.Data)
	data := map[string]any{}
	for _, key := range edited {
		data[key] = nil // removes a key that the wanted data lack
		if value, ok := wanted.Data[key]; ok {
			data[key] = value
		}
	}
	err = c.patchConfigMap(ctx, s, map[string]any{
		"metadata": map[string]any{
			"uid": s.configMap.UID, "resourceVersion": s.configMap.ResourceVersion,
			"annotations": map[string]string{v1alpha2.AnnotationDataHash: resources.DataHash(wanted.Data)},
		},
		"data": data,
	})
	if err != nil {
		return err
	}
	keys := strings.Join(edited, ", ")
	klog.FromContext(ctx).Info("Restored the data of a ConfigMap that were edited", "configMap", s.configMap.Name, "keys", keys)
	c.events.Eventf(s.mc, related(configmaps, s.configMap), corev1.EventTypeWarning, "EditReverted", "Repair", messages.EditReverted,
		configmaps.kind(), s.configMap.Name, keys)
	return nil
}

// repairs remembers when objects were corrected.
type repairs struct {
	clock clock.PassiveClock

	mu sync.Mutex
	of map[cache.ObjectName]map[types.UID]*repair
}

type repair struct {
	delay time.Duration
	last  time.Time
}

// next returns how long to wait before an object is corrected; 0 for now, which is then recorded.
func (r *repairs) next(key cache.ObjectName, object types.UID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[cache.ObjectName]map[types.UID]*repair{}
	}
	if r.of[key] == nil {
		r.of[key] = map[types.UID]*repair{}
	}
	now := r.clock.Now()
	maps.DeleteFunc(r.of[key], func(_ types.UID, old *repair) bool { return now.Sub(old.last) > 2*repairMax })
	known := r.of[key][object]
	if known == nil {
		r.of[key][object] = &repair{delay: repairBase, last: now}
		return 0
	}
	if wait := known.delay - now.Sub(known.last); wait > 0 {
		return wait
	}
	known.delay, known.last = min(2*known.delay, repairMax), now
	return 0
}

func (r *repairs) forget(key cache.ObjectName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, key)
}
