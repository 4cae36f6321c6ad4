package capacity

import (
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/reserve"
)

// Application is what fills what others leave: the pods of one Job, which are all alike.
type Application struct {
	// Job that controls its pods.
	Job types.NamespacedName
	// Requests of one pod by its template. Pods that exist may hold more, for example by
	// the defaults of their namespace; then that counts.
	Requests Resources
	// Placement of its pods.
	Placement *Placement
	// Priority of its pods by their template; that of pods that exist counts instead.
	Priority int32
	// Reserve is what it leaves free.
	Reserve reserve.Reserve
}

// View is what an application sees of the nodes that its pods may be on.
type View struct {
	// Nodes is their number.
	Nodes int
	// Capacity is what they have; Allocatable is what of it pods may request.
	Capacity, Allocatable Resources
	// Requests is what everything but the application holds there, with those who wait
	// and are to come first.
	Requests Resources
	// Reserved is what the application leaves free.
	Reserved Resources
	// Remaining is what is left to the application, with what it holds now: less than
	// nothing where others hold a part of the reserve.
	Remaining Resources
	// Fitting is how many pods it could have, those that it has among them, each whole on
	// a node, with the reserve left in total.
	Fitting int64
	// Uncounted are resources that one of its pods holds and no node says it has: they come
	// from somewhere else, such as dynamic resource allocation. Then Fitting says nothing.
	Uncounted []corev1.ResourceName
	// Names are the resources of all nodes that count, whether it may use them or not.
	Names []corev1.ResourceName
}

// endless is a number of pods that nothing bounds.
const endless int64 = math.MaxInt64

// room is what an application finds on a node.
type room struct {
	node *Node
	// free is what nobody holds; mine is what the application's own pods hold, nil for nothing.
	free, mine vector
	// usable for the application.
	usable bool
}

// For computes the view of an application.
//
// Pods that wait to be scheduled count as if they were there already, on a node where
// they would fit if the application gave way: otherwise a full cluster would keep them
// waiting for ever. Not those that can be placed nowhere, that come after the
// application by their priority, or that are of the same priority and of a MiniCluster,
// so that two of them don't push each other out.
func (s *State) For(app *Application) View { return s.Views([]*Application{app})[0] }

// Views computes the views of several applications, all at the same moment, as For does.
func (s *State) Views(apps []*Application) []View {
	s.mu.RLock()
	defer s.mu.RUnlock()
	snap := s.snapshot()
	views := make([]View, 0, len(apps))
	for _, app := range apps {
		views = append(views, snap.view(app))
	}
	return views
}

func (s *snapshot) view(app *Application) View {
	rooms, each, priority := s.rooms(app)
	s.admitWaiting(app, priority, rooms)

	v := View{Names: s.names, Uncounted: s.uncounted(app)}
	sum := make(vector, 3*len(s.names))
	capacity, allocatable, remaining := sum[:len(s.names)], sum[len(s.names):2*len(s.names)], sum[2*len(s.names):]
	needs := s.needs(&each)
	for i, r := range rooms {
		if !r.usable {
			continue
		}
		v.Nodes++
		capacity.plus(s.spots[i].capacity)
		allocatable.plus(s.spots[i].allocatable)
		if r.mine != nil {
			r.free.plus(r.mine)
		}
		remaining.plus(r.free)
		v.Fitting += r.free.times(needs)
	}
	v.Capacity, v.Allocatable, v.Remaining = s.resources(capacity), s.resources(allocatable), s.resources(remaining)
	v.Requests = v.Allocatable.Clone()
	v.Requests.Sub(&v.Remaining)
	v.Reserved = reserved(app.Reserve, &v.Allocatable)
	v.Remaining.Sub(&v.Reserved)
	for name := range app.Reserve {
		if n := each.Get(name); n > 0 {
			v.Fitting = min(v.Fitting, max(0, v.Remaining.Get(name))/n)
		}
	}
	return v
}

// uncounted are resources that pods of an application hold and no node has.
func (s *snapshot) uncounted(app *Application) []corev1.ResourceName {
	found := map[corev1.ResourceName]bool{}
	for _, p := range s.state.jobs[app.Job] {
		for name := range p.Requests.Other {
			if _, known := s.index[name]; !known && p.Node != "" {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// reserved is how much a reserve is where so much is allocatable.
func reserved(r reserve.Reserve, allocatable *Resources) Resources {
	var amount Resources
	for name, share := range r {
		amount.Set(name, share.Of(allocatable.Get(name)))
	}
	return amount
}

// rooms are all nodes that count, with what is free there; and what one pod of the
// application needs, and its priority.
func (s *snapshot) rooms(app *Application) (rooms []room, each Resources, priority int32) {
	rooms = make([]room, len(s.spots))
	free := make(vector, 0, len(s.spots)*len(s.names))
	for i := range s.spots {
		from := len(free)
		free = append(free, s.spots[i].free...)
		rooms[i] = room{node: s.spots[i].node, free: free[from:], usable: app.Placement.Admits(s.spots[i].node)}
	}
	each, priority = app.Requests.Clone(), app.Priority
	known := false
	for _, p := range s.state.jobs[app.Job] {
		each.raise(&p.Requests)
		if !known || p.Priority > priority {
			known, priority = true, p.Priority
		}
		i, there := s.at[p.Node]
		if !there {
			continue
		}
		if rooms[i].mine == nil {
			rooms[i].mine = make(vector, len(s.names))
		}
		s.add(rooms[i].mine, &p.Requests, 1)
	}
	return rooms, each, priority
}

// admitWaiting gives room to the pods that wait and come before the application: what
// is free first, then what its own pods hold.
func (s *snapshot) admitWaiting(app *Application, priority int32, rooms []room) {
	for _, w := range s.waiting {
		if w.pod.owner() == app.Job || !w.pod.precedes(priority) {
			continue
		}
		if i, nominated := s.at[w.pod.Placement.Nominated]; nominated {
			rooms[i].free.minus(w.needs)
		} else if r := w.choose(rooms); r != nil {
			r.free.minus(w.needs)
		}
	}
}

// precedes tells whether a waiting pod comes before an application of a priority.
func (p *Pod) precedes(priority int32) bool {
	return p.Priority > priority || p.Priority == priority && !p.Elastic
}

// choose is a node for a waiting pod; nil if there is none.
func (w *waiter) choose(rooms []room) *room {
	var second *room
	for i := range rooms {
		r := &rooms[i]
		if r.free.holds(w.needs, nil) && w.pod.Placement.Admits(r.node) {
			return r
		}
		if second == nil && r.mine != nil && r.free.holds(w.needs, r.mine) && w.pod.Placement.Admits(r.node) {
			second = r
		}
	}
	return second
}
