package allocation

// Cluster is one snapshot of a cluster.
type Cluster struct {
	// Nodes are the nodes that accept new pods, in an order that is the same for all replicas.
	Nodes []Node
	// Fillers are the opportunistic MiniClusters, in an order that is the same for all replicas.
	Fillers []Filler
	// Waiting are the pending paying pods except for those of fillers, in the order in which the scheduler takes them.
	Waiting []Pods
}

// Node is a node that accepts new pods.
type Node struct {
	// Allocatable resources of the node.
	Allocatable Vector
	// Free is what may still be requested beside all pods on the node, those of fillers included.
	Free Vector
}

// Pods is a number of equal pending pods.
type Pods struct {
	Count int64
	Needs Needs
	// Priority of the pods. They take no capacity from fillers of a higher priority.
	Priority int32
	// Feasible nodes, regardless of free resources.
	Feasible Bitset
	// Nominated is the node for which the scheduler preempts other pods, or Nowhere.
	Nominated int
	// Rejected is set if the scheduler has found no room for the pods. While one of them waits, fillers do not grow
	// where it is to run, and take back ranks that are not bound yet: the scheduler tries the pod again only after some
	// seconds, and would place these ranks first.
	Rejected bool
}

// Nowhere is the node of a pod on a node that does not accept new pods, and of one that is not nominated.
const Nowhere = -1

// Filler is an opportunistic MiniCluster.
type Filler struct {
	// Weight is its share in relation to others, at least 1.
	Weight int64
	// Minimum and Maximum are the bounds of its size. Ranks below Minimum are paying: those that are not bound to a node
	// count as pending pods, even if they do not exist at the moment.
	Minimum, Maximum int64
	// Size is the size that it is asked to have. Higher ranks are about to be removed.
	Size int64
	// Priority of its pods.
	Priority int32
	// Needs of one of its pods.
	Needs Needs
	// Feasible nodes, regardless of free resources. Fillers with the same set share one slice.
	Feasible Bitset
	// Reserve is what stays free on its feasible nodes in total.
	Reserve Needs
	// Ranks are its pods that are bound to a node, by ascending index.
	Ranks []Rank
}

// Rank is a pod of a filler that is bound to a node.
type Rank struct {
	Index int64
	// Node is the index of its node, or Nowhere.
	Node int
	// Holds are the requests of the pod.
	Holds Vector
	// Stopping is set if the pod is being deleted.
	Stopping bool
}

// Result is what Allocate computes.
type Result struct {
	// Sizes of the fillers.
	Sizes []int64
	// Waiting is what becomes of the pending paying pods.
	Waiting []Outcome
	// Minimums is what becomes of the ranks of each filler below its minimum that are not bound.
	Minimums []Outcome
}

// Outcome says how many of some equal pending pods can be placed.
type Outcome struct {
	// Fit is the number of pods for which there is room now.
	Fit int64
	// Shrink is the number of pods for which there is room after fillers have removed ranks.
	Shrink int64
	// Nowhere is the number of pods for which there is no room even if all fillers had their minimum.
	Nowhere int64
}

// Allocate returns the sizes that the fillers can have, and what becomes of the pending paying pods.
func Allocate(c *Cluster) Result {
	a := newAdmission(c)
	result := Result{Waiting: make([]Outcome, len(c.Waiting)), Minimums: make([]Outcome, len(c.Fillers))}
	for i := range c.Waiting {
		result.Waiting[i] = a.admit(&c.Waiting[i])
	}
	for i := range c.Fillers {
		result.Minimums[i] = a.admit(c.Fillers[i].unboundMinimum())
	}
	sizes := newFill(c, a.room()).run()
	for i := range c.Fillers {
		f := &c.Fillers[i]
		sizes[i] = min(sizes[i], a.cuts[i])
		if a.mustNotGrow(i) {
			sizes[i] = min(sizes[i], f.Size, f.bound())
		}
		sizes[i] = max(min(sizes[i], f.Maximum), f.Minimum)
	}
	result.Sizes = sizes
	return result
}

// bound returns the size that includes the highest rank that is bound to a node.
func (f *Filler) bound() int64 {
	if len(f.Ranks) == 0 {
		return 0
	}
	return f.Ranks[len(f.Ranks)-1].Index + 1
}

// unboundMinimum returns the ranks below the minimum that are not bound to a node.
func (f *Filler) unboundMinimum() *Pods {
	missing := f.Minimum
	for i := 0; i < len(f.Ranks) && f.Ranks[i].Index < f.Minimum; i++ {
		if i == 0 || f.Ranks[i].Index != f.Ranks[i-1].Index {
			missing--
		}
	}
	return &Pods{Count: missing, Needs: f.Needs, Priority: f.Priority, Feasible: f.Feasible, Nominated: Nowhere}
}
