package capacity

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
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
	Reserve Reserve
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
}

// room is what is free on a node.
type room struct {
	node *Node
	// free is what nobody holds; mine is what the application's own pods hold.
	free, mine Resources
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
func (s *State) For(app *Application) View {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rooms, each, priority := s.rooms(app)
	s.admitWaiting(app, priority, rooms)

	var v View
	for _, r := range rooms {
		if !r.usable {
			continue
		}
		v.Nodes++
		v.Capacity.Add(&r.node.Capacity)
		v.Allocatable.Add(&r.node.Allocatable)
		r.free.Add(&r.mine)
		v.Remaining.Add(&r.free)
		v.Fitting += r.free.times(&each)
	}
	v.Requests = v.Allocatable.Clone()
	v.Requests.Sub(&v.Remaining)
	v.Reserved = app.Reserve.Of(&v.Allocatable)
	v.Remaining.Sub(&v.Reserved)
	for name := range app.Reserve {
		if n := each.Get(name); n > 0 {
			v.Fitting = min(v.Fitting, max(0, v.Remaining.Get(name))/n)
		}
	}
	return v
}

// rooms are all nodes that count, by name, with what is free there; and what one pod of
// the application needs, and its priority.
func (s *State) rooms(app *Application) (rooms map[string]*room, each Resources, priority int32) {
	rooms = make(map[string]*room, len(s.places))
	for name, p := range s.places {
		if p.node == nil || !p.node.usable() {
			continue
		}
		r := &room{node: p.node, free: p.node.Allocatable.Clone(), usable: app.Placement.Admits(p.node)}
		r.free.Sub(&p.used)
		rooms[name] = r
	}
	each, priority = app.Requests.Clone(), app.Priority
	known := false
	for _, p := range s.jobs[app.Job] {
		each.raise(&p.Requests)
		if !known || p.Priority > priority {
			known, priority = true, p.Priority
		}
		if r := rooms[p.Node]; r != nil {
			r.mine.Add(&p.Requests)
		}
	}
	return rooms, each, priority
}

// admitWaiting gives room to the pods that wait and come before the application: what
// is free first, then what its own pods hold.
func (s *State) admitWaiting(app *Application, priority int32, rooms map[string]*room) {
	var waiting []*Pod
	for _, p := range s.waiting {
		if p.owner() != app.Job && p.precedes(priority) {
			waiting = append(waiting, p)
		}
	}
	if len(waiting) == 0 {
		return
	}
	// As the scheduler takes them, and then in an order that is always the same.
	slices.SortFunc(waiting, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	ordered := make([]*room, 0, len(rooms))
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		ordered = append(ordered, rooms[name])
	}
	for _, p := range waiting {
		if r := p.choose(ordered, rooms[p.Placement.Nominated]); r != nil {
			r.free.Sub(&p.Requests)
		}
	}
}

// precedes tells whether a waiting pod comes before an application of a priority.
func (p *Pod) precedes(priority int32) bool {
	if p.Placement.Gated {
		return false
	}
	return p.Priority > priority || p.Priority == priority && !p.Elastic
}

// choose is a node for a waiting pod; nil if there is none.
func (p *Pod) choose(rooms []*room, nominated *room) *room {
	if nominated != nil {
		return nominated
	}
	var second *room
	for _, r := range rooms {
		if r.free.times(&p.Requests) > 0 && p.Placement.Admits(r.node) {
			return r
		}
		if second != nil {
			continue
		}
		with := r.free.Clone()
		with.Add(&r.mine)
		if with.times(&p.Requests) > 0 && p.Placement.Admits(r.node) {
			second = r
		}
	}
	return second
}
