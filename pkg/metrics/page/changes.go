package page

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// maxChanges is the number of changes that are kept per namespace, so that a busy namespace does not
// displace the changes of others.
const maxChanges = 100

// maxText is the maximum number of characters of a message.
const maxText = 400

// change is a change of a MiniCluster.
type change struct {
	at              time.Time
	namespace, name string
	text            string
	// warning is set if a request was not fulfilled.
	warning bool
}

// changed returns the relevant differences between two states of a MiniCluster. It replaces the events
// of the controller, which contain the same: reading them would require the right to read all events
// in the cluster.
func changed(before, now *v1alpha2.MiniCluster, at time.Time) []change {
	var changes []change
	add := func(warning bool, format string, args ...any) {
		changes = append(changes, change{
			at: at, namespace: now.Namespace, name: now.Name, warning: warning, text: cut(fmt.Sprintf(format, args...)),
		})
	}
	if before.UID != now.UID {
		add(false, "Re-created with size %d", now.RequestedSize())
		return changes
	}
	if from, to := before.RequestedSize(), now.RequestedSize(); from != to {
		add(false, "Requested size changed from %d to %d", from, to)
	}
	if now.DeletionTimestamp != nil && before.DeletionTimestamp == nil {
		add(false, "Deletion started")
	}
	for i := range now.Status.Conditions {
		is := &now.Status.Conditions[i]
		was := meta.FindStatusCondition(before.Status.Conditions, is.Type)
		if warning, ok := notable(was, is); ok {
			add(warning, "%s", describe(is))
		}
	}
	return changes
}

// notable reports whether a condition contains news, and whether it is a warning.
func notable(was, is *metav1.Condition) (warning, ok bool) {
	if was == nil {
		was = &metav1.Condition{}
	}
	same := was.Status == is.Status && was.Reason == is.Reason
	on := is.Status == metav1.ConditionTrue
	switch is.Type {
	case v1alpha2.ConditionReady:
		return false, on && is.Reason == v1alpha2.ReasonReady && was.Status != is.Status
	case v1alpha2.ConditionProgressing:
		// Sizes and the condition Ready already show that it starts, grows and is stable.
		ordinary := slices.Contains([]string{
			v1alpha2.ReasonStable, v1alpha2.ReasonResizing, v1alpha2.ReasonNotReady, v1alpha2.ReasonFinished, v1alpha2.ReasonSuspended,
		}, is.Reason)
		return on && is.Reason != v1alpha2.ReasonDraining && is.Reason != v1alpha2.ReasonPulling, !same && !ordinary
	case v1alpha2.ConditionScalingLimited:
		return true, on && (!same || was.Message != is.Message)
	case v1alpha2.ConditionAccepted:
		return true, !on && (!same || was.Message != is.Message)
	case v1alpha2.ConditionFailed:
		return true, on && !same
	case v1alpha2.ConditionComplete:
		return false, on && !same
	case v1alpha2.ConditionSuspended:
		return false, !same && (on || was.Status == metav1.ConditionTrue)
	default:
		return false, false
	}
}

// describe returns a condition as text.
func describe(c *metav1.Condition) string {
	text := c.Type
	switch {
	case c.Type == v1alpha2.ConditionScalingLimited:
		text = "Size not granted (" + c.Reason + ")"
	case c.Status != metav1.ConditionTrue:
		text = "Not " + c.Type + " (" + c.Reason + ")"
	case c.Reason != c.Type:
		text += " (" + c.Reason + ")"
	}
	if c.Message != "" {
		text += ": " + c.Message
	}
	return text
}

// cut truncates a text to maxText characters.
func cut(text string) string {
	characters := 0
	for i := range text {
		if characters++; characters > maxText {
			return text[:i] + "…"
		}
	}
	return text
}

// watchChanges returns a handler that records the changes of MiniClusters.
func (r *Recorder) watchChanges() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if mc, ok := obj.(*v1alpha2.MiniCluster); ok && !initial {
				r.addChanges(change{
					at: r.now(), namespace: mc.Namespace, name: mc.Name, text: fmt.Sprintf("Created with size %d", mc.RequestedSize()),
				})
			}
		},
		UpdateFunc: func(before, now any) {
			was, ok := before.(*v1alpha2.MiniCluster)
			is, too := now.(*v1alpha2.MiniCluster)
			if ok && too {
				r.addChanges(changed(was, is, r.now())...)
			}
		},
		DeleteFunc: func(obj any) {
			if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
				r.addChanges(change{at: r.now(), namespace: name.Namespace, name: name.Name, text: "Deleted"})
			}
		},
	}
}

func (r *Recorder) addChanges(changes ...change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version++
	for _, c := range changes {
		of := r.changes[c.namespace]
		of = append(of, c)
		r.changes[c.namespace] = of[max(0, len(of)-maxChanges):]
	}
}

// forgetChanges removes changes that are older than a time.
func (r *Recorder) forgetChanges(oldest time.Time) {
	for namespace, of := range r.changes {
		first := slices.IndexFunc(of, func(c change) bool { return c.at.After(oldest) })
		switch {
		case first < 0:
			delete(r.changes, namespace)
		case first > 0:
			r.changes[namespace] = of[first:]
		}
	}
}

// latestChanges returns the latest changes in the namespaces that may be seen, newest first.
func (r *Recorder) latestChanges(may func(namespace string) bool, limit int) []change {
	var all []change
	for namespace, of := range r.changes {
		if may(namespace) {
			all = append(all, of[max(0, len(of)-limit):]...)
		}
	}
	slices.Reverse(all) // the sort is stable: of two at the same time, the later one comes first
	slices.SortStableFunc(all, func(a, b change) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.namespace, b.namespace))
	})
	return all[:min(limit, len(all))]
}
