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

// mostChanges is how many changes are kept of each namespace, so that a restless one
// pushes out no other's.
const mostChanges = 100

// mostText is how long a message may be, in letters; it is cut beyond that.
const mostText = 400

// change is something that happened to a MiniCluster.
type change struct {
	at              time.Time
	namespace, name string
	text            string
	// warning is set where somebody did not get what was asked for.
	warning bool
}

// changed are the differences between two states of a MiniCluster that people care
// about. It stands in for the controller's events, which tell the same, since reading
// them would take a right to the events of everything in the cluster.
func changed(before, now *v1alpha2.MiniCluster, at time.Time) []change {
	var changes []change
	add := func(warning bool, format string, args ...any) {
		changes = append(changes, change{
			at: at, namespace: now.Namespace, name: now.Name, warning: warning, text: cut(fmt.Sprintf(format, args...)),
		})
	}
	if before.UID != now.UID {
		add(false, "Made again, with size %d", now.RequestedSize())
		return changes
	}
	if from, to := before.RequestedSize(), now.RequestedSize(); from != to {
		add(false, "Size asked for: %d, was %d", to, from)
	}
	if now.DeletionTimestamp != nil && before.DeletionTimestamp == nil {
		add(false, "Is being deleted")
	}
	for i := range now.Status.Conditions {
		is := &now.Status.Conditions[i]
		was := meta.FindStatusCondition(before.Status.Conditions, is.Type)
		if warning, worth := worthTelling(was, is); worth {
			add(warning, "%s", told(is))
		}
	}
	return changes
}

// worthTelling tells whether a condition says something new, and whether it is a warning.
func worthTelling(was, is *metav1.Condition) (warning, worth bool) {
	if was == nil {
		was = &metav1.Condition{}
	}
	same := was.Status == is.Status && was.Reason == is.Reason
	on := is.Status == metav1.ConditionTrue
	switch is.Type {
	case v1alpha2.ConditionReady:
		return false, on && was.Status != is.Status
	case v1alpha2.ConditionProgressing:
		// Coming, growing and being done are told by sizes and by Ready.
		ordinary := slices.Contains([]string{
			v1alpha2.ReasonStable, v1alpha2.ReasonResizing, v1alpha2.ReasonPodsNotReady, v1alpha2.ReasonFinished, v1alpha2.ReasonSuspended,
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

func told(c *metav1.Condition) string {
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

// cut shortens a text that is too long.
func cut(text string) string {
	letters := 0
	for i := range text {
		if letters++; letters > mostText {
			return text[:i] + "…"
		}
	}
	return text
}

// watchChanges notes the changes of MiniClusters.
func (r *Recorder) watchChanges() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if mc, ok := obj.(*v1alpha2.MiniCluster); ok && !initial {
				r.note(change{
					at: r.now(), namespace: mc.Namespace, name: mc.Name, text: fmt.Sprintf("Made, with size %d", mc.RequestedSize()),
				})
			}
		},
		UpdateFunc: func(before, now any) {
			was, ok := before.(*v1alpha2.MiniCluster)
			is, too := now.(*v1alpha2.MiniCluster)
			if ok && too {
				r.note(changed(was, is, r.now())...)
			}
		},
		DeleteFunc: func(obj any) {
			if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
				r.note(change{at: r.now(), namespace: name.Namespace, name: name.Name, text: "Deleted"})
			}
		},
	}
}

func (r *Recorder) note(changes ...change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version++
	for _, c := range changes {
		of := r.changes[c.namespace]
		of = append(of, c)
		r.changes[c.namespace] = of[max(0, len(of)-mostChanges):]
	}
}

// forgetChanges forgets those that are too old.
func (r *Recorder) forgetChanges(oldest time.Time) {
	for namespace, of := range r.changes {
		young := slices.IndexFunc(of, func(c change) bool { return c.at.After(oldest) })
		switch {
		case young < 0:
			delete(r.changes, namespace)
		case young > 0:
			r.changes[namespace] = of[young:]
		}
	}
}

// latestChanges are the last ones of the namespaces that may be seen, the last one first.
func (r *Recorder) latestChanges(may func(namespace string) bool, most int) []change {
	var all []change
	for namespace, of := range r.changes {
		if may(namespace) {
			all = append(all, of[max(0, len(of)-most):]...)
		}
	}
	slices.Reverse(all) // of the same moment, the later one comes first
	slices.SortStableFunc(all, func(a, b change) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.namespace, b.namespace))
	})
	return all[:min(most, len(all))]
}
